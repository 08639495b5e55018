"""Times of status in the future, as the clock was set back after they were written.

A rollout, a wait or an absence that begins tomorrow never seems to last, and no block follows it:
the candidate keeps its share without a verdict until then. Such a time counts as now.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar, get_args

from sluicegate.api.base import StatusModel
from sluicegate.api.engine import Streak
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.retries import LONGEST_RETRY_SECONDS

Part = TypeVar("Part", bound=StatusModel)

AHEAD_SECONDS: Final = 300
"""A time that is less ahead stays: clocks of two replicas differ, and a takeover writes no status."""
_RETRY: Final = "retry_time"
_NEXT_ALLOWED: Final = "next_allowed_time"
"""A cooldown's end, which a person sets: it lies in the future by right, at any distance."""


def without_future(status: DataProductStatus, now: int, *, block_seconds: int) -> DataProductStatus:
    """Return the status without future times, after a clock step backwards; the same object if it has none.

    Parameters
    ----------
    now : in seconds. block_seconds : length of the blocks that streaks count by.
    """
    return _corrected(status, now, block_seconds)


def _corrected(part: Part, now: int, block_seconds: int) -> Part:
    update: dict[str, object] = {}
    for name, is_time in _fields(type(part)):
        value = getattr(part, name)
        after = _time(name, value, now) if is_time else _value(value, now, block_seconds)
        if after is not value:
            update[name] = after
    return part.replace(**update) if update else part


@cache
def _fields(kind: type[StatusModel]) -> tuple[tuple[str, bool], ...]:
    """Return the fields of a type that are or contain a time, by the API's naming rule."""
    fields = (
        (name, (field.alias or name).endswith("Time"), field.annotation)
        for name, field in kind.model_fields.items()
    )
    return tuple(
        (name, is_time)
        for name, is_time, field_type in fields
        if is_time or _holds_time(field_type)
    )


def _holds_time(annotation: object) -> bool:
    """Return whether a value of this type may hold a time or a streak."""
    if isinstance(annotation, type) and issubclass(annotation, StatusModel):
        return issubclass(annotation, Streak) or bool(_fields(annotation))
    return any(map(_holds_time, get_args(annotation)))


def _time(name: str, value: int | None, now: int) -> int | None:
    if value is None or name == _NEXT_ALLOWED:
        return value
    if name == _RETRY:
        latest_time = now + LONGEST_RETRY_SECONDS
        return min(value, latest_time)
    return value if value <= now + AHEAD_SECONDS else now


def _value(value: Any, now: int, block_seconds: int) -> Any:
    """Return a field's value; a streak of future blocks becomes None."""
    if isinstance(value, Streak):
        return value if value.last * block_seconds <= now + AHEAD_SECONDS else None
    if isinstance(value, StatusModel):
        return _corrected(value, now, block_seconds)
    if isinstance(value, tuple):
        parts = tuple(_value(item, now, block_seconds) for item in value)
        return (
            value
            if all(item is item_before for item, item_before in zip(parts, value, strict=True))
            else parts
        )
    if isinstance(value, Mapping):
        fields = {key: _value(item, now, block_seconds) for key, item in value.items()}
        return value if all(fields[key] is item for key, item in value.items()) else fields
    return value
