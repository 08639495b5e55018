"""Checks of a project's folder before a bento is built from it."""

import ast
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from sluicegate.cli.models.source_services import (
    defines,
    entry_of,
    service_findings,
    services_in,
)
from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.constraints import markers, python_of
from sluicegate_service.findings import (
    Finding,
    image_command,
    old_services,
    own_servers,
    unsupported_python,
)
from sluicegate_service.requirements import Requirements, compare, parse_requirements

BUILD_FILES: Final = ("bentofile.yaml", "pyproject.toml")
SERVICE_FILE: Final = "service.py"
"""What `bentoml build` builds from without any of these: its packages are in a bentoml.images.Image."""


def is_project(folder: Path) -> bool:
    """Return whether `bentoml build` accepts the folder as a project."""
    return any((folder / name).is_file() for name in (*BUILD_FILES, SERVICE_FILE))


def project_findings(
    folder: Path, packages: Callable[[str], Mapping[str, str]]
) -> Iterator[Finding]:
    """Yield problems of a bento that is built from `folder`, in the runtime with `packages` of its Python."""
    name, options = _options(folder)
    if options is None:
        yield Finding.error(name, "can't be read: correct its syntax")
        return
    yield from _service(folder, name, options)
    for field, command in _image_commands(options):
        place = "image" if name == SERVICE_FILE else "docker"
        yield image_command(f"{name}: {place}.{field}", command)
    python = options.get("python") or {}
    stated_version = str((options.get("docker") or {}).get("python_version") or "")
    yield from unsupported_python(f"{name}: docker.python_version", stated_version)
    version = python_of(stated_version)
    try:
        requirements = parse_requirements(_requirements(folder, python), markers(version))
    except (OSError, BentoInvalid) as error:
        yield Finding.error(f"{name}: python", f"{error}")
        return
    for mismatch in compare(Requirements(tuple(requirements)), packages(version).get):
        other = "use its version (`sluicegate runtime-constraints`), or " * bool(mismatch.installed)
        yield Finding.error(
            f"{name}: python.packages: {mismatch.name}",
            f"is {mismatch.required}, and the runtime has {mismatch.installed or 'nothing'}: {other}build a runtime image with the bento's"
            " packages (`sluicegate runtime-image`)",
        )
    if python.get("lock_packages", True) and requirements:
        field = "Image(lock_python_packages)" if name == SERVICE_FILE else "python.lock_packages"
        yield Finding.warning(
            f"{name}: {field}",
            "is true, so the bento locks the newest versions of the index, whatever is installed: set it to"
            " false, or lock the runtime's: UV_CONSTRAINT=$PWD/constraints.txt bentoml build, with the output of `sluicegate"
            " runtime-constraints`",
        )


def _options(folder: Path) -> tuple[str, dict[str, Any] | None]:
    """Return the file with the build options, and the options; None if it can't be read."""
    bentofile = folder / "bentofile.yaml"
    try:
        if bentofile.is_file():
            loaded = yaml.safe_load(bentofile.read_text(encoding="utf-8"))
            return bentofile.name, loaded if isinstance(loaded, dict) else None
        if not (folder / "pyproject.toml").is_file():
            return SERVICE_FILE, options_in_code(
                (folder / SERVICE_FILE).read_text(encoding="utf-8")
            )
        document = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, yaml.YAMLError):
        present_files = (name for name in BUILD_FILES if (folder / name).is_file())
        return next(present_files, SERVICE_FILE), None
    return "pyproject.toml", document.get("tool", {}).get("bentoml", {}).get("build", {})


def options_in_code(source: str) -> dict[str, Any]:
    """Return the build options in a service's `bentoml.images.Image`, named as in bentofile.yaml.

    Calls with literals are read: `python_packages`, `requirements_file`, `system_packages`, `run`, `run_script` and
    `Image(lock_python_packages=…, python_version=…)`. Raises SyntaxError.
    """
    python: dict[str, Any] = {}
    docker: dict[str, Any] = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        callee = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if callee == "python_packages":
            python.setdefault("packages", []).extend(map(str, words))
        elif callee == "requirements_file" and words:
            python["requirements_txt"] = str(words[0])
        elif callee == "system_packages" and words:
            docker.setdefault("system_packages", []).extend(map(str, words))
        elif callee in {"run", "run_script"} and words and _is_of_image(node):
            docker.setdefault(callee, []).extend(map(str, words))
        elif callee.rpartition(".")[2] == "Image":
            literals = _literals(node)
            if "lock_python_packages" in literals:
                python["lock_packages"] = literals["lock_python_packages"]
            if "python_version" in literals:
                docker["python_version"] = literals["python_version"]
    return {"python": python, "docker": docker}


def _literals(call: ast.Call) -> dict[str | None, Any]:
    return {
        option.arg: option.value.value
        for option in call.keywords
        if isinstance(option.value, ast.Constant)
    }


def _is_of_image(call: ast.Call) -> bool:
    """Return whether a call is in a chain of calls that begins with an Image, or on a name `image`."""
    target: ast.expr = call
    while isinstance(target, ast.Call | ast.Attribute):
        target = target.func if isinstance(target, ast.Call) else target.value
    text = ast.unparse(call.func)
    return "Image(" in text or (isinstance(target, ast.Name) and target.id == "image")


def _image_commands(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield field and command of what BentoML's own image runs."""
    docker = options.get("docker")
    if not isinstance(docker, dict):
        return
    for field in ("system_packages", "setup_script", "run", "run_script"):
        value = docker.get(field) or ()
        words = [value] if isinstance(value, str) else value
        if words and isinstance(words, list):
            yield field, ", ".join(map(str, words))


def entry_service(folder: Path) -> str:
    """Return the name of the service that `bentoml build` would build as the entry; empty if it isn't known."""
    _, options = _options(folder)
    module, _, class_name = _target(options or {})
    entry = entry_of(services_in(folder, module), class_name)
    return "" if entry is None else entry.name


def _target(options: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the module of the service, its path in the folder without `.py`, and the class; empty if not named."""
    service = str(options.get("service") or SERVICE_FILE)
    name, _, class_name = service.partition(":")
    module = name.removesuffix(".py").replace("/", ".")
    return module, module.replace(".", "/"), class_name


def _service(folder: Path, name: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    module, path, class_name = _target(options)
    file = folder / f"{path}.py"
    if file.is_file():
        yield from own_servers(file)
        yield from old_services(file)
        services = services_in(folder, module)
        if class_name and not defines(file, class_name):
            own = [service.class_name for service in services if service.path == file]
            class_names = ", ".join(own) or "no service"
            yield Finding.error(
                f"{name}: service",
                f"is {options['service']}, and {path}.py has {class_names}: name MODULE:CLASS of the service",
            )
        yield from service_findings(folder, services, entry_of(services, class_name))
    elif not (folder / path / "__init__.py").is_file():
        yield Finding.error(
            f"{name}: service",
            f"is {options.get('service') or SERVICE_FILE}, and there is no {path}.py beside it: name"
            " MODULE:CLASS of the service",
        )


def _requirements(folder: Path, python: Mapping[str, Any]) -> str:
    if requirements_file := python.get("requirements_txt"):
        return (folder / str(requirements_file)).read_text(encoding="utf-8")
    return "\n".join(str(package) for package in python.get("packages") or ())
