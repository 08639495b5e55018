"""Whether the version before is a remedy: by its counts, or by what is known without."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.slo_status import SloState
from sluicegate.api.versions import PastVersion, VersionSource
from sluicegate.policy.diagnosis.previous_version import Harm, objection
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import START, V2, baseline, judged_by, serving
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

BASKET = {"name": "basket", "indicator": {"gauge": {"metric": "basket_value"}}, "maxDrop": "4"}
LEARNT = {"name": "clicks", "indicator": {"events": {}}, "maxDrop": "0.05"}
AVAILABLE, ACCURATE, BASKET_VALUE, CLICKS = judged_by(AVAILABILITY, ACCURACY, BASKET, LEARNT).slos
A_THIRD, MOST = Count(300, 1000), Count(900, 1000)


def before(**fields) -> PastVersion:
    """Return v2, which was replaced by the stable version."""
    return PastVersion.of(
        V2, VersionSource.SPEC, outcome=Outcome.REPLACED, end_time=START, **fields
    )


def missed(slo, **fields) -> SloResult:
    return SloResult(slo, SloState.MISSED, Reason.OBJECTIVE_MISSED, **fields)


def met(slo) -> SloResult:
    return SloResult(slo, SloState.MET, Reason.WITHIN_OBJECTIVE)


def said(version: PastVersion, harm: Harm, *others: SloResult) -> str:
    return objection(serving(), version, harm, [harm.result, *others])


def wrong(*counts: Count) -> Harm:
    return Harm(missed(ACCURATE), counts)


@pytest.mark.parametrize(
    ("version", "counts", "why"),
    [
        (before(), (), "whether v2 does better in accuracy is unknown: there are too few events"),
        (before(), (A_THIRD,), ""),
        (before(degraded=("accuracy",)), (A_THIRD,), "accuracy was degraded with it, too"),
        (before(degraded=("accuracy",)), (MOST,), ""),
        (before(record={"accuracy": Count(100, 1000)}), (A_THIRD,), ""),
        (before(record={"accuracy": Count(290, 1000)}), (A_THIRD,), "isn't known to do better"),
        (before(record={"accuracy": Count(310, 1000)}), (A_THIRD,), "isn't known to do better"),
    ],
    ids=[
        "nothing is counted now", "nothing was counted then", "it was bad, too",
        "most answers are wrong", "better", "better by chance", "no better",
    ],
)  # fmt: skip
def test_a_rollback_is_a_remedy_only_if_the_previous_version_had_fewer_bad_events(
    version, counts, why
):
    found = said(version, wrong(*counts))
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize(("bad", "is_remedied"), [(750, True), (749, False)])
def test_a_degraded_previous_version_is_a_remedy_if_half_of_the_excess_answers_are_bad_now(
    bad, is_remedied
):
    (slo,) = judged_by({**ACCURACY, "objective": "0.75"}).slos
    found = said(before(degraded=("accuracy",)), Harm(missed(slo), (Count(bad, 1000),)))
    assert (found == "") is is_remedied


@pytest.mark.parametrize(
    ("mean", "degraded", "is_remedied"),
    [(50.0, (), True), (40.0, (), False), (39.0, (), False), (50.0, ("basket",), False)],
)
def test_a_previous_version_is_a_remedy_for_a_gauge_only_if_it_was_better_and_not_degraded(
    mean, degraded, is_remedied
):
    accepted = baseline(BASKET_VALUE, 0, 0, mean=mean)
    version = before(baseline={"basket": accepted}, degraded=degraded)
    found = said(version, Harm(missed(BASKET_VALUE, gauge=40.0), ()))
    assert (found == "") is is_remedied


def test_a_previous_version_degraded_without_counts_is_a_remedy_only_for_mostly_bad_answers():
    version = before(degraded=("availability",))
    others = met(AVAILABLE), met(CLICKS)
    assert said(version, wrong(A_THIRD), *others) == (
        "v2 is no remedy: availability was degraded when v2 was replaced"
    )
    assert said(version, wrong(MOST), *others) == ""


def test_an_unknown_slo_prevents_a_rollback_only_if_the_previous_version_was_degraded_in_it():
    record = {"clicks": Count(500, 1000)}
    assert said(before(record=record), wrong(A_THIRD), met(CLICKS)) == ""
    found = said(before(record=record, degraded=("clicks",)), wrong(A_THIRD), met(CLICKS))
    assert "its clicks was at 50.0 % (1,000 events) when it was replaced" in found
