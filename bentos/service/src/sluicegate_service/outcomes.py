"""Counters of the outcomes of predictions, for the operator.

The labels `prediction_version` and `prediction_revision` are the version that made the prediction:
the pod that receives the feedback may serve another one. `shadow_version` and `shadow_revision` are
the version that predicted for a mirror of the same request.
"""

import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from sluicegate_service.environment import EVENTS_METRIC, LABELLED_METRIC, PAIRED_METRIC
from sluicegate_service.markets import BAD, GOOD, OUTCOMES, Markets, know, market_events

AGE_BOUNDS: Final = (30, 300, 3_600, 21_600, 86_400, 259_200)
"""Upper bounds of the classes of age, in seconds: how old a prediction is when its label comes.

Right and wrong answers may become known after different times. The operator compares the versions'
labels of the same ages, so that such delays favour neither."""
AGES: Final = (*map(str, AGE_BOUNDS), "+Inf")
"""Values of the label `age`: the upper bound of the class."""
_PREDICTED: Final = ("prediction_version", "prediction_revision")
_SHADOW: Final = ("shadow_version", "shadow_revision")


class Outcome(StrEnum):
    """Whether a prediction was right."""

    CORRECT = "correct"
    WRONG = "wrong"

    @classmethod
    def of(cls, *, correct: bool) -> "Outcome":
        """Return the outcome of a comparison."""
        return cls.CORRECT if correct else cls.WRONG


class Event(StrEnum):
    """Whether an event of a product's own indicator was good."""

    GOOD = "good"
    BAD = "bad"

    @classmethod
    def of(cls, *, good: bool) -> "Event":
        """Return the event of a condition."""
        return cls.GOOD if good else cls.BAD


def age_class(seconds: float) -> str:
    """Return the class of a label whose prediction is so old."""
    return AGES[bisect_left(AGE_BOUNDS, seconds)]


@dataclass(frozen=True, slots=True)
class OutcomeCounters:
    """The counter families; one instance a process.

    Each version's series begin at 0, so that a rate over the first block includes the first
    outcomes. In BentoML's workers prometheus_client's multi-process mode adds them up.
    """

    labelled: Counter
    events: Counter
    paired: Counter
    indicators: tuple[str, ...] = field(default=())
    markets: Counter | None = None
    codes: frozenset[str] = frozenset()

    @classmethod
    def create(
        cls,
        *,
        version: str,
        revision: str = "",
        indicators: tuple[str, ...] = (),
        registry: CollectorRegistry = REGISTRY,
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """Return the counters, with the series of this process' version at 0.

        A registry has each family once: the launcher and the service's code share them.
        """
        markets = Markets.from_environment(environment)
        families = _families_of(registry)
        if markets and families.markets is None:
            families.markets = market_events(registry)
        counters = cls(
            labelled=families.labelled,
            events=families.events,
            paired=families.paired,
            indicators=indicators,
            markets=families.markets if markets else None,
            codes=markets.codes if markets else frozenset(),
        )
        counters.know(version, revision)
        return counters

    def know(self, version: str, revision: str = "") -> None:
        """Create all series of a version at 0."""
        predicted = dict(zip(_PREDICTED, (version, revision), strict=True))
        for outcome in Outcome:
            for age in AGES:
                self.labelled.labels(outcome=outcome.value, age=age, **predicted)
        for indicator in self.indicators:
            for event in Event:
                self.events.labels(indicator=indicator, outcome=event.value, **predicted)
        if self.markets is not None:
            all_counters = (OUTCOMES, *self.indicators)
            know(self.markets, self.codes, all_counters, predicted)

    def count(
        self,
        outcome: Outcome,
        *,
        version: str,
        revision: str = "",
        market: str = "",
        age: float = 0.0,
    ) -> None:
        """Count one labelled prediction of a version; by market too, if one is given.

        `age`: seconds from the prediction to its label.
        """
        predicted = dict(zip(_PREDICTED, (version, revision), strict=True))
        labels = {"outcome": outcome.value, "age": age_class(age), **predicted}
        self.labelled.labels(**labels).inc()
        self._count_market(OUTCOMES, GOOD if outcome is Outcome.CORRECT else BAD, market, predicted)

    def count_pair(
        self,
        outcome: Outcome,
        shadow_outcome: Outcome,
        *,
        prediction: tuple[str, str],
        shadow: tuple[str, str],
    ) -> None:
        """Count the predictions of two versions for one request.

        `prediction`, `shadow`: version and revision of the answer, and of the other prediction.
        """
        names = dict(zip((*_PREDICTED, *_SHADOW), (*prediction, *shadow), strict=True))
        outcomes = {"outcome": outcome.value, "shadow_outcome": shadow_outcome.value}
        self.paired.labels(**outcomes, **names).inc()

    def count_event(
        self,
        indicator: str,
        event: Event,
        *,
        version: str,
        revision: str = "",
        market: str = "",
    ) -> None:
        """Count one good or bad event of an indicator; by market too, if one is given."""
        predicted = dict(zip(_PREDICTED, (version, revision), strict=True))
        self.events.labels(indicator=indicator, outcome=event.value, **predicted).inc()
        self._count_market(indicator, event.value, market, predicted)

    def _count_market(
        self,
        indicator: str,
        outcome: str,
        market: str,
        predicted: Mapping[str, str],
    ) -> None:
        if self.markets is not None and market:
            labels = {"indicator": indicator, "outcome": outcome, "market": market, **predicted}
            self.markets.labels(**labels).inc()


@dataclass(slots=True)
class _Families:
    """What one registry has."""

    labelled: Counter
    events: Counter
    paired: Counter
    markets: Counter | None = None


_registered: Final[WeakKeyDictionary[CollectorRegistry, _Families]] = WeakKeyDictionary()


def _families_of(registry: CollectorRegistry) -> _Families:
    """Return the families of a registry; the first call registers them."""
    if registry not in _registered:
        _registered[registry] = _Families(
            labelled=Counter(
                LABELLED_METRIC,
                "Predictions whose truth is known, by their age at that time.",
                ["outcome", "age", *_PREDICTED],
                registry=registry,
            ),
            events=Counter(
                EVENTS_METRIC,
                "Good and bad events of the product's own indicators.",
                ["indicator", "outcome", *_PREDICTED],
                registry=registry,
            ),
            paired=Counter(
                PAIRED_METRIC,
                "Predictions of two versions for one request whose truth is known.",
                ["outcome", "shadow_outcome", *_PREDICTED, *_SHADOW],
                registry=registry,
            ),
        )
    return _registered[registry]
