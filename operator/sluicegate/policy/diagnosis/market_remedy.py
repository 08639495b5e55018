"""The remedy for a market that misses an SLO alone, while the product as a whole isn't degraded by it.

With `markets.onMissed: Retrain` the causes outside the model are ruled out by the events of that
market, and the usual preconditions of a training hold. A version that was trained for a market, and
misses the SLO there from its beginning, shows that a training is no remedy: none follows by itself.
Of several such markets, one that may be remedied precedes.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from sluicegate.api import names
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.slos import OnMarketMissed
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.diagnosis.case import Case
from sluicegate.policy.diagnosis.checks import MARKET_CHECKS, DiagnosisResult, diagnose
from sluicegate.policy.diagnosis.remedy import (
    PASSING,
    Remedy,
    alert_once,
    alert_outside,
    retrain_or_alert,
)
from sluicegate.policy.diagnosis.symptoms import Symptoms, confirmation_end, load_now
from sluicegate.policy.diagnosis.upstream_release import responses
from sluicegate.policy.model.decision import PRECEDENCE, Alert, Hold
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining.preconditions import trigger_for
from sluicegate.policy.retraining.tried_markets import is_tried
from sluicegate.policy.slo_health.market_results import MarketStates, present_in_market
from sluicegate.policy.slo_health.market_verdicts import MarketState
from sluicegate.policy.slo_health.ratio_slo import SloResult

MAX_ALERTS: Final = 16
"""Emitted alerts beyond which no other market has one of its own: status has place for 32."""


def market_triggers(terms: Terms, status: DataProductStatus) -> Iterator[str]:
    """Yield the name of the need for a training of each market that misses an SLO."""
    for slo in terms.slos:
        for market in status.engine.slo(slo.name).missed_markets:
            yield trigger_for(terms, status, slo.name, market=market)


def remedies_in_markets(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    results: tuple[SloResult, ...],
    *,
    markets: MarketStates,
    now: int,
) -> list[tuple[Remedy, DiagnosisResult]]:
    """Return the remedies of markets that miss an SLO alone, one for each SLO, in the order of the spec.

    Parameters
    ----------
    results : of all SLOs. markets : the same by market. now : in seconds.
    """
    remedies = []
    for result in results:
        slo = result.terms
        missed = [s for s in markets.get(slo.name, ()) if s.state is SloState.MISSED]
        retrains = slo.on_market_missed is OnMarketMissed.RETRAIN
        if retrains and missed and not status.engine.slo(slo.name).degraded:
            proposed = [
                _remedy_for(terms, status, observed, result, state=state, now=now)
                for state in missed
            ]
            remedies.append(min(proposed, key=_precedence).as_pair)
    return remedies


class _Proposed(NamedTuple):
    """The proposed remedy of a market; `ends` if it excludes other remedies until its cause ends."""

    remedy: Remedy
    diagnosis: DiagnosisResult
    ends: bool
    since: int

    @property
    def as_pair(self) -> tuple[Remedy, DiagnosisResult]:
        """Return the remedy, and its diagnosis."""
        return self.remedy, self.diagnosis


def _precedence(proposal: _Proposed) -> tuple[int, bool, int, str]:
    """Return the sort key of markets: by decision, then by whether a remedy is possible, then by time.

    Their shares aren't in it: the diagnosis would change with each block.
    """
    return (
        PRECEDENCE.index(proposal.remedy.type),
        proposal.ends,
        proposal.since,
        proposal.diagnosis.market,
    )


def _remedy_for(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: SloResult,
    *,
    state: MarketState,
    now: int,
) -> _Proposed:
    stable, name = status.stable, result.terms.name
    assert stable is not None
    series = observed.markets[name][state.market]
    view = replace(observed, series={stable.version: {name: series}})
    has_new_events = series.block(observed.block).count.total > 0
    market_result = replace(
        result, state=SloState.MISSED, recent_count=state.count, is_fresh=has_new_events
    )
    symptoms = Symptoms(
        worst=market_result,
        degraded=(market_result,),
        facts=observed.facts,
        portfolio=observed.portfolio,
        problem=observed.problem,
        stable=stable,
        can_return=False,
        age_seconds=now - stable.promotion_time,
        day_seconds=terms.day_seconds,
        load=load_now(terms, stable, observed, result),
        present=present_in_market(series, observed.block, state),
        releases=partial(responses, terms, status, view, market_result),
        now=now,
        earlier=status.diagnosis,
        confirmation_end=confirmation_end(terms, state.since, observed.facts),
    )
    diagnosis = replace(diagnose(symptoms, MARKET_CHECKS), market=state.market, alone=True)
    trigger = trigger_for(terms, status, name, market=state.market)
    case = Case(terms, status, view, market_result, trigger, diagnosis, now, market=state)
    was_tried = is_tried(terms, status, state.market, state.since or 0)
    remedy = _choose(case, stable, state, tried=was_tried)
    ends_here = was_tried or diagnosis.outside or diagnosis.cause in PASSING
    return _Proposed(remedy, diagnosis, ends_here, state.since or 0)


def _choose(case: Case, stable: Version, state: MarketState, *, tried: bool) -> Remedy:
    if case.diagnosis.cause in PASSING:
        text = f"{case.text}; {case.diagnosis.message}, so there is no action"
        return Hold(reason=case.diagnosis.cause, message=text, numbers=case.numbers)
    if case.diagnosis.outside:
        return _bounded(case, alert_outside(case))
    if tried:
        before = "" if stable.cause_market == state.market else "a version before "
        trained_text = f"{before}{stable.version} was trained for {state.market}"
        missing = "and misses" if not before else f"and {stable.version} misses"
        text = (
            f"{trained_text} {missing} {case.result.terms.name} there"
            " from its beginning, so no other training follows by itself: find the cause in the data,"
            f" the features or the labels of that market, or request a training by"
            f" {names.REQUEST_RETRAIN}"
        )
        return _bounded(case, alert_once(case, Reason.MARKET_MISSED, text))
    return retrain_or_alert(case)


def _bounded(case: Case, remedy: Remedy) -> Remedy:
    """Return a hold instead of an alert, where status has the most alerts of markets."""
    if isinstance(remedy, Alert) and len(case.status.engine.emitted_alerts) >= MAX_ALERTS:
        return Hold(reason=remedy.reason, message=remedy.message, numbers=remedy.numbers)
    return remedy
