"""Archives that claim more than they hold are refused before they cost it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import tarfile
import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate_service.archives import BOUNDS, ArchiveRefused, Bounds, unpack
from sluicegate_service.bentos import BentoInvalid, extract, read_bento

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Bounds(entries=20, size=100_000, least=50_000, depth=4, header=4096, headers=65_536)
MODES = ["w", "w:gz", "w:bz2", "w:xz"]


def made(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: Any = "w:xz") -> Path:
    with tarfile.open(path, mode) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def file(name: str, content: bytes = b"", **pax: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.pax_headers = pax
    return member, content


@pytest.mark.parametrize("mode", MODES)
def test_an_archive_within_the_bounds_is_unpacked_with_any_compression(tmp_path: Path, mode: str):
    content = random.Random(1).randbytes(30_000)
    names = ["a", "folder/b", "folder/" + "n" * 90 + "/" + "m" * 90]
    archive = made(tmp_path / "x", *(file(name, content) for name in names), mode=mode)
    unpack(archive, tmp_path / "out")
    assert all((tmp_path / "out" / name).read_bytes() == content for name in names)


def test_concatenated_compressed_streams_are_one_archive(tmp_path: Path):
    plain = made(tmp_path / "x", file("a", b"x" * 20_000), mode="w").read_bytes()
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "y").write_bytes(compress(plain[:9000]) + compress(plain[9000:]))
        unpack(tmp_path / "y", tmp_path / compress.__module__)
        assert (tmp_path / compress.__module__ / "a").read_bytes() == b"x" * 20_000


BOMBS = {
    "content": ([file("a", b"\0" * 200_000)], "unpacks to more than"),
    "many files": ([file(f"a{n}", b"\0" * 30_000) for n in range(10)], "unpacks to more than"),
    "entries": ([file(f"a{n}") for n in range(30)], "more than 20 files and folders"),
    "folders": ([file(f"a{n}/b{n}/c{n}") for n in range(10)], "more than 20 files and folders"),
    "depth": ([file("a/b/c/d/e")], "below more than 4 folders"),
    "a long header": ([file("a", comment="x" * 10_000)], "a header of more than"),
    "a long name": ([file("n" * 10_000)], "a header of more than"),
    "headers": ([file(f"a{n % 5}", comment="x" * 3000) for n in range(40)], "headers of more than|exists"),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("members", "message"), BOMBS.values(), ids=BOMBS)
def test_an_archive_beyond_a_bound_is_refused(tmp_path: Path, members, message: str, mode: str):
    archive = made(tmp_path / "x", *members, mode=mode)
    with pytest.raises(ArchiveRefused, match=message):
        unpack(archive, tmp_path / "out", SMALL)
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written <= SMALL.size + SMALL.headers
    assert len(list((tmp_path / "out").rglob("*"))) <= SMALL.entries


def sparse(path: Path, *, pax: bool) -> Path:
    """Return an archive whose one file claims four EiB, of which it holds nothing."""
    member = tarfile.TarInfo("a")
    if pax:
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": str(1 << 62)}  # fmt: skip
        return made(path, (member, b"0\n".ljust(512, b"\0")), mode="w")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"\x80" + (1 << 62).to_bytes(11, "big")
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header[:512])
    path.write_bytes(bytes(header) + b"\0" * 1024)
    return path


@pytest.mark.parametrize("pax", [True, False])
def test_a_sparse_file_is_refused(tmp_path: Path, pax: bool):
    with pytest.raises(ArchiveRefused, match=r"sparse|no bento needs|can't be unpacked"):
        unpack(sparse(tmp_path / "x", pax=pax), tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.stat().st_size]  # fmt: skip


def test_a_file_that_claims_more_than_the_archive_may_hold_is_refused_unread(tmp_path: Path):
    member = tarfile.TarInfo("a")
    member.size = 1 << 60
    (tmp_path / "x").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(ArchiveRefused, match="unpacks to more than"):
        unpack(tmp_path / "x", tmp_path / "out")


def test_an_archive_with_headers_without_a_file_is_refused(tmp_path: Path):
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 0
    (tmp_path / "x").write_bytes(member.tobuf(tarfile.USTAR_FORMAT) * 20_000)
    with pytest.raises(ArchiveRefused, match="can't be unpacked"):
        unpack(tmp_path / "x", tmp_path / "out")


@pytest.mark.parametrize("seed", range(300))
def test_a_damaged_archive_is_refused_with_a_message(tmp_path: Path, seed: int):
    draw = random.Random(seed)
    whole = made(tmp_path / "x", file("a/b", b"x" * 2000), file("c", b"y", comment="z" * 200), mode=MODES[seed % 4]).read_bytes()  # fmt: skip
    damaged = bytearray(whole)
    for _ in range(draw.randint(1, 8)):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    (tmp_path / "y").write_bytes(damaged[: draw.randint(1, len(damaged))])
    with suppress(ArchiveRefused):
        unpack(tmp_path / "y", tmp_path / "out", SMALL)


@pytest.mark.slow
def test_a_large_header_takes_no_memory(tmp_path: Path):
    """The address space is 1 GiB, and the header has 400 MiB, which tarfile copies several times."""
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 400 << 20
    with gzip.open(tmp_path / "x", "wb", compresslevel=1) as packed:
        packed.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(400):
            packed.write(b"n" * (1 << 20))
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from sluicegate_service.archives import ArchiveRefused, unpack
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        try:
            unpack(Path(sys.argv[1]), Path(sys.argv[2]))
        except ArchiveRefused as refused:
            print(refused)
        """)
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x"), str(tmp_path / "out")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "a header of more than 1,048,576 bytes" in ended.stdout


def test_an_archive_that_needs_much_memory_to_decompress_is_refused(tmp_path: Path):
    plain = made(tmp_path / "x", file("a", b"x"), mode="w").read_bytes()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 16 << 20}]
    (tmp_path / "y").write_bytes(lzma.compress(plain, filters=filters))
    with pytest.raises(ArchiveRefused, match=r"[Mm]emory"):
        unpack(tmp_path / "y", tmp_path / "out", Bounds(memory=8 << 20))


LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
DOCUMENTS = {
    "laughs": (LAUGHS, "aliases make more than 100,000 values"),
    "a cycle": ("a: &a [*a]", "an alias holds itself"),
    "depth": ("a: " + "[" * 5000, "nested too deeply|is not YAML"),
    "size": ("# " + "x" * (1 << 20), "more than 1,048,576 bytes"),
    "nothing": ("", "holds no mapping"),
    "a date that is none": ("created: 2026-99-99", "is not YAML"),
    "a number of many digits": (f"created: {'9' * 5000}", "is not YAML"),
    "no list": ("services: {a: 1}", "services is no list of mappings"),
    "no mapping": ("services: [1]", "services is no list of mappings"),
    "a model without a tag": ("models: [{}]", "has no 'tag'"),
    "a name of another kind": ("name: [x]", "name is no text"),
    "a NUL": ('name: "a\\0b"', "name is no text"),
    "an object": ("name: !!python/object/apply:os.system [id]", "is not YAML"),
}


@pytest.mark.parametrize(("text", "message"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_bento_yaml_that_is_no_description_is_refused_with_a_message(tmp_path, text, message):
    (tmp_path / "bento.yaml").write_text(text)
    with pytest.raises(BentoInvalid, match=message):
        read_bento(tmp_path)


def test_the_bounds_of_a_bento_are_documented():
    assert (BOUNDS.entries, BOUNDS.ratio, BOUNDS.depth) == (10_000, 20, 32)
    assert (BOUNDS.size, BOUNDS.least) == (16 << 30, 64 << 20)


def test_a_bento_beyond_the_bounds_is_refused_as_an_invalid_archive(tmp_path: Path):
    archive = made(tmp_path / "x", *(file(f"{n}/{m}") for n in range(110) for m in range(110)))
    with pytest.raises(BentoInvalid, match="more than 10,000 files and folders"):
        extract(archive, tmp_path / "out")
