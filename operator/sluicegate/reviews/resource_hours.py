"""Reserved resources of a product's pods and trainings: their time, times the requests of one. Pure.

The unit is hours, not money: a ledger has no prices, and reserved resources are unavailable to
others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from sluicegate.api.containers import quantity_number
from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import DataProductReviewStatus, ReviewDay
from sluicegate.reviews.periods import local_day
from sluicegate.views.resource_hours import MEMORY, ResourceHours

HOUR_SECONDS: Final = 3_600
_UNITS: Final[Mapping[str, float]] = {MEMORY: 2.0**30, "ephemeral-storage": 2.0**30}
"""Bytes of a unit for people (GiB); for other resources the unit is one."""


def hours_of(
    days: Iterable[ReviewDay], trainings: Iterable[EndedTraining] = ()
) -> ResourceHours | None:
    """Return the hours of these days and trainings; None if none has any."""
    day_hours = [
        (day.pod_seconds / HOUR_SECONDS, day.pod_requests) for day in days if day.pod_seconds
    ]
    training_hours = [
        ((training.end_time - training.start_time) / HOUR_SECONDS, training.requests)
        for training in trainings
    ]
    if not day_hours and not training_hours:
        return None
    return ResourceHours(
        days=len(day_hours),
        pods=sum(hours for hours, _ in day_hours),
        reserved=_reserved_hours(day_hours),
        trainings=len(training_hours),
        training=sum(hours for hours, _ in training_hours),
        trained=_reserved_hours(training_hours),
    )


def _reserved_hours(reserved_spans: Iterable[tuple[float, Mapping[str, str]]]) -> dict[str, float]:
    """Return hours by resource, for times in hours with the requests of one container."""
    totals: defaultdict[str, float] = defaultdict(float)
    for hours, requests in reserved_spans:
        for name, resource_requests in requests.items():
            totals[name] += (
                hours * float(quantity_number(resource_requests)) / _UNITS.get(name, 1.0)
            )
    return dict(sorted(totals.items()))


def trainings_ended_on(
    status: DataProductReviewStatus, dates: Collection[str]
) -> list[EndedTraining]:
    """Return the trainings of a ledger that ended on one of these days."""
    zone = status.time_zone or "UTC"
    return [
        training for training in status.trainings if local_day(training.end_time, zone) in dates
    ]
