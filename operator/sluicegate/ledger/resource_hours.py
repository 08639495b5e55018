"""What a product's serving pods reserved: their time, times the requests of one pod. Pure.

Hours, not money: a ledger knows no prices, and what is reserved is what others can't have.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.containers import amount
from sluicegate.api.review import ReviewDay

HOUR_SECONDS: Final = 3_600
CPU: Final = "cpu"
MEMORY: Final = "memory"
_UNITS: Final[Mapping[str, float]] = {MEMORY: 2.0**30, "ephemeral-storage": 2.0**30}
"""Bytes of the unit that people count in; of other resources the unit is one."""


@dataclass(frozen=True, slots=True)
class ResourceHours:
    """Hours of some days.

    Attributes
    ----------
    days : days of which they are known. pods : hours of pods.
    reserved : by resource: core hours of `cpu`, GiB hours of memory and storage, otherwise hours of one.
    """

    days: int
    pods: float
    reserved: Mapping[str, float]

    @property
    def gpus(self) -> float:
        """Hours of GPUs, of whichever vendor."""
        return sum(hours for name, hours in self.reserved.items() if name.endswith("/gpu"))


def hours_of(days: Iterable[ReviewDay]) -> ResourceHours | None:
    """The hours of these days; None where none of them has any."""
    counted = [(day.pod_seconds / HOUR_SECONDS, day) for day in days if day.pod_seconds]
    reserved: defaultdict[str, float] = defaultdict(float)
    for hours, day in counted:
        for name, requested in day.pod_requests.items():
            reserved[name] += hours * float(amount(requested)) / _UNITS.get(name, 1.0)
    if not counted:
        return None
    pods = sum(hours for hours, _ in counted)
    return ResourceHours(len(counted), pods, dict(sorted(reserved.items())))
