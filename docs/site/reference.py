"""The reference pages, written from what they describe."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

import sluicegate
from sluicegate.__main__ import COMMANDS, module_of
from sluicegate.api import names
from sluicegate.api.crd import build_crd
from sluicegate_service import environment

DEEPEST: Final = 4
"""Levels of fields with a row each; what is below is Kubernetes' own, or in `kubectl explain`."""
WIDTH: Final = "96"
KUBERNETES_OWN: Final = frozenset(
    {
        "affinity",
        "topologySpreadConstraints",
        "podTemplate",
        "volumes",
        "volumeMounts",
        "initContainers",
    }
)

Rows = list[tuple[str, ...]]


def dataproduct() -> str:
    """Fields of a DataProduct's spec, from the definition."""
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    head = (
        "# DataProduct\n\nEach field of `spec`. `kubectl explain dataproduct.spec` says the same, with"
        " `status`. **Bold** fields are required where their parent is set.\n"
    )
    parts = [head]
    for name, schema in spec["properties"].items():
        rows = list(_fields(name, schema, required=name in spec.get("required", ()), depth=1))
        parts.append(f"## {name}\n\n{_table(('field', 'type', 'default', 'meaning'), rows)}")
        if rules := sorted(set(_messages(schema))):
            lines = "\n".join(f"- {rule}" for rule in rules)
            parts.append(f"Admission refuses what breaks one of these:\n\n{lines}\n")
    return "\n".join(parts)


def _fields(
    path: str, schema: Mapping[str, Any], *, required: bool, depth: int
) -> Iterator[tuple[str, ...]]:
    shown = f"**`{path}`**" if required else f"`{path}`"
    default = (
        f"`{schema['default']}`" if "default" in schema and _is_plain(schema["default"]) else ""
    )
    yield shown, _type(schema), default, _one_line(str(schema.get("description", "")))
    if depth >= DEEPEST or path.rpartition(".")[2] in KUBERNETES_OWN:
        return
    inner, suffix = schema, ""
    if schema.get("type") == "array":
        inner, suffix = schema["items"], "[]"
    elif isinstance(schema.get("additionalProperties"), dict):
        inner, suffix = schema["additionalProperties"], "{}"
    for name, child in inner.get("properties", {}).items():
        needed = name in inner.get("required", ())
        yield from _fields(f"{path}{suffix}.{name}", child, required=needed, depth=depth + 1)


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " ".join(f"`{one}`" for one in schema["enum"])
    kind = str(schema.get("type", "integer or string"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return "map"
    bounds = [f"≥ {schema['minimum']}" if "minimum" in schema else ""]
    bounds += [f"≤ {schema['maximum']}" if "maximum" in schema else ""]
    return " ".join((kind, *filter(None, bounds)))


def _messages(schema: Mapping[str, Any]) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "message" in rule:
            yield _one_line(rule["message"])
    for child in (*schema.get("properties", {}).values(), schema.get("items")):
        if isinstance(child, dict):
            yield from _messages(child)


def annotation_names() -> str:
    """Annotations that people set, and those that the operator sets."""
    found = _documented(names, "REQUEST_", "ANNOTATION_")
    asked = [(f"`{value}`", text) for name, value, text in found if name.startswith("REQUEST_")]
    own = [(f"`{value}`", text) for name, value, text in found if not name.startswith("REQUEST_")]
    return (
        "# Annotations\n\n## What a person asks for\n\nOn the DataProduct. Each acts once for each value"
        " (a token: any new word, or a time), also while the product is suspended;"
        " `status.lastHandled` has the value that was handled last. Answers of roles and consumers to a"
        " candidate are described in [approvals](../approvals.md).\n\n"
        f"{_table(('annotation', 'value and effect'), asked)}\n"
        f"## What the operator writes\n\nOn its own objects; nothing of it is for people to change.\n\n"
        f"{_table(('annotation', 'meaning'), [row for row in own if row[1]])}"
    )


def metrics() -> str:
    """Metrics of the operator, as its own code registers them."""
    for module in pkgutil.walk_packages(sluicegate.__path__, "sluicegate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    rows = sorted(
        (
            f"`{one._name}{'_total' if one._type == 'counter' else ''}`",  # noqa: SLF001
            str(one._type),  # noqa: SLF001
            ", ".join(one._labelnames),  # noqa: SLF001
            _one_line(one._documentation),  # noqa: SLF001
        )
        for one in set(prometheus_client.REGISTRY._collector_to_names)  # noqa: SLF001
        if isinstance(one, MetricWrapperBase)
    )
    return (
        "# Metrics\n\nOf the operator, on port 8080. [Operating](../operations.md#metrics) explains the main"
        f" ones.\n\n{_table(('metric', 'type', 'labels', 'meaning'), rows)}"
    )


def commands() -> str:
    """The help of each command."""
    os.environ["COLUMNS"] = WIDTH
    parts = ["# Commands\n\n`sluicegate COMMAND --help` says the same.\n"]
    for name, summary in sorted(COMMANDS.items()):
        parser = argparse.ArgumentParser(prog=f"sluicegate {name}", description=f"{summary}.")
        importlib.import_module(module_of(name)).configure(parser)
        parts.append(f"## {name}\n\n```text\n{parser.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def jobs() -> str:
    """Variables, files and metrics that the operator's pods and a service share."""
    rows = [
        (f"`{name}`", f"`{value}`", text)
        for name, value, text in _documented(environment, "")
        if isinstance(value, str)
    ]
    return (
        "# Contract of pods and trainings\n\nWhat the operator sets in the pods of a product, and what a"
        " service or a training reads and writes: variables, files, metrics."
        " [The library](../library.md) does it for you.\n\n"
        f"{_table(('name in the library', 'value', 'meaning'), rows)}"
    )


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reference/dataproduct.md": dataproduct,
    "reference/annotations.md": annotation_names,
    "reference/metrics.md": metrics,
    "reference/commands.md": commands,
    "reference/contract.md": jobs,
}


def _documented(module: Any, *prefixes: str) -> list[tuple[str, Any, str]]:
    """Constants of a module by their beginnings: name, value, and the text below them."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    found = []
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign | ast.Assign):
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        name = ast.unparse(target)
        if name.startswith(prefixes) and name.isupper():
            text = after.value.value if _is_text(after) else ""  # type: ignore[union-attr]
            found.append((name, getattr(module, name), _one_line(str(text))))
    return found


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
