"""Structural schemas of CRDs: pruning, defaults, refusals."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]

CRDS = Path(__file__).resolve().parents[2] / "crds"
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": int | float,
}
_DOLLAR = re.compile(r"\\.|\[(?:\\.|[^\]])*\]|\$", re.DOTALL)
"""An escape, a class of characters, or the end of the text, which Python's `$` isn't exactly."""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    ends = _DOLLAR.sub(lambda one: r"\Z" if one[0] == "$" else one[0], pattern)
    return re.compile(ends)


@cache
def product_schema() -> Schema:
    """Return the schema of DataProducts in `crds/`."""
    text = (CRDS / "dataproducts.sluicegate.dev.yaml").read_text(encoding="utf-8")
    definition = yaml.load(text, yaml.CSafeLoader)
    schema: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def pruned(value: Any, schema: Schema) -> Any:
    """Return the value without fields that the schema doesn't have."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, dict) and schema.get("type") == "object":
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        kept_fields = {
            key: pruned(part, properties[key]) for key, part in value.items() if key in properties
        }
        if isinstance(additional, dict):
            kept_fields |= {
                key: pruned(part, additional)
                for key, part in value.items()
                if key not in properties
            }
        return kept_fields
    if isinstance(value, list) and "items" in schema:
        return [pruned(item, schema["items"]) for item in value]
    return value


def defaulted(value: Any, schema: Schema) -> Any:
    """Return the value with the schema's defaults, and without nulls."""
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        full = {key: part for key, part in value.items() if part is not None}
        for key, property_schema in properties.items():
            if key not in full and "default" in property_schema:
                full[key] = json.loads(json.dumps(property_schema["default"]))
        for key, part in full.items():
            subschema = properties.get(key, additional)
            if isinstance(subschema, dict) and isinstance(part, dict | list):
                full[key] = defaulted(part, subschema)
        return full
    if isinstance(value, list) and "items" in schema:
        return [defaulted(item, schema["items"]) for item in value]
    return value


def objections(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the schema's objections to a value, in the API server's words."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield f"{path}: Invalid value: must be an integer or a string"
            return
    elif not _is_of(value, schema.get("type")):
        text = json.dumps(value)[:80]
        yield f"{path}: Invalid value: {text}: must be of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: Unsupported value: {value!r}: supported values: {schema['enum']}"
    if isinstance(value, str):
        yield from _of_text(value, schema, path)
    elif isinstance(value, dict):
        yield from _of_map(value, schema, path)
    elif isinstance(value, list):
        yield from _of_list(value, schema, path)
    elif not isinstance(value, bool):
        yield from _of_number(value, schema, path)


def _is_of(value: Any, kind: str | None) -> bool:
    if kind is None:
        return True
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _of_number(value: float, schema: Schema, path: str) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"{path}: Invalid value: {value}: must be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"{path}: Invalid value: {value}: must be at most {schema['maximum']}"


def _of_text(value: str, schema: Schema, path: str) -> Iterator[str]:
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{path}: Too long: may not be more than {schema['maxLength']} bytes"
    if len(value) < schema.get("minLength", 0):
        yield f"{path}: Invalid value: should be at least {schema['minLength']} chars long"
    pattern = schema.get("pattern")
    if pattern is not None and not _compiled(pattern).search(value):
        yield f"{path}: Invalid value: {value!r}: should match '{pattern}'"
    if schema.get("format") == "date-time":
        try:
            datetime.fromisoformat(value)
        except ValueError:
            yield f"{path}: Invalid value: {value!r}: must be of type date-time"


def _of_map(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}: Required value"
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{path}: Too many: must have at most {schema['maxProperties']} items"
    for name, part in value.items():
        subschema = properties.get(name, additional)
        if isinstance(subschema, dict):
            yield from objections(part, subschema, f"{path}.{name}")


def _of_list(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{path}: Too many: {len(value)}: must have at most {schema['maxItems']} items"
    if len(value) < schema.get("minItems", 0):
        yield f"{path}: Invalid value: should have at least {schema['minItems']} items"
    keys, kind = schema.get("x-kubernetes-list-map-keys"), schema.get("x-kubernetes-list-type")
    texts: set[str] = set()
    for number, item in enumerate(value):
        if keys or kind == "set":
            identity = (
                {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
            )
            text = json.dumps(identity, sort_keys=True)
            if text in texts:
                yield f"{path}[{number}]: Duplicate value: {text}"
            texts.add(text)
        if "items" in schema:
            yield from objections(item, schema["items"], f"{path}[{number}]")


@cache
def list_kinds() -> dict[tuple[str, ...], tuple[str, ...] | None]:
    """Return how lists of a DataProduct merge, by path: the keys of a list-map, None for a set."""
    kinds: dict[tuple[str, ...], tuple[str, ...] | None] = {}

    def look(schema: Schema, path: tuple[str, ...]) -> None:
        if schema.get("x-kubernetes-list-type") == "map":
            kinds[path] = tuple(schema["x-kubernetes-list-map-keys"])
        elif schema.get("x-kubernetes-list-type") == "set":
            kinds[path] = None
        for name, subschema in schema.get("properties", {}).items():
            look(subschema, (*path, name))
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                look(schema[name], path)

    look(product_schema(), ())
    return kinds
