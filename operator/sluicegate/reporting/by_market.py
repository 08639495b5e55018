"""One SLO by market over a period: shares, the error budget, and when it was missed. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.review import DataProductReview, MissedMarket, ReviewDay, ReviewSlo
from sluicegate.reporting.summary import budget_of, share_of
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.intervals import Z95, wilson_lower, wilson_upper

MET: Final = "Met"
MISSED: Final = "Missed"
UNKNOWN: Final = "Unknown"
MOST_DRAWN: Final = 6
"""Markets of an SLO whose lines are drawn, the worst ones."""


@dataclass(frozen=True, slots=True)
class MarketFacts:
    """Counts and misses of one SLO in one market over the period.

    Attributes
    ----------
    state : Met, Missed or Unknown, as in status, by the events of the whole period.
    required : least share of good events; None where the ledger has neither objective nor baseline.
    days : bad events and all by date. missed : times in which the operator found the market missed.
    """

    market: str
    count: Count
    state: str
    required: float | None
    budget_left: float | None
    days: tuple[tuple[str, Count], ...]
    missed: tuple[MissedMarket, ...]

    @property
    def share(self) -> float | None:
        """Share of good events; None without any."""
        return share_of(self.count)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the share (Wilson); None without events."""
        return interval_of(self.count)

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Share of good events of each day; None for a day without events."""
        return tuple(share_of(count) for _, count in self.days)


def interval_of(count: Count) -> tuple[float, float] | None:
    """Return the 95 % interval (Wilson) of a share of good events; None without events."""
    if not count.total:
        return None
    bad, total = count
    return 1 - wilson_upper(bad, total, Z95), 1 - wilson_lower(bad, total, Z95)


def required_of(slo: ReviewSlo) -> float | None:
    """Return the least share of good events in a market: the objective, else the baseline less maxDrop."""
    if slo.objective is not None:
        return float(slo.objective)
    if slo.max_drop is None or not slo.accepted or not slo.accepted[1]:
        return None
    bad, total = slo.accepted
    return max(1 - bad / total - float(slo.max_drop), 0.0)


def markets_of(slo: ReviewSlo, review: DataProductReview) -> tuple[MarketFacts, ...]:
    """Return one SLO's markets, those that missed it first, then by the share of bad events."""
    required = required_of(slo)
    missed: dict[str, list[MissedMarket]] = defaultdict(list)
    for time in review.status.missed_markets:
        if time.slo == slo.name:
            missed[time.market].append(time)
    market_facts = [
        _facts(slo, market, days, required=required, missed=tuple(missed[market]))
        for market, days in market_days(slo.name, review.status.days).items()
    ]
    return tuple(sorted(market_facts, key=_order))


def market_days(name: str, days: Sequence[ReviewDay]) -> dict[str, list[tuple[str, Count]]]:
    """Return bad events and all of one SLO, by market and date; each market has each of the days."""
    by_date = {
        day.date: next((slo.markets for slo in day.slos if slo.name == name), {}) for day in days
    }
    markets = dict.fromkeys(market for counts in by_date.values() for market in counts)
    return {
        market: [(day, Count(*counts.get(market, NOTHING))) for day, counts in by_date.items()]
        for market in markets
    }


def _facts(
    slo: ReviewSlo,
    market: str,
    days: Sequence[tuple[str, Count]],
    *,
    required: float | None,
    missed: tuple[MissedMarket, ...],
) -> MarketFacts:
    count = summed(one for _, one in days)
    return MarketFacts(
        market=market,
        count=count,
        state=_state(count, required),
        required=required,
        budget_left=budget_of(count, slo.objective),
        days=tuple(days),
        missed=missed,
    )


def _order(facts: MarketFacts) -> tuple[bool, bool, float, str]:
    share = facts.count.bad / max(facts.count.total, 1)
    return facts.state != MISSED, not facts.missed, -share, facts.market


def _state(count: Count, required: float | None) -> str:
    bounds = interval_of(count)
    if required is None or bounds is None:
        return UNKNOWN
    lower, upper = bounds
    if upper < required:
        return MISSED
    return MET if lower >= required else UNKNOWN
