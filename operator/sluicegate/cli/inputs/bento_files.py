"""Bentos as inputs: opening one, and the packages of a runtime image."""

import contextlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sluicegate.errors import invalid, unreadable
from sluicegate_service.bentos import Bento, BentoInvalid, extract, read_bento
from sluicegate_service.constraints import FILE, packages_of

TAG: Final = re.compile(r"[a-z0-9][-._a-z0-9]*:[a-z0-9][-._a-z0-9]*")


@contextlib.contextmanager
def opened(source: Path) -> Iterator[Bento]:
    """Yield the bento in a folder or a .bento file, unpacked for the duration of the block.

    NAME:VERSION of BentoML's store is exported, models included.

    Raises
    ------
    BentoInvalid
        The folder or the file holds no bento.
    InvalidInput
        There is no such folder or file.
    """
    with tempfile.TemporaryDirectory(prefix="sluicegate-bento-") as scratch:
        folder = source.absolute()
        if not source.exists() and TAG.fullmatch(str(source)):
            source = _exported(str(source), Path(scratch) / "exported.bento")
        if source.is_file():
            folder = Path(scratch) / "bento"
            extract(source, folder)
        elif not source.is_dir():
            raise invalid(str(source), "doesn't exist: give a bento's folder or .bento file")
        yield read_bento(folder)


def _exported(tag: str, archive: Path) -> Path:
    """Export a bento of BentoML's store."""
    if importlib.util.find_spec("bentoml") is None:
        raise BentoInvalid(
            f"there is no file {tag}, and no BentoML in this environment whose store could hold it"
        )
    command = [sys.executable, "-m", "bentoml", "export", tag, str(archive)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode or not archive.is_file():
        error_lines = (completed.stderr or completed.stdout).strip().splitlines()[-1:]
        raise BentoInvalid(f"{tag} can't be exported from BentoML's store: {''.join(error_lines)}")
    return archive


def packages_in(constraints: Path | None, python: str) -> Mapping[str, str]:
    """Return versions by name in a file of constraints; without a file, those of the project's runtime.

    `python` is that of the runtime image, such as `3.13`.
    """
    path = constraints or FILE
    try:
        return packages_of(path.read_text(encoding="utf-8"), python)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(path), error) from error
    except BentoInvalid as error:
        raise invalid(str(path), str(error)) from error
