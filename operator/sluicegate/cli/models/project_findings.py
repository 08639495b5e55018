"""Checks of a project's folder before a bento is built from it."""

import ast
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from sluicegate.cli.models.source_services import (
    defines,
    entry_of,
    module_file,
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
    parsed,
    unsupported_python,
)
from sluicegate_service.requirements import Mismatch, Requirements, compare, parse_requirements

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
    sources = {name: options}
    file = module_file(folder, _target(options)[0])
    if name != SERVICE_FILE and file is not None and (code := _code_options(file)):
        sources[str(file.relative_to(folder))] = code  # BentoML adds the packages of both
    for source, part in sources.items():
        for field, command in _image_commands(part):
            yield image_command(f"{source}: {_section(source)}.{field}", command)
    source, python = _stated(sources, "docker", "python_version")
    yield from unsupported_python(f"{source}: docker.python_version", str(python or ""))
    version = python_of(str(python or ""))
    yield from _package_findings(folder, sources, version, packages(version))


def _package_findings(
    folder: Path,
    sources: Mapping[str, Mapping[str, Any]],
    version: str,
    packages: Mapping[str, str],
) -> Iterator[Finding]:
    """Yield required packages that the runtime of a Python lacks, and how the bento would lock them."""
    missing: dict[str, Finding] = {}
    is_locked = False
    for source, options in sources.items():
        python = options.get("python") or {}
        try:
            text = _requirements(folder, python, is_code=source.endswith(".py"))
            requirements = parse_requirements(text, markers(version))
        except (OSError, ValueError, BentoInvalid) as error:
            yield Finding.error(f"{source}: python", f"{error}")
            continue
        is_locked |= bool(requirements)
        for mismatch in compare(Requirements(tuple(requirements)), packages.get):
            missing.setdefault(mismatch.name, _mismatch(source, mismatch))
    yield from missing.values()
    source, locks = _stated(sources, "python", "lock_packages")
    if is_locked and locks is not False:
        yield _locked(source)
    source, is_uv_locked = _stated(sources, "python", "uv_lock")
    if is_uv_locked:
        yield Finding.note(
            f"{source}: Image.uv_lock",
            "has the packages of uv.lock, which are compared in the built bento: bentoml build, then `sluicegate check`"
            " of its tag",
        )


def _section(source: str) -> str:
    """Return the name of the section of image options in a file."""
    return "image" if source.endswith(".py") else "docker"


def _stated(
    sources: Mapping[str, Mapping[str, Any]], section: str, field: str
) -> tuple[str, object]:
    """Return the first file that states a field, with its value; the last file and None if none does."""
    for source, options in sources.items():
        part = options.get(section)
        if isinstance(part, dict) and part.get(field) is not None:
            return source, part[field]
    return list(sources)[-1], None


def _mismatch(source: str, mismatch: Mismatch) -> Finding:
    other = "use its version (`sluicegate runtime-constraints`), or " * bool(mismatch.installed)
    return Finding.error(
        f"{source}: python.packages: {mismatch.name}",
        f"is {mismatch.required}, and the runtime has {mismatch.installed or 'nothing'}: {other}build a runtime image with the bento's"
        " packages (`sluicegate runtime-image`)",
    )


def _locked(source: str) -> Finding:
    field = "Image(lock_python_packages)" if source.endswith(".py") else "python.lock_packages"
    return Finding.warning(
        f"{source}: {field}",
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
            source = (folder / SERVICE_FILE).read_text(encoding="utf-8")
            return SERVICE_FILE, options_in_code(ast.parse(source))
        document = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, yaml.YAMLError):
        present_files = (name for name in BUILD_FILES if (folder / name).is_file())
        return next(present_files, SERVICE_FILE), None
    options = document.get("tool", {}).get("bentoml", {}).get("build", {})
    python = options.get("python") or {}
    packages = [*(python.get("packages") or ()), *_dependencies(document)]
    return "pyproject.toml", {**options, "python": {**python, "packages": packages}}


def _dependencies(document: Mapping[str, Any]) -> list[str]:
    """Return the dependencies of a project in its pyproject.toml, which BentoML builds with."""
    return [str(dependency) for dependency in document.get("project", {}).get("dependencies", ())]


def _code_options(file: Path) -> dict[str, Any]:
    """Return the options of the Image of a service; empty without an Image or if the file can't be read."""
    tree = parsed(file)
    options = {} if tree is None else options_in_code(tree)
    return {section: part for section, part in options.items() if part}


def options_in_code(tree: ast.Module) -> dict[str, Any]:
    """Return the build options in a service's `bentoml.images.Image`, named as in bentofile.yaml.

    Calls with literals are read: `python_packages`, `requirements_file`, `pyproject_toml`, `uv_lock`, `system_packages`,
    `run`, `run_script` and `Image(lock_python_packages=…, python_version=…)`.
    """
    python: dict[str, Any] = {}
    docker: dict[str, Any] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        callee = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        words = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
        match callee.rpartition(".")[2]:
            case "python_packages":
                python.setdefault("packages", []).extend(words)
            case "requirements_file" if words:
                python["requirements_txt"] = words[0]
            case "pyproject_toml":
                python["pyproject_toml"] = words[0] if words else "pyproject.toml"
            case "uv_lock":
                python |= {"uv_lock": True, "lock_packages": False}
            case "system_packages" if words:
                docker.setdefault("system_packages", []).extend(words)
            case "run" | "run_script" if words and _is_of_image(node):
                docker.setdefault(callee, []).extend(words)
            case "Image":
                python |= _literals(node, {"lock_python_packages": "lock_packages"})
                docker |= _literals(node, {"python_version": "python_version"})
            case _:
                pass
    return {"python": python, "docker": docker}


def _literals(call: ast.Call, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the literals among options of a call, by the names that `fields` gives them."""
    return {
        fields[option.arg]: option.value.value
        for option in call.keywords
        if option.arg and option.arg in fields and isinstance(option.value, ast.Constant)
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
    module, class_name = _target(options or {})
    entry = entry_of(services_in(folder, module), class_name)
    return "" if entry is None else entry.name


def _target(options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the module of the service, and the class; empty if not named."""
    service = str(options.get("service") or SERVICE_FILE)
    name, _, class_name = service.partition(":")
    return name.removesuffix(".py").replace("/", "."), class_name


def _service(folder: Path, name: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    module, class_name = _target(options)
    file = module_file(folder, module)
    if file is None:
        yield Finding.error(
            f"{name}: service",
            f"is {options.get('service') or SERVICE_FILE}, and there is no {module.replace('.', '/')}.py beside it: name"
            " MODULE:CLASS of the service",
        )
        return
    services = services_in(folder, module)
    for source in dict.fromkeys([file, *(service.path for service in services)]):
        parent = source.relative_to(folder).parent
        for finding in (*own_servers(source), *old_services(source)):
            yield replace(finding, where=str(parent / finding.where))
    if class_name and not defines(file, class_name):
        own = [service.class_name for service in services if service.path == file]
        class_names = ", ".join(own) or "no service"
        yield Finding.error(
            f"{name}: service",
            f"is {options['service']}, and {file.relative_to(folder)} has {class_names}: name MODULE:CLASS of the service",
        )
    yield from service_findings(folder, services, entry_of(services, class_name))


def _requirements(folder: Path, python: Mapping[str, Any], *, is_code: bool) -> str:
    """Return the lines of requirements; an Image adds packages to those of its files, a build file has one of both."""
    lines: list[str] = []
    if requirements_file := python.get("requirements_txt"):
        lines.append((folder / str(requirements_file)).read_text(encoding="utf-8"))
    if project_file := python.get("pyproject_toml"):
        lines += _dependencies(tomllib.loads((folder / project_file).read_text(encoding="utf-8")))
    if is_code or not lines:
        lines += map(str, python.get("packages") or ())
    return "\n".join(lines)
