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
    """Return the document without the value at a path; items of lists on the way are all meant."""
    name, _, rest = path.partition(".")
    if isinstance(document, list):
        inner = rest if name.isdecimal() and rest else path
        return [without_path(item, inner) for item in document]
    if not isinstance(document, dict) or name not in document:
        return document
    if not rest:
        return {key: value for key, value in document.items() if key != name}
    return document | {name: without_path(document[name], rest)}
