"""Days that are missing in the ledgers of open reviews, including today, read from Prometheus."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.kube.resources import Key
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.targets import ProductKey
from sluicegate.prometheus.timing import SCRAPES_PER_BLOCK, Timing
from sluicegate.reviews.day_reader import STEP, DayReader
from sluicegate.reviews.journal import with_day
from sluicegate.reviews.ledger_writer import MAX_AGE_SECONDS
from sluicegate.reviews.periods import Day, Period, local_day, zone_of
from sluicegate.reviews.subject import subject_of
from sluicegate.settings import Settings
from sluicegate.wiring import endpoint_of, timing_of

MINUTE: Final = 60


async def with_missing_days(
    reviews: Sequence[DataProductReview],
    products: Iterable[DataProduct],
    settings: Settings,
    now: float,
) -> list[DataProductReview]:
    """Return the reviews, with the counts of missing days added to open ones.

    Nothing is written: the operator adds these days to the ledger once they are over.

    Raises
    ------
    PrometheusError
        The days can't be read.
    """
    timing = timing_of(settings)
    subjects = {Key(*product.metadata.key): subject_of(product, timing) for product in products}
    completed_reviews = list(reviews)
    async with Prometheus(endpoint_of(settings)) as source:
        reader = DayReader(source, timing, settings.watch_namespaces, step=step_of(timing))
        for place, review in enumerate(reviews):
            ref = review.spec.product_ref
            subject = subjects.get(Key(review.metadata.namespace, ref.name))
            if review.status.seal_time is not None or subject is None or subject.uid != ref.uid:
                continue
            days = missing_days(review, timing, now)
            if subject.target is None or not days:
                continue
            read = await reader.read([subject.target], [(day.begin, day.end) for day in days])
            status = review.status
            for day in days:
                counts = read.get((ProductKey(*subject.key), (day.begin, day.end)))
                if counts is not None:
                    status = with_day(status, day, counts, now, requests=subject.requests)
            completed_reviews[place] = review.replace(status=status)
    return completed_reviews


def missing_days(review: DataProductReview, timing: Timing, now: float) -> list[Day]:
    """Return the days missing in the ledger, from their begin; today ends with the newest complete block."""
    period, zone, step = review.spec.period, review.status.time_zone or "UTC", step_of(timing)
    first, after = (date.fromisoformat(local_day(one, zone)) for one in (period.start, period.end))
    until = timing.newest_complete(now, step) * step
    dates = {day.date for day in review.status.days}
    return [
        Day(day.date, day.begin, min(day.end, until))
        for day in Period("", first, after, zone_of(zone)).days()
        if now - MAX_AGE_SECONDS <= day.begin < until and day.date.isoformat() not in dates
    ]


def step_of(timing: Timing) -> int:
    """Return the seconds of a block: a minute if that has enough scrapes, as a day may have just begun."""
    return MINUTE if SCRAPES_PER_BLOCK * timing.scrape_seconds <= MINUTE else STEP
