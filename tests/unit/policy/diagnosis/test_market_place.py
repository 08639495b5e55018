"""A diagnosis names the market in which the evidence is, if it is in one market alone."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import Version, VersionSource
from sluicegate.policy.diagnosis.checks import DiagnosisResult
from sluicegate.policy.diagnosis.market_place import in_its_market
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.slo_health.market_verdicts import MarketLimit, judge_markets
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.calendar import CLOCK
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import V1

NEWEST = 1011
CAUSE = DiagnosisResult("accuracy", Reason.MODEL_DECAY, "no cause outside the model", ())
BAD, FINE, FEW = (400, 900), (20, 900), (0, 1)


def placed(**markets):
    """Return the diagnosis of a product whose markets had these (bad, total) in each of twelve blocks."""
    series = {market: blocks(count) for market, count in markets.items()}
    sums = tuple(map(sum, zip(*markets.values(), strict=True)))
    observed = Observed(
        NEWEST, series={"v1": {"accuracy": blocks(sums)}}, markets={"accuracy": series}
    )
    states = {"accuracy": judge_markets(series, NEWEST, MarketLimit(0.12, 7, CLOCK))}
    stable = Version.of(V1, VersionSource.SPEC, promotion_time=0)
    return in_its_market(CAUSE, stable=stable, observed=observed, markets=states)


def blocks(count):
    made = Series()
    for index in range(1000, NEWEST + 1):
        made.record(Block(index, Quality.COUNTED, Count(*count)))
    return made


def test_a_diagnosis_names_a_market_that_is_bad_alone_without_changing_the_cause():
    found = placed(AT=BAD, FR=FINE, IT=FINE, ES=FEW)
    assert (found.cause, found.market) == (Reason.MODEL_DECAY, "AT")
    text = "accuracy is bad in AT alone (55.6 %, n=10,800); met in FR, IT; neither is shown in ES"
    assert found.message == f"{CAUSE.message}; {text}"
    (finding,) = found.findings
    assert (finding.check, finding.message) == (Reason.MARKET_ALONE, text)


@pytest.mark.parametrize(
    "markets",
    [
        {"AT": BAD, "BE": BAD, "FR": FINE},
        {"AT": BAD, "ES": FEW},
        {"AT": FINE, "FR": FINE},
        {},
    ],
    ids=["two are missed", "none is met", "none is missed", "none is counted"],
)
def test_a_diagnosis_names_no_market_if_more_than_one_is_bad(markets):
    assert placed(**markets, IT=FEW) is CAUSE


def test_a_diagnosis_names_no_market_if_all_others_together_miss_the_limit():
    """Each of them has too few events to be missed."""
    others = {f"{letter}X": (1, 4) for letter in "ABCDEFGH"}
    assert placed(AT=BAD, FR=FINE, **others).market == "AT"
    crowd = {f"{letter}X": (1, 4) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    assert placed(AT=BAD, FR=(1, 40), **crowd) is CAUSE
