"""The remedy of a degraded SLO, from its diagnosis and the version before."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import SloRecord
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.slo_status import SloState
from sluicegate.api.versions import PastVersion, Probation, VersionSource
from sluicegate.policy.diagnosis.remedy import remedies_for
from sluicegate.policy.model.decision import Alert, Hold, Rollback
from sluicegate.policy.retraining.preconditions import trigger_for
from sluicegate.policy.slo_health.ratio_slo import SloResult
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V1,
    V2,
    V3,
    candidate,
    judged_by,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by({**ACCURACY, "objective": "0.8", "onDegraded": "Rollback"})
(SLO,) = TERMS.slos
BAD, GOOD = (800, 1000), (50, 1000)


def remedy(newest: tuple[int, int], *, before: PastVersion):
    """Return the remedy for the degraded v1; its newest two hours have equal counts."""
    blocks = series(*[newest] * 24, first=START // BLOCK)
    status = serving(
        stable=stable(since=START - 86_400),
        history=(before,),
        slos={"accuracy": SloRecord(degraded=True, since=START - 86_400)},
    )
    read = observed(block=START // BLOCK + 23, series={V1.version: {"accuracy": blocks}})
    result = SloResult(SLO, SloState.MISSED, Reason.OBJECTIVE_MISSED)
    ((found, _),) = remedies_for(TERMS, status, read, (result,), now=START + 24 * BLOCK)
    return found


def replaced(**fields) -> PastVersion:
    return PastVersion.of(
        V2, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=0, end_time=START, **fields
    )


@pytest.mark.parametrize(
    ("newest", "kind", "reason", "says"),
    [(BAD, Alert, Reason.RETURN_REFUSED, True), (GOOD, Hold, Reason.RECOVERED, False)],
    ids=["bad", "recovered"],
)
def test_a_remedy_explains_the_absent_rollback_only_while_the_slo_is_still_bad(
    newest, kind, reason, says
):
    found = remedy(newest, before=replaced(record={"accuracy": {"bad": 900, "total": 1000}}))
    assert (type(found), found.reason) == (kind, reason)
    assert ("not rolled back: v2 isn't known to do better" in found.message) is says


@pytest.mark.parametrize("tried", [True, False])
def test_a_degraded_version_on_probation_is_rolled_back_to_the_version_it_replaced(tried):
    """v3 was stable in between, and restored: what the probation compares with is v2."""
    between = PastVersion.of(
        V3, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=5, end_time=START
    )
    status = serving(
        stable=stable(since=START - 3600),
        history=(between, replaced()),
        probation=Probation(version="v1", against="v2", start_time=START) if tried else None,
        slos={"accuracy": SloRecord(degraded=True, since=START - 86_400)},
    )
    blocks = series(*[BAD] * 24, first=START // BLOCK)
    read = observed(block=START // BLOCK + 23, series={V1.version: {"accuracy": blocks}})
    result = SloResult(SLO, SloState.MISSED, Reason.OBJECTIVE_MISSED)
    ((found, _),) = remedies_for(TERMS, status, read, (result,), now=START + 24 * BLOCK)
    assert isinstance(found, Rollback)
    assert found.to == (V2 if tried else V3)


def on_probation(**fields):
    """Return v1, which replaced v2 an hour ago and is bad now."""
    return serving(
        stable=stable(since=START - 3600),
        history=(replaced(),),
        probation=Probation(version="v1", against="v2", start_time=START),
        slos={"accuracy": SloRecord(degraded=True, since=START - 86_400)},
        **fields,
    )


NEED = trigger_for(TERMS, on_probation(), "accuracy")
UNDER_WAY = {
    "its training": ({"retraining": RetrainingStatus(trigger=Trigger(
        id=NEED, cause="ModelDecay", version="v1", trigger_time=START))}, Reason.ALREADY_RETRAINING),
    "the version that it made": (
        {"candidate": candidate(5, release=V3, trigger=NEED)}, Reason.CANARY_IN_PROGRESS),
    "a training for another need": ({"retraining": RetrainingStatus(trigger=Trigger(
        id="other", cause="Requested", version="v1", trigger_time=START))}, None),
    "a version of the spec": ({"candidate": candidate(5, release=V3)}, None),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), UNDER_WAY.values(), ids=UNDER_WAY)
def test_a_remedy_decided_for_a_degradation_is_not_replaced_by_a_slower_detector(fields, reason):
    blocks = series(*[BAD] * 24, first=START // BLOCK)
    read = observed(block=START // BLOCK + 23, series={V1.version: {"accuracy": blocks}})
    result = SloResult(SLO, SloState.MISSED, Reason.OBJECTIVE_MISSED)
    now = START + 24 * BLOCK
    ((found, _),) = remedies_for(TERMS, on_probation(**fields), read, (result,), now=now)
    assert isinstance(found, Hold if reason else Rollback)
    assert reason is None or found.reason == reason
    assert reason is None or "v2 replaces it only if its remedy fails" in found.message


def test_an_slo_that_recovers_hides_no_present_degradation_of_another():
    """Otherwise the product shows Recovered, and nothing of what is missed now."""
    terms = judged_by(
        {**ACCURACY, "name": "first", "objective": "0.8", "onDegraded": "Alert"},
        {**ACCURACY, "name": "second", "objective": "0.8", "onDegraded": "Alert"},
    )
    blocks = {
        name: series(*[newest] * 24, first=START // BLOCK)
        for name, newest in (("first", GOOD), ("second", BAD))
    }
    degraded = SloRecord(degraded=True, since=START - 86_400)
    status = serving(stable=stable(since=START - 86_400), slos=dict.fromkeys(blocks, degraded))
    read = observed(block=START // BLOCK + 23, series={V1.version: blocks})
    results = tuple(SloResult(slo, SloState.MISSED, Reason.OBJECTIVE_MISSED) for slo in terms.slos)

    found = remedies_for(terms, status, read, results, now=START + 24 * BLOCK)

    assert [diagnosis.slo for _, diagnosis in found] == ["second", "first"]
    assert found[1][1].cause is Reason.RECOVERED
