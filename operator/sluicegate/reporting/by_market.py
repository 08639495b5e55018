"""One SLO by market over a period: shares, the error budget, and when it was missed. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.review import DataProductReview, MissedMarket, ReviewSlo
from sluicegate.reporting.summary import budget_of, share_of
from sluicegate.reviews.segments import market_days
from sluicegate.stats.counts import Count, summed
from sluicegate.stats.intervals import Z95, wilson_lower, wilson_upper

MET_STATE: Final = "Met"
MISSED_STATE: Final = "Missed"
UNKNOWN_STATE: Final = "Unknown"
MAX_DRAWN_MARKETS: Final = 6
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
        """Return the share of good events; None without any."""
        return share_of(self.count)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the share (Wilson); None without events."""
        return interval_of(self.count)

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Return the share of good events of each day; None for a day without events."""
        return tuple(share_of(count) for _, count in self.days)


def interval_of(count: Count) -> tuple[float, float] | None:
    """Return the 95 % interval (Wilson) of a share of good events; None without events."""
    if not count.total:
        return None
    bad_events, total = count
    return 1 - wilson_upper(bad_events, total, Z95), 1 - wilson_lower(bad_events, total, Z95)


def required_of(slo: ReviewSlo) -> float | None:
    """Return the least share of good events in a market: the objective, else the baseline less maxDrop."""
    if slo.objective is not None:
        return float(slo.objective)
    if slo.max_drop is None or not slo.accepted or not slo.accepted[1]:
        return None
    bad_events, total = slo.accepted
    return max(1 - bad_events / total - float(slo.max_drop), 0.0)


def markets_of(slo: ReviewSlo, review: DataProductReview) -> tuple[MarketFacts, ...]:
    """Return one SLO's markets, those that missed it first, then by the share of bad events."""
    required_ratio = required_of(slo)
    missed_markets: dict[str, list[MissedMarket]] = defaultdict(list)
    for time in review.status.missed_markets:
        if time.slo == slo.name:
            missed_markets[time.market].append(time)
    market_facts = [
        _market_facts(
            slo,
            market,
            days,
            required_ratio=required_ratio,
            missed_markets=tuple(missed_markets[market]),
        )
        for market, days in market_days(slo.name, review.status.days).items()
    ]
    return tuple(sorted(market_facts, key=_sort_key))


def _market_facts(
    slo: ReviewSlo,
    market: str,
    days: Sequence[tuple[str, Count]],
    *,
    required_ratio: float | None,
    missed_markets: tuple[MissedMarket, ...],
) -> MarketFacts:
    count = summed(day_count for _, day_count in days)
    return MarketFacts(
        market=market,
        count=count,
        state=_market_state(count, required_ratio),
        required=required_ratio,
        budget_left=budget_of(count, slo.objective),
        days=tuple(days),
        missed=missed_markets,
    )


def _sort_key(facts: MarketFacts) -> tuple[bool, bool, float, str]:
    bad_share = facts.count.bad / max(facts.count.total, 1)
    return facts.state != MISSED_STATE, not facts.missed, -bad_share, facts.market


def _market_state(count: Count, required_ratio: float | None) -> str:
    share_bounds = interval_of(count)
    if required_ratio is None or share_bounds is None:
        return UNKNOWN_STATE
    lower_bound, upper_bound = share_bounds
    if upper_bound < required_ratio:
        return MISSED_STATE
    return MET_STATE if lower_bound >= required_ratio else UNKNOWN_STATE
