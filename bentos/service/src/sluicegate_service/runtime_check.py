"""Compares what a bento was built with to what the runtime image holds, before it is served.

`python -m sluicegate_service.runtime_check /bento` runs as an init container. A model that
was pickled with another version of its framework may load and then answer wrongly, so a
mismatch ends here, with each package named in the termination message, and not in a crash
loop or in silence. So does an entry service of another name than the one whose series are read:
such a version would serve, and never be measured. A bento that fits leaves the summary of its API
behind.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sluicegate_service.api_summary import summarise
from sluicegate_service.bentos import Bento, BentoInvalid, read_bento
from sluicegate_service.environment import ENTRY_SERVICE
from sluicegate_service.termination import write_termination_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

REASON = "RuntimeMismatch"
SERVICE_NOT_FOUND = "ServiceNotFound"
COMMENT = re.compile(r"(^|\s)#.*$")
OPTION = re.compile(r"^(-|--)")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One requirement that the runtime doesn't meet; `found` None: not installed."""

    name: str
    wanted: str
    found: str | None

    def describe(self) -> str:
        """As the condition shows it."""
        return f"{self.name}: wanted {self.wanted}, found {self.found or 'nothing'}"


def installed_version(name: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def parse_requirements(text: str) -> list[Requirement]:
    """The requirements of a requirements.txt that hold on this platform.

    Hashes, options and comments say nothing about versions and are skipped; a line that is no
    requirement raises BentoInvalid.
    """
    joined = text.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        wanted = COMMENT.sub("", line).split(" --hash")[0].strip()
        if not wanted or OPTION.match(wanted):
            continue
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement as error:
            raise BentoInvalid(
                f"requirements.txt: {wanted!r} is no requirement: {error}"
            ) from error
        if requirement.marker is None or requirement.marker.evaluate():
            found.append(requirement)
    return found


def compare(
    requirements: Iterable[Requirement], installed: Callable[[str], str | None]
) -> list[Mismatch]:
    """The requirements that `installed` doesn't meet, by name."""
    found = []
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        version = installed(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(Mismatch(name, str(requirement.specifier) or "any version", version))
    return sorted(found, key=lambda mismatch: mismatch.name)


def python_mismatch(bento: Bento) -> list[Mismatch]:
    """A Mismatch if the bento was built for another minor version of Python."""
    if bento.python is None:
        return []
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    same = bento.python.split(".")[:2] == running.split(".")
    return [] if same else [Mismatch("python", bento.python, running)]


def misnamed_service(bento: Bento, wanted: str) -> str:
    """What is wrong with the entry service's name; empty when nothing is, or none is wanted."""
    if wanted in ("", bento.service):
        return ""
    others = [name for name in bento.services if name != bento.service]
    beside = f" (beside it there are {', '.join(others)})" if others else ""
    return (
        f"{SERVICE_NOT_FOUND}: spec.model.bento.service is {wanted}, and the bento's entry service"
        f" is {bento.service}{beside}: set spec.model.bento.service to {bento.service}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if the bento in the folder fits the runtime, 1 if not."""
    parser = argparse.ArgumentParser(prog="sluicegate_service.runtime_check")
    parser.add_argument("bento", type=Path, help="folder of the bento")
    folder: Path = parser.parse_args(arguments).bento
    try:
        bento = read_bento(folder)
        wanted = bento.requirements.read_text() if bento.requirements.is_file() else ""
        mismatches = python_mismatch(bento) + compare(parse_requirements(wanted), installed_version)
    except BentoInvalid as error:
        return _fail(f"{REASON}: {error}")
    if misnamed := misnamed_service(bento, os.environ.get(ENTRY_SERVICE, "")):
        return _fail(misnamed)
    if mismatches:
        listed = "; ".join(mismatch.describe() for mismatch in mismatches)
        return _fail(
            f"{REASON}: {listed}. Build the bento with the runtime image's versions, or set"
            " serving.runtimeImage to one that fits"
        )
    if summary := summarise(folder):
        write_termination_message(summary)
    return 0


def _fail(message: str) -> int:
    write_termination_message(message)
    print(message, file=sys.stderr)  # noqa: T201 - the container's log
    return 1


if __name__ == "__main__":
    sys.exit(main())
