"""Markets in status: the three worst of each SLO, with their numbers. Pure."""

from math import isfinite
from typing import Final

from sluicegate.api.base import Number, number
from sluicegate.api.slo_status import MarketStatus, SloStatus
from sluicegate.api.slos import OnMarketMissed
from sluicegate.policy import MAX_SHOWN_MARKETS, MarketState, interval_of
from sluicegate.policy.evaluate import Evaluation
from sluicegate.slo.budget import budget_remaining
from sluicegate.stats.counts import Count

_NO_STATES: Final[tuple[MarketState, ...]] = ()


def with_markets(slos: tuple[SloStatus, ...], evaluation: Evaluation) -> tuple[SloStatus, ...]:
    """Return the SLOs with the states of their worst markets from an evaluation."""
    market_states = evaluation.markets or {}
    terms = {result.terms.name: result.terms for result in evaluation.slos}
    return tuple(
        slo.replace(
            markets=tuple(
                _market_status(
                    state,
                    objective=terms[slo.name].allowed_bad_ratio is not None,
                    counts=terms[slo.name].on_market_missed is not OnMarketMissed.IGNORE,
                )
                for state in market_states.get(slo.name, _NO_STATES)[:MAX_SHOWN_MARKETS]
            )
        )
        for slo in slos
    )


def _market_status(state: MarketState, *, objective: bool, counts: bool) -> MarketStatus:
    """Return a market's state in the form of status.

    Parameters
    ----------
    objective : whether the SLO has an objective, and so a budget.
    counts : whether anything follows from a market that misses the SLO.
    """
    bad, total = state.count
    return MarketStatus(
        market=state.market,
        state=state.state,
        ratio=number(1 - bad / total) if total else None,
        interval=_interval(state.count),
        total=total,
        limit=number(1 - state.allowed_ratio),
        budget_remaining=_budget(state) if objective else None,
        missed_start_time=state.since if counts else None,
    )


def _interval(count: Count) -> tuple[Number, ...]:
    """Return the 95 % interval of the share of good events; empty without any."""
    if not count.total:
        return ()
    low, high = interval_of(count)
    return number(low), number(high)


def _budget(state: MarketState) -> Number | None:
    budget_left = (
        budget_remaining(state.budget, state.allowed_ratio) if state.allowed_ratio else None
    )
    return None if budget_left is None or not isfinite(budget_left) else number(budget_left)
