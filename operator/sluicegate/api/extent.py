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
MAX_LEVELS: Final = 64
"""Of objects and lists within each other; the schema has about 20."""
NAME: Final = 63
"""Characters of a field's name that a message repeats: one may be as long as a spec."""


def readable(spec: Any, path: str = "spec") -> tuple[str, Problem | None]:
    """Return a spec as compact JSON without nulls; or an empty object, and the problem of the spec."""
    if not isinstance(spec, dict):
        text = f"is {kind_of(spec)}, but must be an object: write its fields"
        return "{}", Problem(path, text)
    try:
        text = compact(without_nulls(spec))
    except RecursionError:
        return "{}", Problem(_deepest(spec, path), f"has more than {MAX_LEVELS} levels: flatten it")
    size = len(text.encode(errors="replace"))
    if size <= MAX_BYTES:
        return text, None
    where, part = _largest(spec, path)
    text = f"spec has {size} bytes as JSON, of which this has {part}: keep all to {MAX_BYTES}"
    return "{}", Problem(where, text)


def without_nulls(value: Any, levels: int = MAX_LEVELS) -> Any:
    """Remove fields that are null: the API server treats them as absent.

    RecursionError when more than so many objects and lists lie within each other.
    """
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise RecursionError
    below = levels - 1
    if isinstance(value, list):
        return [without_nulls(item, below) for item in value]
    return {k: without_nulls(item, below) for k, item in value.items() if item is not None}


def compact(value: Any) -> str:
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


def _deepest(spec: Mapping[str, Any], path: str) -> str:
    for name, value in spec.items():
        try:
            without_nulls(value, MAX_LEVELS - 1)
        except RecursionError:
            return f"{path}.{name[:NAME]}"
    return path


def _largest(part: Mapping[str, Any], path: str) -> tuple[str, int]:
    """Return path and bytes of the largest field, and of the largest one within it if it dominates."""
    sizes = {name: len(compact(value).encode(errors="replace")) for name, value in part.items()}
    name = max(sizes, key=lambda size: sizes[size])
    where, inner = f"{path}.{name[:NAME]}", part[name]
    if isinstance(inner, dict) and inner:
        below, within = _largest(inner, where)
        if 2 * within > sizes[name]:
            return below, within
    return where, sizes[name]
