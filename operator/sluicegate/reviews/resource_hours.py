"""Reserved resources of a product's pods and trainings: their time, times the requests of one. Pure.

The unit is hours, not money: a ledger has no prices, and reserved resources are unavailable to
others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sluicegate.api.containers import amount
from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import DataProductReviewStatus, ReviewDay
from sluicegate.reviews.periods import local_day

HOUR_SECONDS: Final = 3_600
CPU: Final = "cpu"
MEMORY: Final = "memory"
_UNITS: Final[Mapping[str, float]] = {MEMORY: 2.0**30, "ephemeral-storage": 2.0**30}
"""Bytes of a unit for people (GiB); for other resources the unit is one."""


@dataclass(frozen=True, slots=True)
class ResourceHours:
    """Reserved hours of some days.

    Attributes
    ----------
    days : number of days with data. pods : hours of serving pods.
    reserved : of these pods, by resource: core hours of `cpu`, GiB hours of memory and storage,
        otherwise hours of one.
    trainings : number that ended. training : their hours. trained : their `reserved`.
    """

    days: int
    pods: float
    reserved: Mapping[str, float]
    trainings: int = 0
    training: float = 0.0
    trained: Mapping[str, float] = field(default_factory=dict)

    @property
    def cores_a_day(self) -> float:
        """Core hours a day, of pods and trainings."""
        return (self.reserved.get(CPU, 0.0) + self.trained.get(CPU, 0.0)) / max(self.days, 1)

    @property
    def gpus_a_day(self) -> float:
        """GPU hours a day, of pods and trainings."""
        return (_gpus(self.reserved) + _gpus(self.trained)) / max(self.days, 1)

    def document(self) -> dict[str, Any]:
        """Return a JSON document."""
        trainings = {
            "number": self.trainings,
            "hours": self.training,
            "reserved": dict(self.trained),
        }
        return {
            "days": self.days,
            "pods": self.pods,
            "reserved": dict(self.reserved),
            "trainings": trainings,
        }


def row_of(resource_hours: ResourceHours | None) -> tuple[float | None, ...]:
    """Return eight columns: hours of pods, with their core, GiB and GPU hours; the same of trainings."""
    if resource_hours is None:
        return (None,) * 8
    return tuple(
        value
        for hours, of in (
            (resource_hours.pods, resource_hours.reserved),
            (resource_hours.training, resource_hours.trained),
        )
        for value in (hours, of.get(CPU), of.get(MEMORY), _gpus(of))
    )


def _gpus(reserved: Mapping[str, float]) -> float:
    """Return the GPU hours, of any vendor."""
    return sum(hours for name, hours in reserved.items() if name.endswith("/gpu"))


def hours_of(
    days: Iterable[ReviewDay], trainings: Iterable[EndedTraining] = ()
) -> ResourceHours | None:
    """Return the hours of these days and trainings; None if none has any."""
    counted = [
        (day.pod_seconds / HOUR_SECONDS, day.pod_requests) for day in days if day.pod_seconds
    ]
    ended = [((one.end_time - one.start_time) / HOUR_SECONDS, one.requests) for one in trainings]
    if not counted and not ended:
        return None
    return ResourceHours(
        days=len(counted),
        pods=sum(hours for hours, _ in counted),
        reserved=_reserved(counted),
        trainings=len(ended),
        training=sum(hours for hours, _ in ended),
        trained=_reserved(ended),
    )


def _reserved(spans: Iterable[tuple[float, Mapping[str, str]]]) -> dict[str, float]:
    """Return hours by resource, for times in hours with the requests of one container."""
    totals: defaultdict[str, float] = defaultdict(float)
    for hours, requests in spans:
        for name, requested in requests.items():
            totals[name] += hours * float(amount(requested)) / _UNITS.get(name, 1.0)
    return dict(sorted(totals.items()))


def ended_on(status: DataProductReviewStatus, dates: Collection[str]) -> list[EndedTraining]:
    """Return the trainings of a ledger that ended on one of these days."""
    zone = status.time_zone or "UTC"
    return [one for one in status.trainings if local_day(one.end_time, zone) in dates]
