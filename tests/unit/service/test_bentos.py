"""What counts as a bento, and what an archive of one may hold."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.bentos import BentoInvalid, extract, read_bento, require_models
from tests.support.samples.bentos import write_bento

if TYPE_CHECKING:
    from pathlib import Path


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    for key, value in more.items():
        setattr(entry, key, value)
    return entry


def test_a_bento_has_its_name_version_service_and_python_version(tmp_path: Path):
    bento = read_bento(write_bento(tmp_path / "b", version="v3"))

    assert (bento.name, bento.version, bento.service) == ("pricing", "v3", "Pricing")
    assert bento.python == "3.11"
    assert bento.models == ("price:v3",)


def test_a_bento_with_external_models_is_refused(tmp_path: Path):
    folder = write_bento(tmp_path / "b", version="v3")
    require_models(read_bento(folder))
    (folder / "models" / "price" / "v3" / "model.yaml").unlink()
    (folder / "models" / "price" / "v3").rmdir()

    with pytest.raises(BentoInvalid, match=r"names the model price:v3 but doesn't hold it: export"):
        require_models(read_bento(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "holds no mapping"),
        ("name: [", "is not YAML"),
        ("name: x", "has no 'version'"),
    ],
)
def test_a_malformed_bento_yaml_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "bento.yaml").write_text(text)

    with pytest.raises(BentoInvalid, match=message):
        read_bento(tmp_path)


def test_a_folder_without_bento_yaml_is_refused_with_the_way_out(tmp_path: Path):
    with pytest.raises(BentoInvalid, match="give the folder or file that `bentoml export` writes"):
        read_bento(tmp_path)


def test_unpacked_files_are_readable_by_every_user(tmp_path: Path):
    path = archive(
        tmp_path / "b.bento",
        member("models", tarfile.DIRTYPE, mode=0o700),
        member("models/secret", mode=0o600, size=3),
    )
    extract(path, tmp_path / "out")

    assert (tmp_path / "out" / "models").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "models" / "secret").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "entry",
    [
        member("../outside"),
        member("a/../../outside"),
        member("/etc/passwd"),
        member("link", tarfile.SYMTYPE, linkname="/etc"),
        member("hard", tarfile.LNKTYPE, linkname="../x"),
        member("device", tarfile.CHRTYPE),
    ],
    ids=lambda entry: entry.name,
)
def test_an_archive_member_outside_the_folder_is_refused(tmp_path: Path, entry: tarfile.TarInfo):
    path = archive(tmp_path / "b.bento", entry)

    with pytest.raises(BentoInvalid, match="which no bento needs"):
        extract(path, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


def test_a_file_of_another_format_is_refused_as_an_archive(tmp_path: Path):
    (tmp_path / "b.bento").write_text("hello")

    with pytest.raises(BentoInvalid, match="can't be unpacked"):
        extract(tmp_path / "b.bento", tmp_path / "out")
