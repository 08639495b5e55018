"""What each SLO of the stable version shows in each market, and since when it is missed there.

A market's limit is that of the SLO: its objective, otherwise its baseline less `maxDrop`. The blocks
that count are those that count for the SLO as a whole. The record of an SLO keeps the markets that
miss it, so that a restart changes neither a state nor the time at which it began.
"""

from collections.abc import Mapping
from dataclasses import replace

from sluicegate.api.slo_status import SloState
from sluicegate.api.slos import OnMarketMissed
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.model.excluded_blocks import spans_of
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.current_level import PresentLevel
from sluicegate.policy.slo_health.data_quality import evidence_since
from sluicegate.policy.slo_health.market_verdicts import (
    WINDOWS,
    MarketLimit,
    MarketState,
    is_bad,
    is_met,
    judge_markets,
    worst_first,
)
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import Series
from sluicegate.slo.budget import WINDOW_HOURS
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.views.numbers import percent

MarketStates = Mapping[str, tuple[MarketState, ...]]
"""States by SLO, those of the worst markets first."""


def judge_by_market(
    terms: Terms,
    status: DataProductStatus,
    stable: Version,
    *,
    observed: Observed,
    results: tuple[SloResult, ...],
) -> tuple[MarketStates | None, DataProductStatus]:
    """Return the results of each SLO by market, and the status with the markets that miss an SLO.

    None while the newest block can't be read: nothing new is known then.
    """
    if observed.problem is not None:
        return None, status
    states_by_slo: dict[str, tuple[MarketState, ...]] = {}
    slos = status.engine.slos
    for result in results:
        slo, record = result.terms, slos.get(result.terms.name)
        series = observed.markets.get(slo.name)
        limit = None if series is None else _allowed_ratio(result)
        missed: dict[str, int] = {}
        missed_since = {} if record is None else record.missed_markets
        if series is not None and limit is not None:
            states = _judged(terms, status, stable, observed, slo=slo, allowed=limit)
            states_by_slo[slo.name] = tuple(
                _with_missed_since(terms, stable, state, missed_since) for state in states
            )
            missed = {
                state.market: state.since
                for state in states_by_slo[slo.name]
                if state.since is not None
            }
        if record is not None and missed != missed_since:
            slos = {**slos, slo.name: record.replace(missed_markets=missed)}
    if slos is not status.engine.slos:
        status = status.with_engine(slos=slos)
    return states_by_slo, status


def _allowed_ratio(result: SloResult) -> float | None:
    """Return the largest allowed bad share: by the objective, else by the baseline and maxDrop."""
    if result.terms.allowed_bad_ratio is not None:
        return result.terms.allowed_bad_ratio
    if result.baseline is None or not result.baseline.count.total:
        return None
    return min(ratio_of(result.baseline.count) + result.terms.drop, 1.0)


def _judged(
    terms: Terms,
    status: DataProductStatus,
    stable: Version,
    observed: Observed,
    *,
    slo: SloTerms,
    allowed: float,
) -> tuple[MarketState, ...]:
    record = status.engine.slo(slo.name)
    spans = spans_of(record, terms.block_seconds)
    counted_markets = {
        market: series.without(spans) if spans else series
        for market, series in observed.markets[slo.name].items()
    }
    states = judge_markets(
        counted_markets,
        observed.block,
        MarketLimit(allowed, terms.market_cells, terms.calendar),
        since=max(evidence_since(terms, status, stable, slo), 0),
        were_bad=record.missed_markets,
    )
    if spans:
        states = worst_first(
            _without_left_out(state, counted_markets[state.market], observed, slo=slo)
            for state in states
        )
    budgets = observed.markets[slo.name]
    return tuple(
        replace(state, budget=_budget(terms, stable, budgets[state.market], observed.block))
        for state in states
    )


def _without_left_out(
    state: MarketState, counted: Series, observed: Observed, *, slo: SloTerms
) -> MarketState:
    """Return the state of a market; Unknown where it is Met by old events alone, as the newest ones don't count."""
    newest, every = observed.block, observed.markets[slo.name][state.market]
    is_old = not counted.window(newest, slo.recent).total and every.window(newest, slo.recent).total
    if state.state is not SloState.MET or not is_old:
        return state
    return replace(state, state=SloState.UNKNOWN, count=NOTHING)


def _budget(terms: Terms, stable: Version, series: Series, now: int) -> Count:
    since = stable.promotion_time // terms.block_seconds
    return series.window(now, terms.calendar.blocks(WINDOW_HOURS), since)


def _with_missed_since(
    terms: Terms, stable: Version, state: MarketState, missed_since: Mapping[str, int]
) -> MarketState:
    """Return the state of a market with the time since which it is Missed."""
    if state.state is not SloState.MISSED:
        return state
    begin_time = max(terms.block_end(state.start_block - 1), stable.promotion_time)
    return replace(state, since=missed_since.get(state.market, begin_time))


def present_in_market(series: Series, newest: int, state: MarketState) -> PresentLevel:
    """Return the level of a market's newest events, in the shortest window with enough events."""
    for window in WINDOWS:
        count = series.window(newest, min(window, newest + 1 - state.start_block))
        bad, good = is_bad(count, state.allowed_ratio), is_met(count, state.allowed_ratio)
        if bad or good:
            text = (
                f"{percent(count.bad / count.total)} of {count.total:,} are bad in {state.market} at"
                f" present, up to {percent(state.allowed_ratio)} is allowed"
            )
            return PresentLevel(bad, text)
    return PresentLevel(
        bad=None, message=f"too few events of {state.market} at present for a verdict"
    )


def trains_for(terms: Terms, status: DataProductStatus) -> bool:
    """Return whether a market misses an SLO for which a single market is retrained."""
    retrained = (slo.name for slo in terms.slos if slo.on_market_missed is OnMarketMissed.RETRAIN)
    return any(status.engine.slo(name).missed_markets for name in retrained)
