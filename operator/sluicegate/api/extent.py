"""How large and how deep a spec may be: bounds that hold for one stored before its schema had any.

The API server stores objects of more than a megabyte, and what it stored under a laxer schema it
goes on serving. A product that is larger than any real one is refused by name instead of kept.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sluicegate.errors import Problem

MAX_BYTES: Final = 64 * 1024
"""Of a spec as compact JSON, in bytes. The samples have less than 3 KiB."""
MAX_DEPTH: Final = 64
"""Of objects and lists within each other; the schema has about 20."""
MAX_NAME_LENGTH: Final = 63
"""Characters of a field's name that a message repeats: one may be as long as a spec."""


def readable_json(spec: Any, path: str = "spec") -> tuple[str, Problem | None]:
    """Return a spec as compact JSON without nulls; or an empty object, and the problem of the spec."""
    if not isinstance(spec, dict):
        text = f"is {kind_of(spec)}, but must be an object: write its fields"
        return "{}", Problem(path, text)
    try:
        text = compact_json(without_nulls(spec))
    except RecursionError:
        return "{}", Problem(
            _deepest_field(spec, path), f"has more than {MAX_DEPTH} levels: flatten it"
        )
    size = len(text.encode(errors="replace"))
    if size <= MAX_BYTES:
        return text, None
    field_path, field_size = _largest_field(spec, path)
    text = f"spec has {size} bytes as JSON, of which this has {field_size}: keep all to {MAX_BYTES}"
    return "{}", Problem(field_path, text)


def without_nulls(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Remove fields that are null: the API server treats them as absent.

    RecursionError when more than so many objects and lists lie within each other.
    """
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise RecursionError
    inner_depth = depth - 1
    if isinstance(value, list):
        return [without_nulls(item, inner_depth) for item in value]
    return {
        key: without_nulls(item, inner_depth) for key, item in value.items() if item is not None
    }


def compact_json(value: Any) -> str:
    """Return a value as JSON, the same for equal values. RecursionError for a deeply nested one."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def kind_of(value: Any) -> str:
    """Return the type of a JSON value, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _deepest_field(spec: Mapping[str, Any], path: str) -> str:
    for name, value in spec.items():
        try:
            without_nulls(value, MAX_DEPTH - 1)
        except RecursionError:
            return f"{path}.{name[:MAX_NAME_LENGTH]}"
    return path


def _largest_field(fields: Mapping[str, Any], path: str) -> tuple[str, int]:
    """Return path and bytes of the largest field, and of the largest one within it if it dominates."""
    sizes = {
        name: len(compact_json(value).encode(errors="replace")) for name, value in fields.items()
    }
    name = max(sizes, key=lambda size: sizes[size])
    field_path, field_value = f"{path}.{name[:MAX_NAME_LENGTH]}", fields[name]
    if isinstance(field_value, dict) and field_value:
        inner_path, inner_size = _largest_field(field_value, field_path)
        if 2 * inner_size > sizes[name]:
            return inner_path, inner_size
    return field_path, sizes[name]
