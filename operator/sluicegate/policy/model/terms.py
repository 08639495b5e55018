"""What one product is judged by: its spec as numbers, computed once a generation.

Decimal strings are parsed and thresholds, margins and least sample sizes are worked out here, as
five thousand products are judged each block.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from math import ceil
from typing import Final

from sluicegate.api.approvals import Approvals
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct, DataProductSpec
from sluicegate.api.product_info import Lifecycle
from sluicegate.api.retraining import (
    DEFAULT_COOLDOWN_SECONDS,
    DEFAULT_HOLD_OUT_REGRESSION,
    Retraining,
    RetrainingMode,
    Schedule,
)
from sluicegate.api.rollout import DEFAULT_MAX_DURATION_SECONDS, DEFAULT_STEPS, Approval
from sluicegate.api.serving import Serving
from sluicegate.api.slos import (
    MARKET_INDICATORS,
    QUALITY_KINDS,
    CanaryEvidence,
    IndicatorKind,
    OnDegraded,
    OnMarketMissed,
    OnMarketWorse,
    Seasonality,
    Slo,
    SloMarkets,
)
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.slo.burn_rate import (
    FAST_BURN_WINDOWS,
    SLOW_BURN_WINDOWS,
    Row,
    Threshold,
    thresholds,
)
from sluicegate.slo.indicators import INDICATORS, IndicatorDefinition
from sluicegate.stats.calendar import CLOCK, HOUR_SECONDS, Calendar
from sluicegate.stats.intervals import min_total
from sluicegate.stats.paired import Pairs

LABEL_LIFETIME_VARIABLE: Final = "PREDICTION_TOKEN_LIFETIME_SECONDS"
"""Variable of the library, in spec.serving.env."""
DEFAULT_LABEL_LIFETIME_SECONDS: Final = 7 * 86_400
"""Its default."""
DROPS_IN_BUDGET: Final = 2
"""Without `maxDrop`, half of what the objective allows is the drop that matters."""
RECENT_FAST, RECENT_SLOW = 12, 24
"""Blocks of the window that is shown: an hour and two at blocks of five minutes."""
_UNUSED_FIELDS: Final = {"canary_evidence", "seasonality", "markets"}
"""Fields of an SLO that neither a training nor its verdict reads."""
MAX_MARGIN: Final = 0.9999
"""A ratio that is worse by the margin has to be one still: below 1, by more than a float's noise."""


@dataclass(frozen=True, slots=True)
class GaugeTerms:
    """The criteria of a gauge.

    Attributes
    ----------
    sign : 1 when higher is better, −1 when lower is.
    bound : a block's mean may not be worse, in the gauge's unit; None without one.
    """

    sign: int
    bound: float | None


@dataclass(frozen=True, slots=True)
class SloTerms:
    """The criteria of one SLO.

    Attributes
    ----------
    name, kind, on_degraded, canary_evidence, seasonality : as in the spec.
    objective, allowed_bad_ratio : least share of good events, largest of bad ones; None without one.
    drop : d, how far the bad ratio may rise above the baseline.
    is_drop_given : whether a person chose it; otherwise it grows to what the baseline supports.
    margin : δ, by how much a candidate may be worse. is_margin_given : whether a person chose it;
        otherwise it follows from the rows, at most `drop`.
    lag_blocks : how long good events lag.
    thresholds : burn-rate rows that can trip; empty without an objective.
    min_events : events below which the SLO says nothing.
    recent : blocks of the window that is shown, and within which some events have to come.
    gauge : set for a gauge, which has no counts.
    hash : indicator and margins; other ones restart the evidence of a shadow phase.
    indicator_hash : the indicator alone; another one makes a baseline and evidence of stable worthless.
    calendar : how blocks lie in hours and days.
    label_lag_seconds : after which all labels of a prediction are there, by the spec; 0 if it doesn't
        say.
    without_feedback : it is judged by truths, and the product has no way to take them in.
    threshold : milliseconds within which a request is good, for a latency; else None.
    on_market_missed : what follows from single markets; nothing where the SLO itself is ignored.
    on_market_worse : what follows from a market in which a candidate is worse.
    consumer : `namespace/name` of the product whose SLO it is, in the canary of its upstream; empty for
        an SLO of the own spec.
    """

    name: str
    kind: IndicatorKind
    on_degraded: OnDegraded
    canary_evidence: CanaryEvidence
    seasonality: Seasonality
    objective: float | None
    allowed_bad_ratio: float | None
    drop: float
    is_drop_given: bool
    margin: float
    lag_blocks: int
    thresholds: tuple[Threshold, ...]
    recent: int
    gauge: GaugeTerms | None
    hash: str
    indicator_hash: str
    calendar: Calendar = CLOCK
    without_feedback: bool = False
    threshold: int | None = None
    is_margin_given: bool = True
    label_lag_seconds: int = 0
    on_market_missed: OnMarketMissed = OnMarketMissed.ALERT
    on_market_worse: OnMarketWorse = OnMarketWorse.ALERT
    consumer: str = ""

    @property
    def title(self) -> str:
        """Return the SLO's name for a sentence about a candidate, with its consumer's name."""
        if not self.consumer:
            return self.name
        product = self.consumer.partition("/")[2]
        return f"{product} / {self.name.removeprefix(f'{self.consumer}/')}"

    @property
    def subject(self) -> str:
        """Return the SLO's name for a sentence about the share of good events."""
        return self.name if self.threshold is None else f"{self.name} within {self.threshold} ms"

    @property
    def definition(self) -> IndicatorDefinition:
        """Return the definition of the SLO's indicator kind."""
        return INDICATORS[self.kind]

    @property
    def deciding(self) -> bool:
        """Return whether the SLO counts for the product's state and for a candidate."""
        return self.on_degraded is not OnDegraded.IGNORE

    @property
    def is_retrained(self) -> bool:
        """Return whether a degradation of the SLO causes a training if no cause outside the model is found."""
        can_be_retrained = self.definition.remaining_cause is not DecisionReason.AVAILABILITY_ONLY
        return can_be_retrained and self.on_degraded in {OnDegraded.AUTO, OnDegraded.RETRAIN}

    @property
    def follows_markets(self) -> bool:
        """Return whether the SLO is counted by market and a market that misses it has an effect."""
        is_counted = self.kind in MARKET_INDICATORS
        return is_counted and self.on_market_missed is not OnMarketMissed.IGNORE

    @property
    def measures_quality(self) -> bool:
        """Return whether the SLO measures the quality of answers, rather than availability or latency."""
        return self.kind in QUALITY_KINDS

    def margin_by(self, rows: Pairs | None) -> float:
        """Return δ: as given, else the least that the rows of both versions distinguish, up to maxDrop."""
        if rows is None or self.is_margin_given:
            return self.margin
        return min(HoldOutMargin(self.margin, self.drop).for_pairs(rows), MAX_MARGIN)

    def min_events(self, baseline_ratio: float | None = None) -> float:
        """Return the least number of events at which zero bad ones show the ratio to be allowed."""
        q = (
            self.allowed_bad_ratio
            if self.allowed_bad_ratio is not None
            else (baseline_ratio or 0.0) + self.drop
        )
        return min_total(min(q, 1.0))


@dataclass(frozen=True, slots=True)
class RetrainingTerms:
    """The terms of a product's retrainings.

    Attributes
    ----------
    hold_out_margins : allowed regression on the hold-out, by SLO.
    is_cooldown_given : whether a person chose the cooldown; else it ends once a drop is detectable.
    schedule : when a challenger is trained; None for never.
    gated : SLOs that the spec lists in its gate; a result must hold counts of them.
    inputs : hashes of what an attempt is made from: of what its Job reads, and of what else may be
        corrected after it: the pause, the gate, the runtime image, what the SLOs ask for.
    score_inputs : the same without what changes no score of the stable version: memory, CPU and time.
    """

    mode: RetrainingMode
    cooldown_seconds: int
    hold_out_margins: Mapping[str, HoldOutMargin]
    gated: frozenset[str] = frozenset()
    is_cooldown_given: bool = True
    schedule: Schedule | None = None
    inputs: str = ""
    score_inputs: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms for decisions about a product, named after the fields of the spec.

    `label_lifetime_seconds`: age of a prediction from which on no label of it counts.
    `shadow_seconds`: interval of the shadow phase; None without one. `mirrored`: share of the requests
    that are mirrored for it; None where Jobs read labelled rows.
    `are_steps_given`, `is_duration_given`: a person chose them. `names_runtime`: its runtime image is its own, not the operator's default. `routed`: a route
    splits its traffic; otherwise the pods of both versions share it by their number.
    `market_cells`: number of SLOs that are counted by market times that of markets, `other` included; 0
    where nothing is.
    `approvals`: parties that must agree to a promotion; None where none are named.
    """

    namespace: str
    name: str
    slos: tuple[SloTerms, ...]
    block_seconds: int
    calendar: Calendar
    steps: tuple[int, ...]
    max_duration_seconds: int
    approval: Approval
    history_limit: int
    retraining: RetrainingTerms | None
    lifecycle: Lifecycle
    suspend: bool
    names_runtime: bool = True
    routed: bool = True
    are_steps_given: bool = True
    is_duration_given: bool = True
    shadow_seconds: int | None = None
    mirrored: float | None = None
    label_lifetime_seconds: int = DEFAULT_LABEL_LIFETIME_SECONDS
    market_cells: int = 0
    approvals: Approvals | None = None

    @property
    def day_seconds(self) -> int:
        """Return the length of a day in seconds; see `Calendar`."""
        return self.calendar.day_seconds

    @property
    def ended(self) -> bool:
        """Return whether the product's lifecycle permits no new versions."""
        return self.lifecycle.has_ended

    @property
    def deciding(self) -> tuple[SloTerms, ...]:
        """Return the SLOs that count for state and candidates."""
        return tuple(slo for slo in self.slos if slo.deciding)

    def indicator(self, slo: str) -> str:
        """Return the indicator kind of an SLO; empty for an SLO that isn't in the spec."""
        return next((str(one.kind) for one in self.slos if one.name == slo), "")

    def block_end(self, index: int) -> int:
        """Return the end of a block, in seconds."""
        return index * self.block_seconds


def terms_of(product: DataProduct, hour_seconds: int = HOUR_SECONDS) -> Terms:
    """Return the terms of a product from its spec.

    Parameters
    ----------
    hour_seconds : length of an hour; the clock's but for demonstrations.
    """
    spec = product.spec
    calendar = Calendar(spec.analysis.block_seconds, hour_seconds)
    retraining = (
        None
        if spec.retraining is None
        else RetrainingTerms(
            spec.retraining.mode,
            DEFAULT_COOLDOWN_SECONDS
            if spec.retraining.cooldown_seconds is None
            else spec.retraining.cooldown_seconds,
            {slo.name: hold_out_margin(spec.retraining, slo) for slo in spec.slos},
            frozenset(spec.retraining.gate),
            is_cooldown_given=spec.retraining.cooldown_seconds is not None,
            schedule=spec.retraining.schedule,
            inputs=_inputs(product, spec.retraining),
            score_inputs=_inputs(
                product, spec.retraining, ignored={"resources", "timeout_seconds"}
            ),
        )
    )
    return Terms(
        namespace=product.metadata.namespace,
        name=product.metadata.name,
        slos=tuple(
            _slo_terms(slo, calendar, takes_truths=spec.serving.feedback is not None)
            for slo in spec.slos
        ),
        block_seconds=calendar.block_seconds,
        calendar=calendar,
        steps=spec.rollout.steps or DEFAULT_STEPS,
        are_steps_given=spec.rollout.steps is not None,
        max_duration_seconds=spec.rollout.max_duration_seconds or DEFAULT_MAX_DURATION_SECONDS,
        is_duration_given=spec.rollout.max_duration_seconds is not None,
        approval=Approval.MANUAL if spec.rollout.approvals else spec.rollout.approval,
        history_limit=spec.rollout.history_limit,
        retraining=retraining,
        lifecycle=spec.lifecycle,
        suspend=spec.suspend,
        names_runtime=spec.serving.runtime_image is not None,
        routed=spec.route is not None,
        shadow_seconds=spec.rollout.shadow.interval_seconds if spec.rollout.shadow else None,
        mirrored=mirror.percent / 100 if (mirror := spec.rollout.mirror) else None,
        label_lifetime_seconds=_label_lifetime(spec.serving),
        market_cells=_market_cells(spec),
        approvals=spec.rollout.approvals,
    )


def _market_cells(spec: DataProductSpec) -> int:
    if spec.serving.market is None:
        return 0
    counted_slos = sum(slo.indicator.kind in MARKET_INDICATORS for slo in spec.slos)
    return counted_slos * (len(spec.markets) + 1)


def _label_lifetime(serving: Serving) -> int:
    """Return the age at which the service library refuses a label, in seconds; its default if the setting is no number."""
    values = (
        env_variable.value
        for env_variable in serving.env
        if env_variable.name == LABEL_LIFETIME_VARIABLE
    )
    text = next(values, None) or ""
    return int(text) if text.isdecimal() else DEFAULT_LABEL_LIFETIME_SECONDS


def _inputs(product: DataProduct, retraining: Retraining, *, ignored: Collection[str] = ()) -> str:
    """Return hashes of the Job's inputs, and of other fields whose correction ends a pause; defaults don't count.

    The Job runs in stable's runtime image, which is frozen, so that of the spec is none of its inputs.
    """
    serving, slos = product.spec.serving, product.spec.slos
    retraining = retraining.replace(queue=product.queue or None)
    ignored_fields = {"cooldown_seconds", "gate"}
    job_parts = (
        retraining.model_dump_json(
            exclude_defaults=True, exclude={"mode", "schedule", *ignored_fields, *ignored}
        ),
        *(ref.name for ref in serving.image_pull_secrets),
    )
    verdict_parts = (
        retraining.model_dump_json(exclude_defaults=True, include=ignored_fields),
        serving.runtime_image or "",
        *(slo.model_dump_json(exclude_defaults=True, exclude=_UNUSED_FIELDS) for slo in slos),
    )
    return "-".join(_short_hash("\n".join(parts)) for parts in (job_parts, verdict_parts))


def job_inputs(inputs: str) -> str:
    """Return the input hashes of an attempt that its Job reads."""
    return inputs.partition("-")[0]


def hold_out_margin(retraining: Retraining | None, slo: Slo) -> HoldOutMargin:
    """Return the margin of an SLO on the hold-out: the gate's, else up to the SLO's allowed drop."""
    given_margin = retraining.hold_out_regression(slo.name) if retraining else None
    if given_margin is not None:
        return HoldOutMargin(given_margin, given_margin)
    return HoldOutMargin(DEFAULT_HOLD_OUT_REGRESSION, _drop(slo))


def _drop(slo: Slo) -> float:
    """Return d: as given, else half of the objective's allowed share."""
    return slo.drop if slo.drop is not None else (slo.allowed_bad or 0.0) / DROPS_IN_BUDGET


def _slo_terms(slo: Slo, calendar: Calendar, *, takes_truths: bool) -> SloTerms:
    kind, allowed = slo.indicator.kind, slo.allowed_bad
    definition = INDICATORS[kind]
    is_fast = definition.about_requests
    lag_blocks = ceil(slo.indicator.lag_seconds / calendar.block_seconds)
    gauge = slo.indicator.gauge
    drop = _drop(slo)
    indicator = slo.indicator.model_dump_json(exclude_none=True)
    markets = slo.markets or SloMarkets()
    ignored = slo.on_degraded is OnDegraded.IGNORE
    return SloTerms(
        name=slo.name,
        kind=kind,
        on_degraded=slo.on_degraded,
        canary_evidence=slo.canary_evidence,
        seasonality=slo.seasonality,
        objective=None if slo.objective is None else float(Decimal(slo.objective)),
        allowed_bad_ratio=allowed,
        drop=drop,
        is_drop_given=slo.drop is not None,
        margin=_margin(slo, definition, drop),
        is_margin_given=slo.regression is not None,
        lag_blocks=lag_blocks,
        thresholds=_thresholds(
            FAST_BURN_WINDOWS if is_fast else SLOW_BURN_WINDOWS, allowed, lag_blocks
        ),
        recent=RECENT_FAST if is_fast else RECENT_SLOW,
        gauge=None
        if gauge is None
        else GaugeTerms(
            1 if gauge.direction == "HigherIsBetter" else -1,
            None if gauge.bound is None else float(gauge.bound),
        ),
        hash=_short_hash(f"{indicator}|{slo.max_drop}|{slo.max_regression}"),
        indicator_hash=_short_hash(indicator),
        calendar=calendar,
        without_feedback=definition.from_truths and not takes_truths,
        threshold=None
        if slo.indicator.latency is None
        else slo.indicator.latency.threshold_milliseconds,
        label_lag_seconds=(slo.indicator.outcomes.lag_seconds or 0)
        if slo.indicator.outcomes
        else 0,
        on_market_missed=OnMarketMissed.IGNORE if ignored else markets.on_missed,
        on_market_worse=markets.on_candidate_worse,
    )


def _thresholds(
    profile: tuple[Row, ...], allowed: float | None, lag_blocks: int
) -> tuple[Threshold, ...]:
    """Return the rows of an objective's window table; with late labels, no window is shorter than twice their lag."""
    if allowed is None:
        return ()
    min_blocks = 2 * lag_blocks
    rows = tuple(
        replace(row, short=max(row.short, min_blocks)) for row in profile if row.long >= min_blocks
    )
    return thresholds(rows, allowed)


def _margin(slo: Slo, definition: IndicatorDefinition, drop: float) -> float:
    """Return δ: as given, else half of the given maxDrop, else the objective's allowed share; a gauge's in its unit."""
    if slo.regression is not None:
        margin = slo.regression
    elif slo.drop is not None:
        margin = slo.drop / DROPS_IN_BUDGET
    else:
        allowed = slo.allowed_bad or drop
        margin = allowed * definition.margin_share
    return min(margin, MAX_MARGIN) if definition.is_share else margin


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:10]
