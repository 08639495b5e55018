"""A candidate that can't go on is rolled back by the same decision as any other, in each phase."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import REQUEST_ABORT
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.decision import Alert, Hold, Rollback, StartRollout
from sluicegate.policy.model.observed import Failure, ManualRequest, Observed, RolloutProgress
from sluicegate.policy.rollout.setbacks import setback_rollback
from tests.support.decisions.judged import (
    START,
    V1,
    V2,
    V3,
    candidate,
    judged_by,
    parked,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)
PULL = Failure(Reason.IMAGE_NOT_FOUND, "the image is gone")
NODE = Failure(Reason.INFRASTRUCTURE, "a node is gone")
WAITS = RolloutProgress(wants_share=True, waited_seconds=60, deadline=600)
LATE = replace(WAITS, waited_seconds=601)
GIVEN = RolloutProgress(given_since=60, deadline=600)
PROMOTING = candidate(5, 100).replace(phase=CandidatePhase.PROMOTING)


def observed(seen: RolloutProgress, *requests: str, desired=V2) -> Observed:
    asked = tuple(ManualRequest(REQUEST_ABORT, request) for request in requests)
    return Observed(block=START // 300, desired=desired, rollout=seen, requests=asked)


def found(one, seen: RolloutProgress) -> Rollback | None:
    return setback_rollback(serving(candidate=one), observed(seen))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (WAITS, None),
        (LATE, Reason.CANARY_NOT_READY),
        (replace(LATE, attribution=NODE), Reason.INFRASTRUCTURE),
        (replace(WAITS, problem=PULL), None),
        (replace(WAITS, problem=PULL, unrecoverable=True), Reason.IMAGE_NOT_FOUND),
        (replace(WAITS, problem=PULL, unrecoverable=True, attribution=NODE), None),
        (replace(LATE, share=5), None),
        (replace(LATE, frozen=True), None),
        (replace(LATE, wants_share=False), None),
    ],
    ids=[
        "in time", "late", "late for want of a node", "a hiccup", "hopeless", "hopeless for want of a node",
        "ready after all", "suspended", "has its share",
    ],
)  # fmt: skip
@pytest.mark.parametrize("one", [candidate(), candidate(5)], ids=["starting", "at a step"])
def test_pods_that_do_not_start_end_a_rollout(one, seen, reason):
    decided = found(one, seen)
    assert (decided.reason if decided else None) is reason
    if decided is not None:
        assert (decided.leaving, decided.to) == (V2, V1)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (GIVEN, None),
        (replace(GIVEN, serves=False), Reason.CANARY_NOT_READY),
        (replace(GIVEN, serves=False, stable_serves=False), None),
        (
            replace(GIVEN, serves=False, stable_serves=False, given_since=601),
            Reason.CANARY_NOT_READY,
        ),
        (replace(GIVEN, not_followed="60 %", given_since=600), None),
        (replace(GIVEN, not_followed="60 %", given_since=601), Reason.TRAFFIC_NOT_VERIFIED),
    ],
    ids=["fine", "down", "both down", "both down for long", "not followed yet", "not followed"],
)
def test_a_promotion_is_rolled_back_without_ready_pods_or_if_traffic_does_not_follow(seen, reason):
    decided = found(PROMOTING, seen)
    assert (decided.reason if decided else None) is reason


def test_an_ended_rollout_is_not_ended_again_by_failing_pods():
    assert found(parked(candidate(5)), LATE) is None
    assert found(candidate(5).replace(phase=CandidatePhase.ROLLING_BACK), LATE) is None


# ---- while a promotion is carried out ---------------------------------------------------------
def decided(one, *requests: str, seen=GIVEN, desired=V2):
    status = serving(
        stable=stable(since=START - 86_400),
        candidate=one,
        spec_model=SpecModel.of(V2, Outcome.IN_PROGRESS, START),
    )
    return evaluate(TERMS, status, observed(seen, *requests, desired=desired), START + 60)


def test_an_abort_during_a_promotion_is_decided_as_any_other_request():
    answer = decided(PROMOTING, "v2/one")
    assert isinstance(answer.decision, Rollback)
    assert answer.decision.reason is Reason.ABORT_REQUESTED
    assert answer.status.last_handled.abort == "v2/one"
    assert not answer.judged


@pytest.mark.parametrize(
    ("one", "seen", "says"),
    [
        (PROMOTING, replace(GIVEN, committed=True), "serves all traffic already"),
        (PROMOTING.replace(restoring=True), GIVEN, "is being restored"),
        (
            PROMOTING.replace(phase=CandidatePhase.ROLLING_BACK),
            GIVEN,
            "is being rolled back already",
        ),
    ],
    ids=["committed", "the way back", "on its way back already"],
)
def test_a_late_abort_is_refused_once(one, seen, says):
    answer = decided(one, "one", seen=seen)
    assert isinstance(answer.decision, Alert)
    assert says in answer.decision.message
    assert answer.status.last_handled.abort == "one"


def test_an_abort_of_another_version_waits_until_the_promotion_is_over():
    answer = decided(PROMOTING, "v3/one")
    assert isinstance(answer.decision, Hold)
    assert answer.status.last_handled is None


def test_a_new_model_ends_a_promotion_that_does_not_serve_all_traffic_yet():
    assert isinstance(decided(PROMOTING, desired=V3).decision, StartRollout)
    assert isinstance(decided(PROMOTING).decision, Hold)
    committed = replace(GIVEN, committed=True)
    assert isinstance(decided(PROMOTING, seen=committed, desired=V3).decision, Hold)
