"""Services in the source of a project, found without running it."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluicegate_service.findings import (
    Finding,
    ineffective_batching,
    ineffective_resources,
    ineffective_workers,
    parsed,
    service_classes,
)


@dataclass(frozen=True, slots=True)
class SourceService:
    """A class with `@bentoml.service`.

    Attributes
    ----------
    options : expressions by name of the decorator's option. upstreams : classes in `bentoml.depends(…)`.
    """

    path: Path
    class_name: str
    name: str
    options: dict[str, ast.expr]
    upstreams: frozenset[str]


def services_in(folder: Path, module: str) -> tuple[SourceService, ...]:
    """Return the services of a module, `service` or `shop.service`, and of the project's modules that it imports."""
    services: list[SourceService] = []
    modules, visited = [module], set[str]()
    while modules:
        if (name := modules.pop()) in visited:
            continue
        visited.add(name)
        path = module_file(folder, name)
        if path is not None:
            services += _services(path)
            package = f"{name}.__init__" if path.stem == "__init__" else name
            modules += _imports(path, package)
    return tuple(services)


def module_file(folder: Path, module: str) -> Path | None:
    """Return the source file of a module, or of a package; None if there is none in the folder."""
    path = folder / module.replace(".", "/")
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def entry_of(services: Sequence[SourceService], class_name: str = "") -> SourceService | None:
    """Return the service of a class, or the only one that no other depends on; None if that isn't known."""
    upstreams = {upstream for service in services for upstream in service.upstreams}
    entries = [
        service
        for service in services
        if (service.class_name == class_name if class_name else service.class_name not in upstreams)
    ]
    return entries[0] if len(entries) == 1 else None


def defines(path: Path, name: str) -> bool:
    """Return whether a module may have a top-level name; True if it can't be parsed, or imports `*`."""
    tree = parsed(path)
    if tree is None:
        return True
    words = {word for node in ast.walk(tree) for word in _bound_names(node)}
    return bool({name, "*"} & words)


def service_findings(
    folder: Path, services: Sequence[SourceService], entry: SourceService | None
) -> Iterator[Finding]:
    """Yield findings about service options that have no effect in a pod of one process."""
    for service in services:
        workers = service.options.get("workers")
        if workers is not None and ast.unparse(workers) not in {"1", "None"}:
            text = workers.value if isinstance(workers, ast.Constant) else ast.unparse(workers)
            yield ineffective_workers(service.name, str(text))
        if "resources" in service.options and ast.unparse(service.options["resources"]) != "{}":
            yield ineffective_resources(service.name)
    if entry is not None:
        inner = {service.name for service in services} - {entry.name}
        for path in dict.fromkeys(service.path for service in services):
            yield from ineffective_batching(path, path.relative_to(folder), entry.name, inner)


def _services(path: Path) -> Iterator[SourceService]:
    for node, name in service_classes(path):
        options = {
            keyword.arg: keyword.value
            for decorator in node.decorator_list
            for keyword in getattr(decorator, "keywords", ())
            if keyword.arg
        }
        upstreams = frozenset(
            call.args[0].id
            for call in ast.walk(node)
            if isinstance(call, ast.Call)
            and ast.unparse(call.func).rpartition(".")[2] == "depends"
            and call.args
            and isinstance(call.args[0], ast.Name)
        )
        yield SourceService(path, node.name, name, options, upstreams)


def _imports(path: Path, module: str) -> Iterator[str]:
    """Yield the modules that a source file may import, by their names from the project's folder."""
    tree = parsed(path)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}".removeprefix(".") for alias in node.names)


def _bound_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.alias):
        yield node.asname or node.name
