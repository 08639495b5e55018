"""Daily digests of needs and degraded products. Pure."""

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
"""Hours after which a missed digest is skipped, as the next one is near."""


def due_day(plan: DigestPlan, last: str, now: float) -> str:
    """Return the day of the digest that is due, as `2026-12-01`; empty if none is.

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
    """State of a product for a digest.

    Attributes
    ----------
    path : `namespace/name`. needs : its needs of a person, as on the page.
    """

    path: str
    cursor: Cursor
    needs: tuple[Need, ...] = ()


def content(
    day: str, products: Sequence[DigestedProduct], *, total: int, now: float
) -> dict[str, Any]:
    """Return the content of a digest: the needs by kind, and states that are only reported.

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
        "Not measured or not ready since yesterday": [
            one for one in products if now - one.cursor.outage < DAY
        ],
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
