"""Checks of a bento against a runtime image, without the image.

`runtime_check` does the same in a pod with the installed packages. This uses a list of packages
instead, so that `sluicegate pack` and `check` can report problems before a push.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from packaging.tags import compatible_tags, cpython_tags

from sluicegate_service.bentos import OWN_SERVER, BentoInvalid, require_models
from sluicegate_service.constraints import PYTHON, PYTHONS, markers, python_of
from sluicegate_service.requirements import compare, requirements_in
from sluicegate_service.wheels import versions, wheels_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from packaging.tags import Tag

    from sluicegate_service.bentos import Bento
    from sluicegate_service.requirements import Mismatch

GLIBC_MINOR: Final = 36
"""Minor version of Debian bookworm's glibc 2.36; a wheel may need it or an older one."""


WAYS_OUT: Final = (
    "build with the runtime's versions (`sluicegate runtime-constraints > constraints.txt`, then"
    " `UV_CONSTRAINT=$PWD/constraints.txt bentoml build`), bring"
    " wheels, or make a runtime image that has the bento's packages (`sluicegate runtime-image`)"
)


class Severity(StrEnum):
    """Severity of a finding."""

    ERROR = "error"
    """The bento can't run."""
    WARNING = "warning"
    """It runs, but may have a problem."""
    NOTE = "note"
    """A feature isn't available."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a check: its subject, and the way out."""

    severity: Severity
    where: str
    message: str

    @classmethod
    def error(cls, where: str, message: str) -> Finding:
        """Return a finding by which the bento can't run."""
        return cls(Severity.ERROR, where, message)

    @classmethod
    def warning(cls, where: str, message: str) -> Finding:
        """Return a finding by which it runs, but may have a problem."""
        return cls(Severity.WARNING, where, message)

    @classmethod
    def note(cls, where: str, message: str) -> Finding:
        """Return a finding by which a feature isn't available."""
        return cls(Severity.NOTE, where, message)

    def line(self) -> str:
        """Format the finding as a line of a command."""
        return f"{self.severity}: {self.where}: {self.message}"


def bento_findings(bento: Bento, packages: Mapping[str, str]) -> Iterator[Finding]:
    """Yield problems of the bento in a runtime image with these `packages` (version by name)."""
    yield from _models(bento)
    yield from _links(bento)
    yield from _python(bento)
    yield from _requirements(bento, packages)
    yield from _entry(bento)
    yield from _services(bento)
    for command in bento.commands:
        yield image_command("bento.yaml: image", command)


def _services(bento: Bento) -> Iterator[Finding]:
    """Yield findings about service options that have no effect in a pod of one process."""
    for name, workers in bento.workers:
        yield ineffective_workers(name, workers)
    for name in bento.resources:
        yield ineffective_resources(name)
    inner = set(bento.services) - {bento.service}
    for path in sorted((bento.folder / "src").rglob("*.py")):
        yield from ineffective_batching(path, path.relative_to(bento.folder), bento.service, inner)


def ineffective_workers(service: str, workers: str) -> Finding:
    """Return the finding about a service with more than one worker."""
    return Finding.warning(
        f"{service}: workers",
        f"is {workers}, and a pod runs one process for all services of the bento: remove it, and set"
        " serving.replicas, or serving.autoscaling",
    )


def ineffective_resources(service: str) -> Finding:
    """Return the finding about a service that configures resources."""
    return Finding.warning(
        f"{service}: resources",
        "have no effect: set serving.resources of the product (a GPU among its limits)",
    )


def ineffective_batching(
    path: Path, place: Path, entry: str, inner: Collection[str]
) -> Iterator[Finding]:
    """Yield batchable APIs in a source file of the services that the entry service calls; `place` names the file."""
    for name, api in _batchable(path):
        if name in inner:
            yield Finding.warning(
                f"{place}: {name}.{api}: batchable",
                f"has no effect, as {entry} calls {name} in its own process, one request at a"
                f" time: declare the API of {entry} batchable, or serve {name} as a product of"
                " its own, with spec.dependsOn",
            )


def image_command(where: str, command: str) -> Finding:
    """Return the finding about a command that an image of BentoML's own runs: system packages, scripts."""
    return Finding.warning(
        where,
        f"has `{command[:200]}`, which a pod doesn't run: if the service needs it, build a runtime image"
        " with it from the Dockerfile, and name that in serving.runtimeImage",
    )


def old_services(path: Path) -> Iterator[Finding]:
    """Yield services of BentoML before 1.2 in a source file: `bentoml.Service`."""
    tree = parsed(path)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "bentoml.Service":
            yield Finding.error(
                f"{path.name}:{node.lineno}: bentoml.Service",
                "is a service of BentoML before 1.2, which the runtime doesn't serve: define a class with"
                " @bentoml.service, and its API with @bentoml.api",
            )


def own_servers(path: Path) -> Iterator[Finding]:
    """Yield services of a source file that start a server of their own."""
    for name, field in _commands(path):
        yield Finding.error(
            f"{path.name}: {name}.{field}",
            OWN_SERVER,
        )


def _batchable(path: Path) -> Iterator[tuple[str, str]]:
    """Yield service and API for each API of a source file that BentoML would batch."""
    for node, name in service_classes(path):
        for method in node.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                _is_true(decorator, "batchable") for decorator in method.decorator_list
            ):
                yield name, method.name


def _is_true(decorator: ast.expr, option: str) -> bool:
    """Return whether a decorator has this option, and it isn't False."""
    option_values = [one.value for one in getattr(decorator, "keywords", ()) if one.arg == option]
    return any(
        not (isinstance(option_value, ast.Constant) and option_value.value is False)
        for option_value in option_values
    )


def parsed(path: Path) -> ast.Module | None:
    """Return the syntax tree of a source file; None if it can't be read or parsed."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


def service_classes(path: Path) -> Iterator[tuple[ast.ClassDef, str]]:
    """Yield the classes of a source file that are services, with the names of these."""
    tree = parsed(path)
    for node in ast.walk(tree) if tree else ():
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if "service" in ast.unparse(decorator):
                options = {
                    keyword.arg: keyword.value for keyword in getattr(decorator, "keywords", ())
                }
                name_option = options.get("name")
                name = name_option.value if isinstance(name_option, ast.Constant) else node.name
                yield node, str(name)
                break


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


def unsupported_python(place: str, version: str) -> Iterator[Finding]:
    """Yield an error for a Python that no runtime image has; `version` is empty where none is stated."""
    if version and ".".join(version.split(".")[:2]) not in PYTHONS:
        yield Finding.error(
            place,
            f"is {version}, and there are runtime images of Python {', '.join(PYTHONS)}: set"
            f' python_version to "{PYTHON}" (bentofile.yaml: docker.python_version) and build again',
        )


def _python(bento: Bento) -> Iterator[Finding]:
    place = "bento.yaml: image.python_version"
    yield from unsupported_python(place, bento.python or "")
    minor = python_of(bento.python)
    if minor != PYTHON:
        yield Finding.note(
            place,
            f"is {bento.python}: serving.runtimeImage must name the runtime image of Python {minor},"
            f" unless it is the platform's default; that of the project has Python {PYTHON}",
        )


def _requirements(bento: Bento, packages: Mapping[str, str]) -> Iterator[Finding]:
    try:
        findings = [_finding_of(mismatch) for mismatch in lacking(bento, packages)]
    except BentoInvalid as error:
        yield Finding.error("env/python", str(error))
        return
    yield from findings
    if any(finding.severity is Severity.ERROR for finding in findings):
        yield Finding.note("requirements", WAYS_OUT)


def lacking(bento: Bento, packages: Mapping[str, str]) -> list[Mismatch]:
    """Return the requirements of the bento beyond `packages` and its own wheels. Raises BentoInvalid."""
    wheels = wheels_of(bento.folder)
    bundled = versions(wheels, runtime_tags(python=python_of(bento.python)))
    platform = markers(python_of(bento.python))
    requirements = requirements_in(bento, platform)
    needed = [
        requirement
        for wheel in wheels
        if wheel.name in bundled
        for requirement in wheel.requires(platform)
    ]
    return compare(
        replace(requirements, locked=(*requirements.locked, *needed)),
        lambda name: bundled.get(name) or packages.get(name),
    )


def _finding_of(mismatch: Mismatch) -> Finding:
    location = f"requirements: {mismatch.name}"
    installed = mismatch.installed or "nothing"
    if mismatch.tolerable:
        return Finding.warning(
            location,
            f"is {mismatch.required}, and the runtime has {installed}: another patch release, which passes",
        )
    return Finding.error(
        location,
        f"is {mismatch.required}, and the runtime has {installed}",
    )


def _entry(bento: Bento) -> Iterator[Finding]:
    for path in sorted((bento.folder / "src").rglob("*.py")):
        parent = path.relative_to(bento.folder).parent
        for finding in (*own_servers(path), *old_services(path)):
            yield replace(finding, where=f"{parent}/{finding.where}")


def _commands(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the services of a source file that start a command instead of answering themselves, with its field."""
    for node, name in service_classes(path):
        bound = {
            text
            for statement in node.body
            for text in (
                getattr(statement, "name", ""),
                *map(ast.unparse, getattr(statement, "targets", ())),
                *([ast.unparse(statement.target)] if isinstance(statement, ast.AnnAssign) else []),
            )
        }
        options = {
            keyword.arg
            for decorator in node.decorator_list
            for keyword in getattr(decorator, "keywords", ())
        }
        if "__command__" in bound:
            yield name, "__command__"
        elif "cmd" in options:
            yield name, "cmd"


def runtime_tags(machine: str = "x86_64", python: str = PYTHON) -> frozenset[Tag]:
    """Return the tags of wheels that the runtime image can import, independent of this machine."""
    version = tuple(map(int, python.split(".")))
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
