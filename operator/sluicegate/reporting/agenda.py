"""When reviews come due, as a calendar that other programs read. Needs the extra `report`."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from icalendar import Calendar, Event

from sluicegate.api.product import DataProduct
from sluicegate.api.review import Cycle, ReviewCycle
from sluicegate.reviews.journal import LATE_DAYS
from sluicegate.reviews.periods import period_of, zone_of


def first_due_day(review_cycle: ReviewCycle, created: int) -> date:
    """Return the day on which the first review is due: the days in which it must be signed follow its seal.

    Parameters
    ----------
    created : creation of the product, in seconds since 1970; there is no review of a period before it.
    """
    first_day = date.fromisoformat(review_cycle.start_date)
    created_day = datetime.fromtimestamp(created, zone_of(review_cycle.time_zone)).date()
    period = period_of(review_cycle, max(first_day, created_day))
    assert period is not None
    return period.after + timedelta(days=LATE_DAYS + review_cycle.grace_days)


def recurrence_rule(review_cycle: ReviewCycle, first_day: date) -> dict[str, Any]:
    """Return the rule by which that day recurs, in the format of RFC 5545.

    A month without that day has its last day instead.
    """
    day = first_day.day
    last = {"bymonthday": [*range(28, day + 1)], "bysetpos": -1} if day > 28 else {}  # noqa: PLR2004
    match review_cycle.every:
        case Cycle.WEEK:
            return {"freq": "weekly"}
        case Cycle.FOUR_WEEKS:
            return {"freq": "weekly", "interval": 4}
        case Cycle.MONTH:
            return {"freq": "monthly", **last}
        case Cycle.QUARTER:
            return {"freq": "monthly", "interval": 3, **last}


def calendar(products: Iterable[DataProduct]) -> str:
    """Return a calendar with one recurring event for each reviewed product."""
    reviews_calendar = Calendar()
    reviews_calendar.add("prodid", "-//Sluicegate//Reviews//EN")
    reviews_calendar.add("version", "2.0")
    for product in products:
        review_cycle = product.spec.review
        if review_cycle is None:
            continue
        namespace, name = product.metadata.key
        event = Event()
        event.add("uid", f"{product.metadata.uid or f'{namespace}-{name}'}@reviews.sluicegate.dev")
        event.add("summary", f"Review of {product.spec.display_name or name}")
        roles = ", ".join(review_cycle.signed_by)
        event.add("description", f"sluicegate report {namespace}/{name}\nSigned by: {roles}")
        created = int(product.metadata.creation_timestamp or 0)
        first_day = first_due_day(review_cycle, created)
        event.add("dtstart", first_day)
        event.add("dtstamp", datetime.fromtimestamp(created, UTC))
        event.add("rrule", recurrence_rule(review_cycle, first_day))
        reviews_calendar.add_component(event)
    text: bytes = reviews_calendar.to_ical()
    return text.decode()
