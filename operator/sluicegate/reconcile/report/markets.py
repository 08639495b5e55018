"""What status says of markets: the three worst of each SLO, and one that is bad alone. Pure."""

from collections.abc import Iterable
from typing import Final

from sluicegate.api.base import number
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.api.status import CheckVerdict, DataProductStatus, DiagnosisEvidence
from sluicegate.policy import (
    MOST_SHOWN_MARKETS,
    MarketLimit,
    MarketState,
    judge_markets,
    lone_bad_market,
)
from sluicegate.policy.model.terms import SloTerms
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.views.numbers import events, percent

MARKET_ALONE: Final = "MarketAlone"


def with_markets(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """The status with how each SLO does by market; the same where nothing is counted so."""
    if not observation.observed.markets:
        return status
    before = {slo.name: slo for slo in observation.product.status.slos}
    states = {slo.name: _judged(observation, slo, before.get(slo.name)) for slo in status.slos}
    slos = tuple(
        slo.replace(markets=tuple(map(_shown, states[slo.name][:MOST_SHOWN_MARKETS])))
        for slo in status.slos
    )
    status = status.replace(slos=slos)
    diagnosis = status.diagnosis
    if diagnosis is None:
        return status
    text = "; ".join(_alone(slo.name, states[slo.name]) for slo in slos if slo.degraded).strip("; ")
    if not text:
        return status
    others = [one for one in diagnosis.evidence if one.check != MARKET_ALONE]
    earlier = next((one.message for one in diagnosis.evidence if one.check == MARKET_ALONE), "")
    cause = diagnosis.message.removesuffix(f"; {earlier}") if earlier else diagnosis.message
    found = DiagnosisEvidence(check=MARKET_ALONE, verdict=CheckVerdict.OBJECTS, message=text)
    return status.replace(
        diagnosis=diagnosis.replace(message=f"{cause}; {text}", evidence=(*others, found))
    )


def _judged(
    observation: Observation, slo: SloStatus, before: SloStatus | None
) -> tuple[MarketState, ...]:
    terms = next((one for one in observation.terms.slos if one.name == slo.name), None)
    allowed = None if terms is None else _allowed(terms, slo)
    if allowed is None:
        return ()
    known = before.markets if before is not None else ()
    counted = observation.observed.markets
    cells = len(counted) * (len(observation.product.spec.markets) + 1)  # and `other`
    return judge_markets(
        counted.get(slo.name, {}),
        observation.observed.block,
        MarketLimit(allowed, cells, observation.terms.calendar),
        were_bad={one.market for one in known if one.state is SloState.MISSED},
    )


def _allowed(terms: SloTerms, slo: SloStatus) -> float | None:
    """Share of bad events: by the objective, else by how far it may fall below its baseline."""
    if terms.allowed_bad is not None:
        return terms.allowed_bad
    if slo.baseline_ratio is None:
        return None
    return min(1 - float(slo.baseline_ratio) + terms.drop, 1.0)


def _shown(one: MarketState) -> MarketStatus:
    share = 1 - one.count.bad / one.count.total if one.count.total else None
    return MarketStatus(
        market=one.market,
        state=one.state,
        ratio=None if share is None else number(share),
        total=one.count.total,
    )


def _alone(slo: str, states: Iterable[MarketState]) -> str:
    every = tuple(states)
    found = lone_bad_market(every)
    if found is None:
        return ""
    good = ", ".join(sorted(one.market for one in every if one.state is SloState.MET))
    unknown = ", ".join(sorted(one.market for one in every if one.state is SloState.UNKNOWN))
    text = (
        f"{slo} is bad in {found.market} alone ({percent(1 - found.count.bad / found.count.total)},"
        f" {events(found.count.total)}); met in {good}"
    )
    return f"{text}; neither is shown in {unknown}" if unknown else text
