"""What keeps a bento from running in a runtime image, told without one.

`runtime_check` says the same in a pod, of what is installed there. This asks a list of packages
instead, so `sluicegate pack` and `check` can tell before anything is pushed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from packaging.tags import compatible_tags, cpython_tags

from sluicegate_service.bentos import BentoInvalid, require_models
from sluicegate_service.constraints import MARKERS, PYTHON
from sluicegate_service.requirements import compare, wanted_by
from sluicegate_service.wheels import versions, wheels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from packaging.tags import Tag

    from sluicegate_service.bentos import Bento
    from sluicegate_service.requirements import Mismatch

GLIBC_MINOR: Final = 36
"""Of Debian bookworm's glibc 2.36; a wheel may ask for it or an older one."""


WAYS_OUT: Final = (
    "build with the runtime's versions (`sluicegate runtime-constraints > constraints.txt`), bring"
    " wheels, or make a runtime image that has the bento's packages (`sluicegate runtime-image`)"
)


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """It won't run."""
    WARNING = "warning"
    """It runs, and somebody should know."""
    NOTE = "note"
    """What it can't do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is the case: where, and what to do about it."""

    severity: Severity
    where: str
    message: str

    @classmethod
    def error(cls, where: str, message: str) -> Finding:
        """It won't run."""
        return cls(Severity.ERROR, where, message)

    @classmethod
    def warning(cls, where: str, message: str) -> Finding:
        """It runs, and somebody should know."""
        return cls(Severity.WARNING, where, message)

    @classmethod
    def note(cls, where: str, message: str) -> Finding:
        """What it can't do."""
        return cls(Severity.NOTE, where, message)

    def line(self) -> str:
        """As a command prints it."""
        return f"{self.severity}: {self.where}: {self.message}"


def bento_findings(bento: Bento, packages: Mapping[str, str]) -> Iterator[Finding]:
    """What the runtime image with these `packages` (version by name) will say of the bento."""
    yield from _models(bento)
    yield from _links(bento)
    yield from _python(bento)
    yield from _requirements(bento, packages)
    yield from _entry(bento)


def _models(bento: Bento) -> Iterator[Finding]:
    try:
        require_models(bento)
    except BentoInvalid as error:
        yield Finding.error("models", str(error))


def _links(bento: Bento) -> Iterator[Finding]:
    for path in sorted(bento.folder.rglob("*")):
        if path.is_symlink():
            name = str(path.relative_to(bento.folder))
            yield Finding.error(name, "is a symbolic link: a bento must hold its files itself")


def _python(bento: Bento) -> Iterator[Finding]:
    if bento.python and bento.python.split(".")[:2] != PYTHON.split("."):
        yield Finding.error(
            "bento.yaml: image.python_version",
            f"is {bento.python}, and the runtime image has Python {PYTHON}: set python_version to"
            f' "{PYTHON}" (bentofile.yaml: docker.python_version) and build again',
        )


def _requirements(bento: Bento, packages: Mapping[str, str]) -> Iterator[Finding]:
    try:
        found = [_of(mismatch) for mismatch in lacking(bento, packages)]
    except BentoInvalid as error:
        yield Finding.error("env/python", str(error))
        return
    yield from found
    if any(one.severity is Severity.ERROR for one in found):
        yield Finding.note("requirements", WAYS_OUT)


def lacking(bento: Bento, packages: Mapping[str, str]) -> list[Mismatch]:
    """What the bento asks for beyond `packages` and its own wheels. Raises BentoInvalid."""
    wheels = wheels_of(bento.folder)
    brought = versions(wheels, runtime_tags())
    wanted = wanted_by(bento, MARKERS)
    needed = [one for wheel in wheels if wheel.name in brought for one in wheel.requires]
    return compare(
        replace(wanted, locked=(*wanted.locked, *needed)),
        lambda name: brought.get(name) or packages.get(name),
    )


def _of(mismatch: Mismatch) -> Finding:
    where = f"requirements: {mismatch.name}"
    found = mismatch.found or "nothing"
    if mismatch.tolerable:
        return Finding.warning(
            where,
            f"is {mismatch.wanted}, and the runtime has {found}: another patch release, which passes",
        )
    return Finding.error(
        where,
        f"is {mismatch.wanted}, and the runtime has {found}",
    )


def _entry(bento: Bento) -> Iterator[Finding]:
    for path in sorted((bento.folder / "src").rglob("*.py")):
        for name in _commands(path):
            yield Finding.error(
                f"{path.relative_to(bento.folder)}: {name}.__command__",
                "starts a server of its own, whose requests can't be counted: define the API with"
                " @bentoml.api, and call the server from there",
            )


def _commands(path: Path) -> Iterator[str]:
    """Services of a source file that start a command instead of answering themselves."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        decorated = any("service" in ast.unparse(one) for one in node.decorator_list)
        assigned = {
            ast.unparse(target)
            for one in node.body
            if isinstance(one, ast.Assign)
            for target in one.targets
        }
        if decorated and "__command__" in assigned:
            yield node.name


def runtime_tags(machine: str = "x86_64") -> frozenset[Tag]:
    """The tags of wheels that the runtime image can import, the same wherever this runs."""
    version = tuple(map(int, PYTHON.split(".")))
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    platforms += [
        f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1", "linux")
    ]
    return frozenset(
        (
            *cpython_tags(version, platforms=platforms),
            *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms),
        )
    )
