"""Archives that are damaged at random: each is refused with words, or unpacked below its folder."""

from __future__ import annotations

import io
import shutil
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

from sluicegate_service.bentos import BentoInvalid, extract, read_bento
from tests.support.fuzz.mutations import VALUES

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

MODES = ("w", "w:gz", "w:bz2", "w:xz")
KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)  # fmt: skip
NAMES = (
    "bento.yaml",
    "src/service.py",
    "../outside",
    "/outside",
    "a/../../outside",
    "src",
    "models/m",
)


def check_archive(random: Random, folder: Path) -> bool:
    """Return whether a random archive is unpacked; `folder` is an empty folder for it.

    Raises
    ------
    AssertionError
        A file is beside the folder into which it is unpacked.
    """
    archive, into = folder / "archive", folder / "in" / "bento"
    into.parent.mkdir()
    archive.write_bytes(_damaged(_archive(random), random))
    accepted = False
    with suppress(BentoInvalid):
        extract(archive, into)
        accepted = True
        read_bento(into)
    assert {path.name for path in folder.iterdir()} == {"archive", "in"}
    assert {path.name for path in into.parent.iterdir()} <= {"bento"}
    for path in tuple(folder.iterdir()):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    return accepted


def _archive(random: Random) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=random.choice(MODES)) as tar:  # type: ignore[call-overload]
        for _ in range(random.randint(0, 6)):
            member = tarfile.TarInfo(random.choice(NAMES))
            member.type = random.choice(KINDS) if random.random() < 0.3 else tarfile.REGTYPE
            member.linkname = random.choice(NAMES)
            member.mode = random.choice((0o777, 0o000, 0o4755))
            content = str(random.choice(VALUES)).encode(errors="replace") * random.randint(1, 3)
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def _damaged(data: bytes, random: Random) -> bytes:
    result = bytearray(data)
    for _ in range(random.choice((0, 0, 1, 3, 20))):
        if result:
            result[random.randrange(len(result))] = random.randrange(256)
    return bytes(result[: random.randrange(len(result) + 1)] if random.random() < 0.2 else result)
