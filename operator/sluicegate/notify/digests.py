"""Digests: once a day, what needs a person and what is degraded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sluicegate.notify.configuration import DigestPlan
from sluicegate.notify.cursor import Cursor
from sluicegate.views.needs import LABELS, Need, NeedKind

DAY: Final = 86_400
LATEST_HOURS: Final = 12
"""After this a digest that was missed isn't made any more; the next one is near."""


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


@dataclass(frozen=True, slots=True)
class DigestedProduct:
    """What a digest reads of a product.

    Attributes
    ----------
    path : `namespace/name`. needs : what it needs of a person, as the page lists it.
    """

    path: str
    cursor: Cursor
    needs: tuple[Need, ...] = ()


def content(
    day: str, products: Sequence[DigestedProduct], *, total: int, now: float
) -> dict[str, Any]:
    """What a digest says of products: the needs by kind, and states that are only reported.

    Parameters
    ----------
    now : in seconds since 1970.
    """
    parts = {
        LABELS[kind]: [one for one in products if any(need.kind is kind for need in one.needs)]
        for kind in NeedKind
    } | {
        "Degraded": [one for one in products if one.cursor.degraded],
        "Cannot be measured": [one for one in products if one.cursor.lost],
        "Promoted since yesterday": [one for one in products if now - one.cursor.promoted < DAY],
    }
    return {
        "day": day,
        "total": total,
        "needsPerson": sum(bool(one.needs) for one in products),
        "products": {
            name: sorted(one.path for one in part) for name, part in parts.items() if part
        },
    }
