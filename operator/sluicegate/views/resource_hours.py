"""Hours that a product's pods and trainings reserved in some days, as people read them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CPU: Final = "cpu"
MEMORY: Final = "memory"


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
        return (_gpu_hours(self.reserved) + _gpu_hours(self.trained)) / max(self.days, 1)

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
        for hours, reserved_hours in (
            (resource_hours.pods, resource_hours.reserved),
            (resource_hours.training, resource_hours.trained),
        )
        for value in (
            hours,
            reserved_hours.get(CPU),
            reserved_hours.get(MEMORY),
            _gpu_hours(reserved_hours),
        )
    )


def _gpu_hours(reserved: Mapping[str, float]) -> float:
    """Return the GPU hours, of any vendor."""
    return sum(hours for name, hours in reserved.items() if name.endswith("/gpu"))
