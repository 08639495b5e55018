"""Requirements of a bento, and their comparison with installed packages.

A lock file names each package down to its patch release, and two lock files of one week differ
somewhere. So a difference is judged by its possible effect: a package that the bento's author
requires must have the locked version, as a model that was pickled with another release of its
framework may load and then answer wrongly. A dependency must have the same major and minor release;
another patch release is reported and accepted.
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
    """One requirement that isn't met; `installed` None: not installed.

    A `tolerable` one is another patch release of a package that the author doesn't require by name.
    """

    name: str
    required: str
    installed: str | None
    tolerable: bool = False

    def describe(self) -> str:
        """Describe it for the condition."""
        return f"{self.name}: wanted {self.required}, found {self.installed or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Requirements of a bento: `direct` by its author, `locked` all of them, with exact versions."""

    direct: tuple[Requirement, ...]
    locked: tuple[Requirement, ...] = ()


def requirements_in(bento: Bento, environment: Mapping[str, str] | None = None) -> Requirements:
    """Read the bento's files of requirements.

    BentoML writes `requirements.in` and locks it in `requirements.txt`, or, where the bento has
    wheels, `requirements.txt` and locks it in `requirements.lock.txt`. `environment` replaces
    variables of markers, for another platform than this one.
    """
    folder = bento.requirements.parent
    pairs = (
        ("requirements.in", "requirements.txt"),
        ("requirements.txt", "requirements.lock.txt"),
    )
    for direct, locked in pairs:
        if (folder / direct).is_file():
            return Requirements(
                tuple(_read(folder / direct, environment)),
                tuple(_read(folder / locked, environment)),
            )
    return Requirements(())


def are_locked(bento: Path) -> bool:
    """Return whether the packages of a bento in this folder were locked from an index at its build.

    BentoML copies requirements that it doesn't lock, and writes the copy under the name of a lock file.
    """
    folder = bento / "env" / "python"
    written = [_words(folder / name) for name in ("requirements.in", "requirements.txt")]
    return (folder / "requirements.lock.txt").is_file() or (
        all(written) and written[0] != written[1]
    )


def _words(path: Path) -> frozenset[str]:
    return frozenset(path.read_text(encoding="utf-8").split()) if path.is_file() else frozenset()


def _read(path: Path, environment: Mapping[str, str] | None) -> list[Requirement]:
    return parse_requirements(path.read_text(), environment) if path.is_file() else []


def parse_requirements(
    text: str, environment: Mapping[str, str] | None = None
) -> list[Requirement]:
    """Parse the requirements of a requirements.txt that apply to this platform.

    Hashes, options and comments don't affect versions and are skipped, as are paths of wheels,
    which are in the bento; a line that is no requirement raises BentoInvalid.
    """
    joined = text.replace("\\\n", " ")
    requirements = []
    for line in joined.splitlines():
        text_line = COMMENT.sub("", line).split(" --hash")[0].strip()
        if not text_line or text_line.startswith("-") or _is_wheel(text_line):
            continue
        try:
            requirement = Requirement(text_line)
        except InvalidRequirement as error:
            raise BentoInvalid(
                f"requirements.txt: {text_line!r} is no requirement: {str(error).splitlines()[0]}"
            ) from error
        marker = requirement.marker
        if marker is None or marker.evaluate(dict(environment or {})):
            requirements.append(requirement)
    return requirements


def _is_wheel(line: str) -> bool:
    return line.endswith(".whl") and " @ " not in line


def compare(requirements: Requirements, installed: Callable[[str], str | None]) -> list[Mismatch]:
    """Return the requirements that `installed` doesn't meet, by name.

    `installed` is a function that returns a package's version, or None.
    """
    direct = {canonicalize_name(one.name) for one in requirements.direct}
    mismatches: dict[str, Mismatch] = {}
    for requirement in (*requirements.direct, *requirements.locked):
        name = canonicalize_name(requirement.name)
        mismatch = _mismatch(requirement, name, installed(name), is_direct=name in direct)
        if mismatch and (name not in mismatches or mismatches[name].tolerable):
            mismatches[name] = mismatch
    return [mismatches[name] for name in sorted(mismatches)]


def _mismatch(
    requirement: Requirement, name: str, version: str | None, *, is_direct: bool
) -> Mismatch | None:
    if version is not None and requirement.specifier.contains(version, prereleases=True):
        return None
    # BentoML itself writes the line of its own release into each bento; the author didn't choose it.
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
    requirements: Iterable[Requirement], requires: Callable[[str], Iterable[str] | None]
) -> list[Requirement]:
    """Return the requirements of extras, from the metadata of installed packages.

    `requires` gives the requirements of an installed package, with their markers.
    """
    extras = []
    for requirement in requirements:
        for line in (requires(requirement.name) or ()) if requirement.extras else ():
            requirement_of_extra = Requirement(line)
            if requirement_of_extra.marker and any(
                requirement_of_extra.marker.evaluate({"extra": extra})
                for extra in requirement.extras
            ):
                extras.append(requirement_of_extra)
    return extras
