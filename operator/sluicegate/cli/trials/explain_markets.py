"""Lines of `explain` by market: states of the stable version, and comparisons of a candidate with it."""

from collections.abc import Iterable
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.canary.market_harm import compare_markets
from sluicegate.policy.canary.slo_evidence import Assessment, MarketHarm
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health.market_verdicts import MarketState, interval_of
from sluicegate.stats.counts import Count
from sluicegate.views.numbers import events, percent

__all__ = [
    "MarketHarm",
    "compare_markets_live",
    "harms_as_object",
    "in_words",
    "of_candidate",
    "states_as_object",
]


def compare_markets_live(
    terms: Terms, status: DataProductStatus, observed: Observed, assessment: Assessment | None
) -> tuple[MarketHarm, ...]:
    """Return the evidence that the candidate is worse in each market, the strongest first."""
    if status.trial is None or assessment is None:
        return ()
    return compare_markets(terms, status.trial, observed, assessment)


def in_words(state: MarketState) -> str:
    """Return a line about an SLO in a market."""
    if not state.count.total:
        return f"{state.market} {state.state}: no events that count"
    low, high = interval_of(state.count)
    since = "" if state.since is None else f", missed since {rfc3339(state.since)}"
    return (
        f"{state.market} {state.state}: {_share(state.count)} ({events(state.count.total)}, 95 %:"
        f" {percent(low)} to {percent(high)}), at least {percent(1 - state.allowed_ratio)} is required{since}"
    )


def of_candidate(harm: MarketHarm) -> str:
    """Return a line that compares candidate and stable in a market."""
    candidate_arm, stable_arm = (
        f"{_share(count)} ({events(count.total)})" for count in (harm.candidate, harm.stable)
    )
    comparison = "is worse" if harm.evidence >= harm.bound else "isn't shown to be worse"
    return (
        f"candidate in {harm.market} in {harm.slo.subject}: {comparison}: {candidate_arm} against stable's {stable_arm},"
        f" evidence {harm.evidence:.1f} of {harm.bound:.1f}"
    )


def _share(count: Count) -> str:
    return percent(1 - count.bad / count.total) if count.total else "none"


def states_as_object(states: Iterable[MarketState]) -> dict[str, Any]:
    """Return the field with the states of an SLO by market; no field without any."""
    return _rows_field("markets", map(_market, states))


def harms_as_object(harms: Iterable[MarketHarm]) -> dict[str, Any]:
    """Return the field with the comparisons of a candidate by market; no field without any."""
    return _rows_field("candidateMarkets", map(_harm, harms))


def _market(state: MarketState) -> dict[str, Any]:
    bad, total = state.count
    since = {} if state.since is None else {"missedStartTime": rfc3339(state.since)}
    numbers = {"bad": bad, "total": total, "limit": 1 - state.allowed_ratio}
    return {"market": state.market, "state": str(state.state), **numbers, **since}


def _harm(harm: MarketHarm) -> dict[str, Any]:
    return {
        "slo": harm.slo.name,
        "market": harm.market,
        "candidate": harm.candidate._asdict(),
        "stable": harm.stable._asdict(),
        "evidence": harm.evidence,
        "bound": harm.bound,
    }


def _rows_field(name: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return a field with these rows; no field without any."""
    row_list = list(rows)
    return {name: row_list} if row_list else {}
