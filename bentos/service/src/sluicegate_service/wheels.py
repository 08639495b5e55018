"""Wheels in a bento: packages that the runtime image lacks.

BentoML puts them into `env/python/wheels` (bentofile.yaml) or `src/wheels` (an image's build). The
launcher unpacks those for this Python and puts them before the image's own packages on the path. A
training Job does the same with `command: [python, -m, sluicegate_service.wheels, train]`, which
runs the module `train`.
"""

from __future__ import annotations

import os
import runpy
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from sluicegate_service import environment as names
from sluicegate_service.bentos import BentoInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.tags import Tag

FOLDERS = ("env/python/wheels", "src/wheels")


class BundledWheel:
    """One wheel in a bento."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.name, version, _, self.tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename as error:
            raise BentoInvalid(f"{path.name} is no wheel's name: {error}") from error
        self.version = str(version)

    def fits(self, tags: Iterable[Tag]) -> bool:
        """Return whether it was built for one of the tags of a Python on a platform."""
        return not self.tags.isdisjoint(tags)

    def requires(self, platform: Mapping[str, str] | None = None) -> list[Requirement]:
        """Return its requirements without extras, on a platform by its markers; without one, on this machine."""
        with self._opened_archive() as archive:
            names = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = HeaderParser().parsestr(archive.read(next(names, "")).decode())
        needed = [Requirement(line) for line in metadata.get_all("Requires-Dist") or ()]
        environment = {**(platform or {}), "extra": ""}
        return [
            requirement
            for requirement in needed
            if requirement.marker is None or requirement.marker.evaluate(environment)
        ]

    def unpack(self, into: Path) -> None:
        """Unpack its files below `into`; names outside of it are refused."""
        with self._opened_archive() as archive:
            for name in archive.namelist():
                parts = PurePosixPath(name)
                if parts.is_absolute() or ".." in parts.parts:
                    raise BentoInvalid(f"{self.path.name} holds {name!r}: refused")
            archive.extractall(into)

    def _opened_archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise BentoInvalid(f"{self.path.name} can't be read: {error}") from error


def wheels_of(bento: Path) -> list[BundledWheel]:
    """Return the wheels in a bento's folder, by name."""
    paths = [path for folder in FOLDERS for path in (bento / folder).glob("*.whl")]
    return [BundledWheel(path) for path in sorted(paths, key=lambda path: path.name)]


def versions(wheels: Iterable[BundledWheel], tags: Iterable[Tag]) -> dict[str, str]:
    """Return name and version of the wheels that fit."""
    fitting = frozenset(tags)
    return {wheel.name: wheel.version for wheel in wheels if wheel.fits(fitting)}


def add_to_path(bento: Path, scratch: Path) -> Path | None:
    """Unpack the fitting wheels below `scratch` and put them first on the path; return None without any.

    Child processes import from there, too.
    """
    fitting = list(_fitting(bento))
    if not fitting:
        return None
    for wheel in fitting:
        wheel.unpack(scratch)
    sys.path.insert(0, str(scratch))
    inherited = [str(scratch), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, inherited))
    return scratch


def _fitting(bento: Path) -> Iterator[BundledWheel]:
    tags = frozenset(sys_tags())
    return (wheel for wheel in wheels_of(bento) if wheel.fits(tags))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a module with the wheels of the mounted bento."""
    argument_list = list(sys.argv[1:] if arguments is None else arguments)
    if not argument_list:
        raise SystemExit("name the module to run: python -m sluicegate_service.wheels MODULE")
    bento = Path(os.environ.get(names.BENTO) or names.DEFAULT_BENTO)
    scratch = Path(os.environ.get("TMPDIR", "/tmp")) / "sluicegate-wheels"  # noqa: S108 - a pod's own
    try:
        add_to_path(bento, scratch)
    except BentoInvalid as error:
        raise SystemExit(f"the wheels in {bento} can't be used: {error}") from error
    sys.argv = argument_list
    sys.path.insert(0, str(Path.cwd()))
    runpy.run_module(argument_list[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
