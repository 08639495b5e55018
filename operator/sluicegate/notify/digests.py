"""Digests: once a day, what needs a person and what is degraded. Pure."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sluicegate.notify.configuration import DigestPlan
from sluicegate.notify.cursor import Cursor

DAY: Final = 86_400
LATEST_HOURS: Final = 12
"""After this a digest that was missed isn't made any more; the next one is near."""

_PARTS: Final[Mapping[str, Callable[[Cursor], bool]]] = {
    "Waits for an approval": lambda one: bool(one.approval),
    "Stalled": lambda one: bool(one.stalled),
    "Retraining is suspended": lambda one: one.suspended,
    "Training Job is refused": lambda one: one.refused,
    "Review is overdue": lambda one: _has(one, "Overdue"),
    "Review waits for signatures": lambda one: _has(one, "ToReview"),
    "Degraded": lambda one: one.degraded,
    "Cannot be measured": lambda one: bool(one.lost),
}
_NEED_NOBODY: Final = ("Degraded", "Cannot be measured")


def _has(one: Cursor, state: str) -> bool:
    return any(review.state == state for review in one.reviews.values())


def due_day(plan: DigestPlan, last: str, now: float) -> str:
    """The day of which a digest is to be made now, as `2026-12-01`; empty while none is.

    Parameters
    ----------
    last : the day of the last one; empty before the first.
    """
    here = datetime.fromtimestamp(now, ZoneInfo(plan.time_zone))
    hours, minutes = map(int, plan.at.split(":"))
    at = here.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    late = now - at.timestamp()
    day = here.date().isoformat()
    return day if day != last and 0 <= late < LATEST_HOURS * 3600 else ""


def content(
    day: str, products: Iterable[tuple[str, Cursor]], *, total: int, now: float
) -> dict[str, Any]:
    """What a digest says of products, each given by its path and cursor."""
    found = list(products)
    parts = {
        name: sorted(path for path, one in found if holds(one)) for name, holds in _PARTS.items()
    }
    parts["Promoted since yesterday"] = sorted(
        path for path, one in found if now - one.promoted < DAY
    )
    needs = {
        path for name, paths in parts.items() if name in _PARTS and name not in _NEED_NOBODY
        for path in paths
    }  # fmt: skip
    return {
        "day": day,
        "total": total,
        "needsPerson": len(needs),
        "products": {name: paths for name, paths in parts.items() if paths},
    }
