"""Summary of a bento's API as clients see it, small enough for a termination message.

BentoML writes `apis/openapi.yaml` into each bento. The runtime check writes a summary of it where
the operator reads it, so that a version that would refuse its clients' requests waits for a person
before it receives any. The summary doesn't contain descriptions, titles, examples, defaults, any
order, or what BentoML adds to every service.

The summary has three levels; if it is too long, the finest are left out first:

`digest`, `count`
    one digest of everything, and how many operations there are;
`operations`
    a digest by operation (`POST /predict`), and `deprecated`: the deprecated ones, if there are any;
`fields`
    by operation [accepts, returns]. accepts: by field the types that it may have, `|` between
    them, and `!` after them if it is required. returns: by field its type, and `?` after it if
    it may be missing.

A field is a path: `query.items[].price`, `tags{}` for the values of a mapping, empty for the body.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MOST_BYTES = 3900
"""Largest summary; the kubelet cuts a termination message at 4,096 bytes."""
LARGEST_DOCUMENT = 2**20
"""Largest openapi.yaml in bytes that is read, so that the check doesn't delay a start."""
MOST_FIELDS = 5000
OWN_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
SILENT = frozenset(
    {"title", "description", "example", "examples", "default", "externalDocs", "deprecated",
     "$comment", "$defs", "definitions"}
)  # fmt: skip
"""Keywords of a schema without effect on accepted or returned values."""
SHAPE = frozenset(
    {"type", "enum", "const", "properties", "required", "items", "prefixItems",
     "additionalProperties", "anyOf", "oneOf", "allOf", "$ref", "nullable"}
)  # fmt: skip
"""Keywords that the paths and types below consist of; all others are part of a type."""
JSON = "application/json"
PLAIN = re.compile(r"[\w.+-]{1,24}")

Fields = dict[str, tuple[frozenset[str], bool]]
"""Types by path, and whether the field always exists."""


class NoSummary(Exception):  # noqa: N818 - says what is the case
    """The document can't be summarised."""


def summarise(folder: Path, most_bytes: int = MOST_BYTES, deprecated: str = "") -> str:
    """Return the summary of the bento in `folder` as JSON; empty if its API can't be read.

    `deprecated` lists operations, separated by commas, that are deprecated beside those of the document.
    """
    path = folder / "apis" / "openapi.yaml"
    try:
        if path.stat().st_size > LARGEST_DOCUMENT:
            return ""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = yaml.load(path.read_bytes(), loader)  # noqa: S506 - the safe one
        return render(document, most_bytes, deprecated)
    except (
        OSError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
        yaml.YAMLError,
        NoSummary,
    ):
        return ""  # no mistake in it prevents a version from serving


def render(document: Mapping[str, Any], most_bytes: int = MOST_BYTES, deprecated: str = "") -> str:
    """Return the summary of an OpenAPI document, as fine as the size allows."""
    operations = dict(_operations(document))
    fields = {name: _operation(document, one) for name, one in operations.items()}
    deprecated_names = {" ".join(name.split()) for name in deprecated.split(",")}
    obsolete = sorted(
        name
        for name, operation in operations.items()
        if operation.get("deprecated") is True or name in deprecated_names
    )
    marked = {"deprecated": obsolete} if obsolete else {}
    digests = {name: digest(one) for name, one in fields.items()}
    all_fields = {"digest": digest(fields), "count": len(fields)}
    with_operations = {**all_fields, "operations": digests, **marked}
    for levels in ({**with_operations, "fields": fields}, with_operations, all_fields):
        text = json.dumps({"api": levels}, sort_keys=True, separators=(",", ":"))
        if len(text.encode()) <= most_bytes:
            break
    return text


def digest(value: object) -> str:
    """Return a digest of a JSON value, of ten hex digits."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        if path in OWN_PATHS:
            continue
        shared = item.get("parameters") or []
        for method in METHODS & item.keys():
            operation = item[method]
            own_parameters = [*shared, *(operation.get("parameters") or [])]
            yield f"{method.upper()} {path}", {**operation, "parameters": own_parameters}


def _operation(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[dict[str, str]]:
    flat = _Flattening(document)
    accepted: Fields = {}
    for parameter in map(flat.resolved, operation["parameters"]):
        name = f"{parameter['in']}:{parameter['name']}"
        required = bool(parameter.get("required"))
        flat.add(accepted, name, parameter.get("schema") or {}, always=required)
    body = flat.resolved(operation.get("requestBody") or {})
    for kind, content in (body.get("content") or {}).items():
        prefix = "" if kind == JSON else f"({kind})"
        flat.add(accepted, prefix, content.get("schema") or {}, always=bool(body.get("required")))
    returned: Fields = {}
    for code, answer in (operation.get("responses") or {}).items():
        if not str(code).startswith("2"):
            continue
        for kind, content in (flat.resolved(answer).get("content") or {}).items():
            prefix = ("" if str(code) == "200" else f"{code} ") + (
                "" if kind == JSON else f"({kind})"
            )
            flat.add(returned, prefix, content.get("schema") or {}, always=True)
    return [
        {
            path: "|".join(sorted(types)) + "!" * always
            for path, (types, always) in accepted.items()
        },
        {
            path: "|".join(sorted(types)) + "?" * (not always)
            for path, (types, always) in returned.items()
        },
    ]


class _Flattening:
    """Conversion of one document's schemas to types by path."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._room = MOST_FIELDS

    def resolved(self, schema: Any) -> Mapping[str, Any]:
        """Resolve a `$ref`."""
        for _ in range(16):
            if not isinstance(schema, dict):
                return {}
            if "$ref" not in schema:
                return schema
            schema = self._target(schema["$ref"])
        raise NoSummary("references without end")

    def add(
        self, fields: Fields, path: str, schema: Any, *, always: bool, within: tuple[str, ...] = ()
    ) -> None:
        """Add the types of the field at `path`, and of those below it."""
        self._room -= 1
        if self._room < 0:
            raise NoSummary("too many fields")
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if reference in within:
            _merge(fields, path, {"recursive"}, always=always)
            return
        within = (*within, reference) if reference else within
        schema = _merged(self, self.resolved(schema))
        variants = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
        if variants:
            self._add_variants(fields, path, variants, always=always, within=within)
            return
        _merge(fields, path, _types(schema), always=always)
        required = schema.get("required") or ()
        for name, property_schema in (schema.get("properties") or {}).items():
            below = f"{path}.{name}" if path else str(name)
            self.add(fields, below, property_schema, always=name in required, within=within)
        if isinstance(schema.get("items"), dict):
            self.add(fields, f"{path}[]", schema["items"], always=False, within=within)
        if isinstance(schema.get("additionalProperties"), dict):
            self.add(
                fields, f"{path}{{}}", schema["additionalProperties"], always=False, within=within
            )

    def _add_variants(
        self,
        fields: Fields,
        path: str,
        variants: list[Any],
        *,
        always: bool,
        within: tuple[str, ...],
    ) -> None:
        """Add a field with several possible schemas: a field below it is certain only if all have it."""
        variant_fields: list[Fields] = []
        for variant in variants:
            variant_union: Fields = {}
            self.add(variant_union, path, variant, always=always, within=within)
            variant_fields.append(variant_union)
        objects = [candidate for candidate in variant_fields if len(candidate) > 1]
        for candidate in variant_fields:
            for below, (types, is_required) in candidate.items():
                always_present = is_required and (
                    below == path or all(below in other for other in objects)
                )
                _merge(fields, below, types, always=always_present)

    def _target(self, reference: str) -> Any:
        target: Any = self._document
        for part in reference.removeprefix("#/").split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~"), {})
        return target


def _merge(fields: Fields, path: str, types: set[str] | frozenset[str], *, always: bool) -> None:
    types_before, always_present = fields.get(path, (frozenset(), True))
    fields[path] = (types_before | types, always_present and always)


def _merged(flat: _Flattening, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema merged with its `allOf`."""
    if not schema.get("allOf"):
        return schema
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        merged_part = _merged(flat, flat.resolved(part))
        for key, value in merged_part.items():
            if key == "properties":
                merged[key] = {**value, **merged.get(key, {})}
            elif key == "required":
                merged[key] = [*merged.get(key, ()), *value]
            else:
                merged.setdefault(key, value)
    return merged


def _types(schema: Mapping[str, Any]) -> set[str]:
    """Return the types of a field, each with its constraints; for an enumeration each value."""
    kinds = schema.get("type") or ("object" if "properties" in schema else "any")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    limits = {
        key: value
        for key, value in schema.items()
        if key not in SILENT | SHAPE and not key.startswith("x-")
    }
    if isinstance(schema.get("prefixItems"), list):
        limits["prefixItems"] = schema["prefixItems"]
    if schema.get("additionalProperties") is False:
        limits["closed"] = True
    name = str(limits.pop("format", "")) or None
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    suffix = f"({name})" if name else ""
    suffix += "(enum)" if values else ""
    suffix += f"#{digest(limits)[:6]}" if limits else ""
    types = {f"{kind}{suffix}" for kind in kinds}
    types |= {f"={_short(value)}" for value in values}
    return types | ({"null"} if schema.get("nullable") else set())


def _short(value: object) -> str:
    text = str(value)
    return text if PLAIN.fullmatch(text) else digest(value)[:6]
