"""Service level objectives of a product, each as bad events of all events.

Everything that decides is a count. A gauge is the exception for numbers that come as no
count, and speaks more weakly.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, DecimalString, RatioString, Rule
from sluicegate.api.model import SloName
from sluicegate.api.patterns import described

MetricName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,127}$",
            "must be the name of a metric, without labels and functions: write e.g. clicks_total, or use the indicator promql",
        ),
        max_length=128,
    ),
]
"""Name of a counter or gauge that the product exports."""
PromqlExpression = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
"""An instant vector of PromQL; `$block` is the length of a block."""
MAX_PROMQL_SLOS: Final = 2
"""SLOs of a product that have a query of their own."""
LagSeconds = Annotated[int, Field(ge=0, le=604_800)]


class OnDegraded(StrEnum):
    """What follows when an SLO is degraded and the diagnosis doesn't object."""

    AUTO = "Auto"
    """Roll back a recent release; wait while a cause is outside the model; otherwise retrain."""
    RETRAIN = "Retrain"
    """Retrain, without the check for a recent release."""
    ROLLBACK = "Rollback"
    """Roll back to the previous version."""
    ALERT = "Alert"
    """Emit an alert, and change nothing."""
    IGNORE = "Ignore"
    """Show it, and leave it out of the product's state."""


class OnMarketMissed(StrEnum):
    """What follows when a market misses an SLO while the product as a whole isn't degraded."""

    ALERT = "Alert"
    """Report it: in conditions, messages, metrics and as a need of a person. Change nothing."""
    RETRAIN = "Retrain"
    """Report it, and retrain as for a degraded SLO, if no cause outside the model is found."""
    IGNORE = "Ignore"
    """Show the market's numbers in status only."""


class OnMarketWorse(StrEnum):
    """What follows when a candidate is surely worse than the stable version in a market."""

    ALERT = "Alert"
    """Name the market in the decisions about the candidate."""
    HOLD = "Hold"
    """Also hold the candidate at its share: until no market is worse, a person promotes it, or the
    rollout's time is over."""


class CanaryEvidence(StrEnum):
    """Whether a promotion needs evidence of an SLO in favour. Evidence against always counts."""

    REQUIRED = "Required"
    """Always; a candidate waits until it does, or runs out of time."""
    IF_AVAILABLE = "IfAvailable"
    """If an equal candidate can get an answer within rollout.maxDurationSeconds; without that
    field, always where an SLO about the answers has had any events in the last week."""
    POST_PROMOTION = "PostPromotion"
    """Never; the probation after the promotion watches it."""


class Seasonality(StrEnum):
    """Which swing of the bad ratio is normal."""

    AUTO = "Auto"
    """Whole days and the same hours of days are compared where the hours of the day differ."""
    WEEKLY = "Weekly"
    """Each weekday has a baseline of its own."""


class IndicatorKind(StrEnum):
    """The kinds of indicators, as the fields of `indicator` are called."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    OUTCOMES = "outcomes"
    EVENTS = "events"
    COUNTERS = "counters"
    GAUGE = "gauge"
    PROMQL = "promql"


QUALITY_KINDS: Final = frozenset(IndicatorKind) - {
    IndicatorKind.AVAILABILITY,
    IndicatorKind.LATENCY,
    IndicatorKind.GAUGE,
}
"""Kinds that say how good the answers are, not only how they are served."""
MARKET_INDICATORS: Final = frozenset(
    {
        IndicatorKind.AVAILABILITY,
        IndicatorKind.LATENCY,
        IndicatorKind.OUTCOMES,
        IndicatorKind.EVENTS,
    }
)
"""Kinds whose events the library counts by market."""


class Availability(ApiModel):
    """Bad: answered with 5xx, or by no pod. All: requests to the service's API routes."""


class Latency(ApiModel):
    """Bad: slower than the threshold. All: requests that succeeded."""

    threshold_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)]
    """Threshold in milliseconds; it must be a bound of the service's request histogram."""


class Outcomes(ApiModel):
    """Bad: wrong. All: predictions whose truth is known (sluicegate_predictions_labelled_total)."""

    lag_seconds: LagSeconds | None = None
    """Time after which all labels of a prediction are there, if you know it. After each change of a
    share, a canary compares labels only from then on, and so long the SLO of the stable version is
    Unknown. Left out, a canary compares labels of the same ages, and measures how late they are."""


class Events(ApiModel):
    """Good and bad events that the service counts with sluicegate-service.

    The counter is sluicegate_indicator_events_total; one query reads it for all products.
    """

    indicator: SloName | None = None
    """Value of the counter's label `indicator`; the SLO's name when left out."""
    lag_seconds: LagSeconds = 0
    """Maximum delay between an event and the good event that belongs to it."""


class Counters(ApiModel):
    """Two counters of the product's own; bad is total less good."""

    good: MetricName
    """Counter of good events."""
    total: MetricName
    """Counter of all events."""
    lag_seconds: LagSeconds = 0
    """Maximum delay between an event and the good event that belongs to it (a click after a
    search)."""


class GaugeDirection(StrEnum):
    """Which way of a gauge is the good one."""

    HIGHER_IS_BETTER = "HigherIsBetter"
    LOWER_IS_BETTER = "LowerIsBetter"


class Gauge(ApiModel):
    """A number that is not a count. Prefer counters: a gauge has no measure of its uncertainty."""

    metric: MetricName
    """Name of the gauge metric."""
    direction: GaugeDirection = GaugeDirection.HIGHER_IS_BETTER
    """Direction in which the gauge is good."""
    bound: DecimalString | None = None
    """Limit that the mean of a block must not be worse than, as a decimal string."""
    stale_after_seconds: Annotated[int, Field(ge=10, le=2_678_400)] = 900
    """Age beyond which a sample counts as missing."""


class PromqlRatio(ApiModel):
    """Good and all events of a block by two expressions; bad is total less good.

    The operator adds the namespace of the product to each selector. Each such SLO costs a query of
    its own in each block.
    """

    cel_rules: ClassVar = (
        Rule(
            cel="self.good.contains('$block') && self.total.contains('$block')",
            holds=lambda self: "$block" in self.good and "$block" in self.total,
            message="good and total must count the events of a block: write increase(…[$block])",
        ),
    )

    good: PromqlExpression
    """Good events in a block by label `version`, as sum by (version) (increase(good_total[$block]))."""
    total: PromqlExpression
    """All events in a block by label `version`."""


_KINDS = tuple(IndicatorKind)


class Indicator(ApiModel):
    """Events or values that are measured; exactly one kind."""

    cel_rules: ClassVar = (
        Rule(
            cel="[" + ", ".join(f"has(self.{kind})" for kind in _KINDS) + "]"
            ".filter(given, given).size() == 1",
            holds=lambda self: sum(getattr(self, kind) is not None for kind in _KINDS) == 1,
            message="set exactly one of availability, latency, outcomes, events, counters, gauge and promql",
        ),
    )

    availability: Availability | None = None
    """Requests; those that are answered with 5xx are bad. Pods count them. A request that reaches
    no pod counts as bad if the operator reads the gateway's counters (SLUICEGATE_GATEWAY_METRICS)
    and the product has a route. Otherwise it is not counted, and only the condition Ready shows it
    (PodsNotReady)."""
    latency: Latency | None = None
    """Requests; those that take longer than the threshold are bad."""
    outcomes: Outcomes | None = None
    """Predictions with a known outcome; wrong ones are bad."""
    events: Events | None = None
    """Events that the service counts with the sluicegate-service library."""
    counters: Counters | None = None
    """Two counters of the product's own."""
    gauge: Gauge | None = None
    """A measured value that is not a count of events."""
    promql: PromqlRatio | None = None
    """Events by two expressions of PromQL, where no counter of the product's pods has them."""

    @property
    def kind(self) -> IndicatorKind:
        """Return the kind of the indicator."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def lag_seconds(self) -> int:
        """Return the seconds by which good events lag behind their totals."""
        lagging_indicator = self.events or self.counters
        return lagging_indicator.lag_seconds if lagging_indicator else 0


class SloMarkets(ApiModel):
    """What follows from the state of an SLO in single markets."""

    on_missed: OnMarketMissed = OnMarketMissed.ALERT
    """Action when a market misses the SLO while the product as a whole isn't degraded."""
    on_candidate_worse: OnMarketWorse = OnMarketWorse.ALERT
    """Action when a candidate is surely worse than the stable version in a market."""


class Slo(ApiModel):
    """A service level objective of the product."""

    cel_rules: ClassVar = (
        Rule(
            cel="!has(self.objective) || (double(self.objective) > 0.0 && double(self.objective) < 1.0)",
            holds=lambda self: self.objective is None or 0 < Decimal(self.objective) < 1,
            message='objective must lie between 0 and 1, both excluded: write 99.9 % as "0.999"',
            field="objective",
        ),
        Rule(
            cel="has(self.objective) || has(self.maxDrop) || has(self.indicator.gauge)",
            holds=lambda self: bool(self.objective or self.max_drop or self.indicator.gauge),
            message="set objective (a level that always holds), maxDrop (from the accepted baseline),"
            " or both",
            field="objective",
        ),
        Rule(
            cel="!has(self.objective) || !has(self.indicator.gauge)",
            holds=lambda self: self.objective is None or self.indicator.gauge is None,
            message="a gauge has no ratio: leave objective out and set indicator.gauge.bound",
            field="objective",
        ),
        Rule(
            cel="has(self.indicator.gauge) || ((!has(self.maxDrop) || (double(self.maxDrop) > 0.0"
            " && double(self.maxDrop) < 1.0)) && (!has(self.maxRegression) ||"
            " (double(self.maxRegression) > 0.0 && double(self.maxRegression) < 1.0)))",
            holds=lambda self: (
                bool(self.indicator.gauge)
                or all(
                    _is_positive_margin(margin) for margin in (self.max_drop, self.max_regression)
                )
            ),
            message="maxDrop and maxRegression are shares of all events, between 0 and 1: write three"
            ' points as "0.03"',
            field="maxDrop",
        ),
        Rule(
            cel="(!has(self.maxDrop) || double(self.maxDrop) > 0.0)"
            " && (!has(self.maxRegression) || double(self.maxRegression) > 0.0)",
            holds=lambda self: all(
                margin is None or Decimal(margin) > 0
                for margin in (self.max_drop, self.max_regression)
            ),
            message="maxDrop and maxRegression must be above 0",
            field="maxDrop",
        ),
        Rule(
            cel="!has(self.markets) || has(self.indicator.availability) || has(self.indicator.latency)"
            " || has(self.indicator.outcomes) || has(self.indicator.events)",
            holds=lambda self: self.markets is None or self.indicator.kind in MARKET_INDICATORS,
            message="markets is for indicators that are counted by market: availability, latency,"
            " outcomes and events; leave it out",
            field="markets",
        ),
    )

    name: SloName
    """Name of the SLO; unique in the product."""
    indicator: Indicator
    """Events or values that the objective is about."""
    objective: RatioString | None = None
    """Objective: the least share of good events, as a decimal string."""
    max_drop: DecimalString | None = None
    """Drop of the share of good events below the baseline that was frozen at acceptance, which is found
    as soon as there are events enough. With more events a smaller one is found, too; one of a tenth of
    it is not acted on. Of a gauge, in its unit."""
    max_regression: DecimalString | None = None
    """Maximum by which a candidate may be worse than the stable version; half of maxDrop when left
    out."""
    on_degraded: OnDegraded = OnDegraded.AUTO
    """Action of the operator when the SLO is degraded."""
    canary_evidence: CanaryEvidence = CanaryEvidence.IF_AVAILABLE
    """Whether a promotion needs evidence of this SLO in favour of the candidate."""
    seasonality: Seasonality = Seasonality.AUTO
    """Periodic swing that counts as normal."""
    markets: SloMarkets | None = None
    """Actions that follow from the state of the SLO in single markets; without it, Alert."""

    @property
    def measures_quality(self) -> bool:
        """Return whether the SLO measures the answers' quality."""
        return self.indicator.kind in QUALITY_KINDS

    @property
    def allowed_bad(self) -> float | None:
        """q0, the share of bad events that the objective allows."""
        return None if self.objective is None else float(1 - Decimal(self.objective))

    @property
    def drop(self) -> float | None:
        """MaxDrop as a number."""
        return None if self.max_drop is None else float(self.max_drop)

    @property
    def regression(self) -> float | None:
        """MaxRegression as a number."""
        return None if self.max_regression is None else float(self.max_regression)


def _is_positive_margin(margin: str | None) -> bool:
    return margin is None or 0 < Decimal(margin) < 1


class Analysis(ApiModel):
    """Division of measurements into blocks of time."""

    block_seconds: Annotated[int, Field(ge=5, le=3600)] = 300
    """Length of a block, the unit of time of every decision; at least four scrape intervals."""
