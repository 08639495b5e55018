"""What differs between two statuses, and values as people read them, for goldens."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from sluicegate.api.versions import Release

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sluicegate.api.status import DataProductStatus


LONG = 80
"""Characters from which a value has a line of its own."""


def changes(before: DataProductStatus, after: DataProductStatus) -> Iterator[str]:
    """Return the fields that differ, with what they are after; those of one object share a line.

    None is what is gone; of a list it has the new elements, and how many are gone.
    """
    old, new = (one.model_dump(mode="json", exclude_defaults=True) for one in (before, after))
    return by_object(_differing(old, new, ""))


def by_object(leaves: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for the fields of each object, given their paths and values.

    For a long value its own.
    """
    together: dict[str, list[str]] = {}
    for path, text in leaves:
        parent, _, name = path.rpartition(".")
        alone = not parent or len(text) > LONG
        place, part = (path, text) if alone else (parent, f"{name} {text}")
        together.setdefault(place, []).append(part)
    for path, parts in together.items():
        yield f"{path}: {'; '.join(parts)}"


def _differing(before: Any, after: Any, path: str) -> Iterator[tuple[str, str]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}.{name}" if path else name
            yield from _differing(before.get(name), after.get(name), inner)
    elif isinstance(before, list) and isinstance(after, list):
        removed = sum(one not in after for one in before)
        new = [one for one in after if one not in before]
        yield path, f"{plain(new)}, {removed} gone"
    else:
        yield path, str(plain(after))


def by_difference(records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the first record with all of its fields.

    Of each other one what isn't as in the first.
    """
    previous: Mapping[str, Any] = {}
    for name, fields_of in records.items():
        if not previous:
            yield f"{name}:"
            yield from (f"  {field}: {value!r}" for field, value in fields_of.items())
            previous = fields_of
        else:
            other = [
                f"{k} {v!r}" for k, v in fields_of.items() if repr(previous.get(k, ...)) != repr(v)
            ]
            other += [f"no {k}" for k in previous if k not in fields_of]
            yield f"{name}: {('; '.join(other) or 'the same') if fields_of else 'none'}"


def plain(value: Any) -> Any:
    """Convert a value for comparison: round floats, and reduce records to their values."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Release):
        return value.version
    if isinstance(value, IntEnum | StrEnum):
        return value.name
    if is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in fields(value) if field.repr]
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
