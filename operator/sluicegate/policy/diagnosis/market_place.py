"""Diagnosis of a degraded SLO that is bad in one market only, which the training receives.

The market is a place, not a cause: a cause outside the model may be in one market too. So it changes
neither cause nor remedy of a product that is degraded as a whole.
"""

from dataclasses import replace

from sluicegate.api.names import DecisionReason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import CheckVerdict
from sluicegate.api.versions import Version
from sluicegate.policy.diagnosis.checks import CheckResult, DiagnosisResult
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.slo_health.market_results import MarketStates
from sluicegate.policy.slo_health.market_verdicts import WINDOWS, MarketState, only_bad_market
from sluicegate.views.numbers import events, percent


def in_its_market(
    diagnosis: DiagnosisResult, *, stable: Version, observed: Observed, markets: MarketStates
) -> DiagnosisResult:
    """Return the diagnosis of a degraded SLO, with the market in which the evidence is concentrated.

    Parameters
    ----------
    markets : what each SLO shows by market.
    """
    states = markets.get(diagnosis.slo, ())
    market = only_bad_market(states)
    if market is None or not _others_are_good(diagnosis.slo, stable, observed, market):
        return diagnosis
    text = _message(diagnosis.slo, market, states)
    finding = CheckResult(DecisionReason.MARKET_ALONE, CheckVerdict.OBJECTS, text)
    return replace(
        diagnosis,
        message=f"{diagnosis.message}; {text}",
        findings=(*diagnosis.findings, finding),
        market=market.market,
    )


def _others_are_good(slo: str, stable: Version, observed: Observed, market: MarketState) -> bool:
    """Return whether all other markets together are within the limit since the market degraded."""
    all_markets = observed.counts(stable.version, slo)
    part = observed.markets.get(slo, {}).get(market.market)
    if all_markets is None or part is None:
        return False
    length = min(observed.block + 1 - market.start_block, WINDOWS[-1])
    all_events, own_events = (
        all_markets.window(observed.block, length),
        part.window(observed.block, length),
    )
    total = all_events.total - own_events.total
    return total > 0 and all_events.bad - own_events.bad <= market.allowed_ratio * total


def _message(slo: str, market: MarketState, states: tuple[MarketState, ...]) -> str:
    good, unknown = (
        ", ".join(
            sorted(market_state.market for market_state in states if market_state.state is state)
        )
        for state in (SloState.MET, SloState.UNKNOWN)
    )
    share = percent(1 - market.count.bad / market.count.total)
    text = f"{slo} is bad in {market.market} alone ({share}, {events(market.count.total)}); met in {good}"
    return f"{text}; neither is shown in {unknown}" if unknown else text
