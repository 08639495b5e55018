"""What a period brought in a few numbers, kept for each of thousands of reviews; a report has all of them. Pure."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, Protocol

from sluicegate.api.review import DataProductReview, ReviewDay, ReviewSlo
from sluicegate.reporting.brought import Brought, Fall, brought_of, falls_of
from sluicegate.reviews.periods import midnight_seconds, zone_of
from sluicegate.reviews.seal import CYCLE_CHANGED, PRODUCT_GONE
from sluicegate.reviews.segments import counts_of
from sluicegate.slo.budget import budget_remaining
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.evolution import Evolution, PeriodChange, day_scatter, period_change_between
from sluicegate.views.lift import lift_text

_DEFAULT_MARGIN: Final = 0.01
_CACHE_SIZE: Final = 32_768
"""Changes in the cache, as lists compare the same periods again and again; a ledger changes once a day."""
SINCE_PREVIOUS_PERIOD: Final = "against the period before"
SINCE_FIRST_ACCEPTANCE: Final = "since the first acceptance"
EARLY_END_TEXTS: Final = {
    CYCLE_CHANGED: (
        "the cycle in spec.review was changed. Days of both cycles' periods, and what was decided on them, may be"
        " in two reviews"
    ),
    PRODUCT_GONE: "the product was deleted",
}
"""Why a ledger ended before its period, by the reason of its seal."""


def share_of(count: Count) -> float | None:
    """Return the share of good events; None without any."""
    return 1 - count.bad / count.total if count.total else None


@dataclass(frozen=True, slots=True)
class SloChange:
    """Counts of one SLO over a period, and their changes since earlier periods.

    Attributes
    ----------
    objective : least share of good events. count : bad events and all.
    budget_left : share of the error budget; negative when overspent, None without an objective.
    against_before, against_original : the change to the period before, and to the first baseline.
    """

    name: str
    threshold_milliseconds: int | None
    objective: float | None
    count: Count
    budget_left: float | None
    against_before: Evolution
    against_original: Evolution

    @property
    def share(self) -> float | None:
        """Return the share of good events; None without any."""
        return share_of(self.count)


@dataclass(frozen=True, slots=True)
class Move:
    """A proved change of one SLO, and the period that it is compared with."""

    slo: SloChange
    evolution: Evolution
    since: str


class Summarized(Protocol):
    """The input of a period's summary sentence."""

    @property
    def slos(self) -> Sequence[SloChange]:
        """Return the SLOs that count events."""

    @property
    def decisions(self) -> Mapping[str, int]:
        """Return the number of decisions by type."""

    @property
    def causes(self) -> Iterable[str]:
        """Return the causes of the retrainings."""

    @property
    def gains(self) -> Sequence[str]:
        """Return the gains of the versions that remained stable, as text."""

    @property
    def falls(self) -> Sequence[Fall]:
        """Return the proved falls in markets by the versions that remained stable."""

    @property
    def missed_markets(self) -> Mapping[str, Sequence[str]]:
        """Return the markets that the operator found missed in the period, by SLO."""

    @property
    def is_open(self) -> bool:
        """Return whether more days are read later."""

    @property
    def read_days(self) -> int:
        """Return the number of days whose events are known."""

    @property
    def whole_days(self) -> int:
        """Return the number of days of the period."""


@dataclass(frozen=True, slots=True)
class SloPeriod:
    """Events of one SLO in one period; `phi` is the scatter of its days, `margin` the least change that matters."""

    name: str
    threshold_milliseconds: int | None
    objective: str | None
    margin: float
    count: Count
    phi: float
    original: Count


@dataclass(frozen=True, slots=True)
class PeriodSummary:
    """One period of a product in lists."""

    levels: tuple[SloPeriod, ...]
    decisions: Mapping[str, int]
    causes: tuple[str, ...]
    gains: tuple[str, ...]
    falls: tuple[Fall, ...]
    missed_markets: Mapping[str, tuple[str, ...]]
    is_open: bool
    read_days: int
    whole_days: int


@dataclass(frozen=True, slots=True)
class PeriodResult(PeriodSummary):
    """A period and the period before, as the input of `Summarized`."""

    slos: tuple[SloChange, ...]

    @property
    def move(self) -> Move | None:
        """Return the largest proved change."""
        return largest_move(self.slos)


def summary_of(review: DataProductReview) -> PeriodSummary:
    """Return the summary of a review."""
    status = review.status
    decisions, causes = decisions_of(review)
    brought = brought_of(review)
    return PeriodSummary(
        levels=tuple(_period(slo, status.days) for slo in status.slos if slo.indicator != "gauge"),
        decisions=dict(decisions),
        causes=tuple(sorted(causes)),
        gains=gains_of(brought),
        falls=falls_of(brought),
        missed_markets=missed_markets_of(review),
        is_open=status.seal_time is None,
        read_days=len(status.days),
        whole_days=days_of(review),
    )


def result_of(summary: PeriodSummary, previous_summary: PeriodSummary | None) -> PeriodResult:
    """Return the changes of a period from the previous period, None for the first."""
    levels_before = (
        {slo.name: slo for slo in previous_summary.levels} if previous_summary is not None else {}
    )
    return PeriodResult(
        levels=summary.levels,
        slos=tuple(_slo_change(slo, levels_before.get(slo.name)) for slo in summary.levels),
        decisions=summary.decisions,
        causes=summary.causes,
        gains=summary.gains,
        falls=summary.falls,
        missed_markets=summary.missed_markets,
        is_open=summary.is_open,
        read_days=summary.read_days,
        whole_days=summary.whole_days,
    )


def largest_move(
    slos: Iterable[SloChange],
    *,
    references: Container[str] = (SINCE_PREVIOUS_PERIOD, SINCE_FIRST_ACCEPTANCE),
) -> Move | None:
    """Return the largest proved change for the worse, or else the largest for the better.

    Parameters
    ----------
    against : what is compared with: the period before, the first acceptance.
    """
    proved_moves = [
        Move(slo, change, reference_text)
        for slo in slos
        for change, reference_text in (
            (slo.against_before, SINCE_PREVIOUS_PERIOD),
            (slo.against_original, SINCE_FIRST_ACCEPTANCE),
        )
        if reference_text in references
        and change.change in {PeriodChange.WORSE, PeriodChange.BETTER}
    ]
    worst_move = max(
        proved_moves, key=lambda candidate_move: candidate_move.evolution.estimate, default=None
    )
    if worst_move is None or worst_move.evolution.change is PeriodChange.WORSE:
        return worst_move
    return min(proved_moves, key=lambda candidate_move: candidate_move.evolution.estimate)


_DECAYED: Final = "Retrain/ModelDecay"
_SCORED: Final = "Alert/ScoredAsAccepted"


def decisions_of(review: DataProductReview) -> tuple[Counter[str], Counter[str]]:
    """Return the number of decisions by type, and of retrainings by cause.

    A Job that ended before its fit, as the stable version scored as accepted, is no retraining.
    """
    status = review.status
    decisions = Counter(dict(status.earlier_decisions.items()))
    decisions.update(f"{decision.type}/{decision.reason}" for decision in status.decisions)
    scored = min(decisions[_SCORED], decisions[_DECAYED])
    decisions -= Counter({_DECAYED: scored})
    kinds: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for name, number in decisions.items():
        kind, _, reason = name.partition("/")
        kinds[kind] += number
        if kind == "Retrain":
            causes[reason] += number
    return kinds, causes


def gains_of(versions: Iterable[Brought]) -> tuple[str, ...]:
    """Return the gains of the versions that remained stable, in words."""
    return tuple(
        f"{result.version.version}: {lift_text(result.main)}"
        for result in versions
        if result.kept and result.main
    )


def missed_markets_of(review: DataProductReview) -> dict[str, tuple[str, ...]]:
    """Return the markets that the operator found missed in the period, by SLO."""
    by_slo: dict[str, dict[str, None]] = {}
    for missed_market in review.status.missed_markets:
        by_slo.setdefault(missed_market.slo, {})[missed_market.market] = None
    return {slo: tuple(markets) for slo, markets in by_slo.items()}


def days_of(review: DataProductReview) -> int:
    """Return the number of days of a period; a day of a clock change is one, too."""
    period = review.spec.period
    return round((period.end - period.start) / 86_400)


def whole_days_of(review: DataProductReview) -> int:
    """Return the number of days of a period that were over when its ledger was sealed; 0 for one that isn't."""
    period, seal_time = review.spec.period, review.status.seal_time
    if seal_time is None:
        return 0
    zone = zone_of(review.status.time_zone or "UTC")
    first_day = datetime.fromtimestamp(period.start, zone).date()
    midnights = (
        midnight_seconds(first_day + timedelta(days=number), zone)
        for number in range(1, days_of(review) + 1)
    )
    return sum(midnight <= seal_time for midnight in midnights)


def margin_of(slo: ReviewSlo) -> float:
    """Return the least change that matters: a third of the allowed drop, or of the allowed bad share."""
    if slo.max_drop is not None:
        return float(slo.max_drop)
    allowed_ratio = allowed_of(slo.objective)
    return _DEFAULT_MARGIN if allowed_ratio is None else max(allowed_ratio, 1e-6)


def allowed_of(objective: str | None) -> float | None:
    """Return the share of bad events that an objective allows."""
    return None if objective is None else float(1 - Decimal(objective))


def budget_of(count: Count, objective: str | None) -> float | None:
    """Return the share of the error budget that is left; None without an objective or events."""
    allowed_ratio = allowed_of(objective)
    return (
        None if allowed_ratio is None or not count.total else budget_remaining(count, allowed_ratio)
    )


def _period(slo: ReviewSlo, days: Sequence[ReviewDay]) -> SloPeriod:
    counts = [count for _, count in counts_of(slo.name, days)]
    return SloPeriod(
        name=slo.name,
        threshold_milliseconds=slo.threshold_milliseconds,
        objective=slo.objective,
        margin=margin_of(slo),
        count=summed(counts),
        phi=day_scatter(counts),
        original=Count(*slo.original) if slo.original else NOTHING,
    )


@lru_cache(maxsize=_CACHE_SIZE)
def _slo_change(slo: SloPeriod, previous_period: SloPeriod | None) -> SloChange:
    counts_and_phi = (slo.count, slo.phi)
    counts_before = (
        (NOTHING, 1.0) if previous_period is None else (previous_period.count, previous_period.phi)
    )
    return SloChange(
        name=slo.name,
        threshold_milliseconds=slo.threshold_milliseconds,
        objective=None if slo.objective is None else float(slo.objective),
        count=slo.count,
        budget_left=budget_of(slo.count, slo.objective),
        against_before=period_change_between(counts_and_phi, counts_before, margin=slo.margin),
        against_original=period_change_between(
            counts_and_phi, (slo.original, slo.phi), margin=slo.margin
        ),
    )
