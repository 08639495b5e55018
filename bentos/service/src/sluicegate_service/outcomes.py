"""What became of predictions, as counters that the operator reads.

The labels are `prediction_version` and `prediction_revision`, the version that made the prediction:
the pod that learns the truth may serve another one.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from sluicegate_service.environment import EVENTS_METRIC, LABELLED_METRIC

_PREDICTED: Final = ("prediction_version", "prediction_revision")


class Outcome(StrEnum):
    """Whether a prediction was right."""

    CORRECT = "correct"
    WRONG = "wrong"

    @classmethod
    def of(cls, *, correct: bool) -> "Outcome":
        """The outcome of a comparison."""
        return cls.CORRECT if correct else cls.WRONG


class Event(StrEnum):
    """Whether an event of an indicator of the product's own was a good one."""

    GOOD = "good"
    BAD = "bad"

    @classmethod
    def of(cls, *, good: bool) -> "Event":
        """The event of a condition."""
        return cls.GOOD if good else cls.BAD


@dataclass(frozen=True, slots=True)
class OutcomeCounters:
    """The two counter families; one instance a process.

    Each version's series begin at 0, so that a rate over the first block isn't blind to the first
    outcomes. In BentoML's workers prometheus_client's multi-process mode adds them up.
    """

    labelled: Counter
    events: Counter
    indicators: tuple[str, ...] = field(default=())

    @classmethod
    def create(
        cls,
        *,
        version: str,
        revision: str = "",
        indicators: tuple[str, ...] = (),
        registry: CollectorRegistry = REGISTRY,
    ) -> Self:
        """Register the counters, with the series of the version that this process serves at 0."""
        counters = cls(
            labelled=Counter(
                LABELLED_METRIC,
                "Predictions whose truth is known.",
                ["outcome", *_PREDICTED],
                registry=registry,
            ),
            events=Counter(
                EVENTS_METRIC,
                "Good and bad events of the product's own indicators.",
                ["indicator", "outcome", *_PREDICTED],
                registry=registry,
            ),
            indicators=indicators,
        )
        counters.know(version, revision)
        return counters

    def know(self, version: str, revision: str = "") -> None:
        """Begin all series of a version at 0."""
        predicted = dict(zip(_PREDICTED, (version, revision), strict=True))
        for outcome in Outcome:
            self.labelled.labels(outcome=outcome.value, **predicted)
        for indicator in self.indicators:
            for event in Event:
                self.events.labels(indicator=indicator, outcome=event.value, **predicted)

    def count(self, outcome: Outcome, *, version: str, revision: str = "") -> None:
        """Count one prediction of a version whose truth has come."""
        predicted = dict(zip(_PREDICTED, (version, revision), strict=True))
        self.labelled.labels(outcome=outcome.value, **predicted).inc()

    def count_event(
        self, indicator: str, event: Event, *, version: str, revision: str = ""
    ) -> None:
        """Count one good or bad event of an indicator."""
        predicted = dict(zip(_PREDICTED, (version, revision), strict=True))
        self.events.labels(indicator=indicator, outcome=event.value, **predicted).inc()
