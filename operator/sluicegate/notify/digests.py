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


def due_digest_day(plan: DigestPlan, last_day: str, now: float) -> str:
    """Return the day of the digest that is due, as `2026-12-01`; empty if none is.

    Parameters
    ----------
    last : the day of the last one; empty before the first.
    """
    local_time = datetime.fromtimestamp(now, ZoneInfo(plan.time_zone))
    hours, minutes = map(int, plan.at.split(":"))
    due_time = local_time.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    late_seconds = now - due_time.timestamp()
    day = local_time.date().isoformat()
    return day if day != last_day and 0 <= late_seconds < LATEST_HOURS * 3600 else ""


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


def digest_content(
    day: str, products: Sequence[DigestedProduct], *, total: int, now: float
) -> dict[str, Any]:
    """Return the content of a digest: the needs by kind, and states that are only reported.

    Parameters
    ----------
    now : in seconds since 1970.
    """
    products_by_part = {
        LABELS[kind]: [
            product
            for product in products
            if any(open_need.kind is kind for open_need in product.needs)
        ]
        for kind in NeedKind
    } | {
        "Degraded": [product for product in products if product.cursor.degraded],
        "Cannot be measured": [product for product in products if product.cursor.lost],
        "Not measured or not ready since yesterday": [
            product for product in products if now - product.cursor.outage < DAY
        ],
        "Promoted since yesterday": [
            product for product in products if now - product.cursor.promoted < DAY
        ],
    }
    return {
        "day": day,
        "total": total,
        "needsPerson": sum(bool(product.needs) for product in products),
        "products": {
            name: sorted(product.path for product in part_products)
            for name, part_products in products_by_part.items()
            if part_products
        },
    }
