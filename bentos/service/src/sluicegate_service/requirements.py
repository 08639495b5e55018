"""What a bento asks for, and whether a set of installed packages meets it.

A lock file names each package down to its patch release, and two lock files of one week differ
somewhere. So a difference counts by what it can break: a package that the bento's author asked for
has to be the locked one, since a model that was pickled with another release of its framework may
load and then answer wrongly. A package that came with another one has to be there in the same
major and minor release; another patch of it is told and passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sluicegate_service.bentos import BentoInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sluicegate_service.bentos import Bento

COMMENT = re.compile(r"(^|\s)#.*$")
BENTOML = "bentoml"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One requirement that isn't met; `found` None: not installed.

    A `tolerable` one is another patch release of a package that nobody asked for by name.
    """

    name: str
    wanted: str
    found: str | None
    tolerable: bool = False

    def describe(self) -> str:
        """As the condition shows it."""
        return f"{self.name}: wanted {self.wanted}, found {self.found or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bento asks for: `direct` by its author, `locked` all of it, down to the release."""

    direct: tuple[Requirement, ...]
    locked: tuple[Requirement, ...] = ()


def wanted_by(bento: Bento, environment: Mapping[str, str] | None = None) -> Wanted:
    """Read the bento's files of requirements.

    BentoML writes `requirements.in` and locks it in `requirements.txt`, or, where the bento has
    wheels, `requirements.txt` and locks it in `requirements.lock.txt`. `environment` replaces
    variables of markers, where another platform is meant than this one.
    """
    folder = bento.requirements.parent
    pairs = (
        ("requirements.in", "requirements.txt"),
        ("requirements.txt", "requirements.lock.txt"),
    )
    for direct, locked in pairs:
        if (folder / direct).is_file():
            return Wanted(
                tuple(_read(folder / direct, environment)),
                tuple(_read(folder / locked, environment)),
            )
    return Wanted(())


def _read(path: Path, environment: Mapping[str, str] | None) -> list[Requirement]:
    return parse_requirements(path.read_text(), environment) if path.is_file() else []


def parse_requirements(
    text: str, environment: Mapping[str, str] | None = None
) -> list[Requirement]:
    """The requirements of a requirements.txt that hold on this platform.

    Hashes, options and comments say nothing about versions and are skipped, as are wheels by
    their path, which lie in the bento; a line that is no requirement raises BentoInvalid.
    """
    joined = text.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        wanted = COMMENT.sub("", line).split(" --hash")[0].strip()
        if not wanted or wanted.startswith("-") or _is_wheel(wanted):
            continue
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement as error:
            raise BentoInvalid(
                f"requirements.txt: {wanted!r} is no requirement: {str(error).splitlines()[0]}"
            ) from error
        marker = requirement.marker
        if marker is None or marker.evaluate(dict(environment or {})):
            found.append(requirement)
    return found


def _is_wheel(line: str) -> bool:
    return line.endswith(".whl") and " @ " not in line


def compare(wanted: Wanted, installed: Callable[[str], str | None]) -> list[Mismatch]:
    """What `installed` doesn't meet, by name; `installed` gives a package's version, or None."""
    direct = {canonicalize_name(one.name) for one in wanted.direct}
    found: dict[str, Mismatch] = {}
    for requirement in (*wanted.direct, *wanted.locked):
        name = canonicalize_name(requirement.name)
        mismatch = _mismatch(requirement, name, installed(name), is_direct=name in direct)
        if mismatch and (name not in found or found[name].tolerable):
            found[name] = mismatch
    return [found[name] for name in sorted(found)]


def _mismatch(
    requirement: Requirement, name: str, version: str | None, *, is_direct: bool
) -> Mismatch | None:
    if version is not None and requirement.specifier.contains(version, prereleases=True):
        return None
    # BentoML itself writes the line of its own release into each bento; nobody chose it.
    tolerable = (not is_direct or name == BENTOML) and _differs_by_patch(requirement, version)
    return Mismatch(name, str(requirement.specifier) or "any version", version, tolerable)


def _differs_by_patch(requirement: Requirement, version: str | None) -> bool:
    pins = [one.version for one in requirement.specifier if one.operator == "=="]
    if version is None or len(pins) != 1:
        return False
    try:
        return Version(pins[0]).release[:2] == Version(version).release[:2]
    except InvalidVersion:
        return False


def extras_of(
    wanted: Iterable[Requirement], requires: Callable[[str], Iterable[str] | None]
) -> list[Requirement]:
    """What the extras of requirements add, as the installed packages' metadata say it.

    `requires` gives the requirements of an installed package, with their markers.
    """
    found = []
    for requirement in wanted:
        for line in (requires(requirement.name) or ()) if requirement.extras else ():
            one = Requirement(line)
            if one.marker and any(
                one.marker.evaluate({"extra": extra}) for extra in requirement.extras
            ):
                found.append(one)
    return found
