"""Values within JSON documents, by paths as `result.label` or `predictions.0.label`."""

from __future__ import annotations

from typing import Any, Final

MISSING: Final = object()
"""What a path leads to that a document doesn't have."""


def value_at(document: Any, path: str) -> Any:
    """Return the value at a path, the whole document for an empty one; else MISSING."""
    value = document
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(name, MISSING)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


def without_path(document: Any, path: str) -> Any:
    """Return the document without the value at a path.

    Items of lists on the way are all meant; a position at the end leaves null there. A name may
    have dots itself, so `a.b` also means the field `a.b`.
    """
    if isinstance(document, list):
        name, _, remaining_path = path.partition(".")
        if name.isdecimal() and remaining_path:
            path = remaining_path
        elif name.isdecimal():
            document = [None if at == int(name) else item for at, item in enumerate(document)]
        return [without_path(item, path) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: without_path(value, path.removeprefix(f"{key}."))
        if path.startswith(f"{key}.")
        else value
        for key, value in document.items()
        if key != path
    }
