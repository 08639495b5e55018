"""What a rollout comes to is decided once pods and traffic have followed, by policy alone."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase, PastVersion, VersionSource
from sluicegate.policy.model.decision import Inconclusive, Promote, Rollback
from sluicegate.policy.model.observed import Failure
from sluicegate.policy.rollout.outcome import conclude, outcome_of, without_return
from tests.support.decisions.judged import START, V2, V3, candidate, serving

LOOP = Failure(Reason.CANARY_NOT_READY, "crash loop")
NODE = Failure(Reason.INFRASTRUCTURE, "a node is gone")


def ended(reason: Reason, attribution: Failure | None = None):
    left = candidate(5).replace(
        phase=CandidatePhase.ROLLING_BACK, decision_reason=str(reason), decision_message="as told"
    )
    return conclude(serving(candidate=left), left, attribution)


@pytest.mark.parametrize(
    ("reason", "attribution", "kind", "recorded", "says"),
    [
        (Reason.CANARY_WORSE, None, Rollback, Reason.CANARY_WORSE, "as told"),
        (Reason.CANARY_WORSE, LOOP, Rollback, Reason.CANARY_WORSE, "as told"),
        (Reason.SUPERSEDED, None, Rollback, Reason.SUPERSEDED, "as told"),
        (Reason.MAX_DURATION, None, Inconclusive, Reason.MAX_DURATION, "as told"),
        (Reason.METRICS_LOST, LOOP, Inconclusive, Reason.METRICS_LOST, "as told"),
        (Reason.INFRASTRUCTURE, None, Inconclusive, Reason.INFRASTRUCTURE, "as told"),
        (Reason.INFRASTRUCTURE, NODE, Inconclusive, Reason.INFRASTRUCTURE, "as told"),
        (Reason.INFRASTRUCTURE, LOOP, Rollback, Reason.CANARY_NOT_READY, "crash loop"),
    ],
)
def test_the_attribution_of_a_failure_decides_its_recorded_outcome(
    reason, attribution, kind, recorded, says
):
    decision = ended(reason, attribution)
    assert type(decision) is kind
    assert (decision.reason, decision.message) == (recorded, says)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Reason.CANARY_WORSE, Outcome.ROLLED_BACK),
        (Reason.SUPERSEDED, Outcome.SUPERSEDED),
        (Reason.MAX_DURATION, Outcome.INCONCLUSIVE),
    ],
)
def test_the_history_entry_of_a_candidate_has_the_outcome_of_its_reason(reason, outcome):
    assert outcome_of(ended(reason)) is outcome


@pytest.mark.parametrize(
    ("decided", "says"), [("as told", "as told"), ("", "v2 serves all traffic")]
)
def test_a_promotion_message_states_the_reason_of_the_decision(decided, says):
    promoting = candidate(5, 100).replace(phase=CandidatePhase.PROMOTING, decision_message=decided)
    found = conclude(serving(candidate=promoting), promoting, None)
    assert (found.message, found.reason) == (says, Reason.CANARY_NOT_WORSE)


def test_a_new_version_with_all_traffic_is_a_promotion_and_an_earlier_version_is_a_rollback():
    promoting = candidate(5, 100).replace(phase=CandidatePhase.PROMOTING)
    assert isinstance(conclude(serving(candidate=promoting), promoting, None), Promote)
    back = promoting.replace(restoring=True, decision_reason=str(Reason.PROBATION_FAILED))
    decision = conclude(serving(candidate=back), back, LOOP)
    assert isinstance(decision, Rollback)
    assert decision.to == back.release


@pytest.mark.parametrize(
    ("reason", "outcome", "end"),
    [
        (Reason.CANARY_NOT_READY, Outcome.FAILED, START),
        (Reason.IMAGE_NOT_FOUND, Outcome.FAILED, START),
        (Reason.RUNTIME_MISMATCH, Outcome.FAILED, START),
        (Reason.SERVICE_NOT_FOUND, Outcome.FAILED, START),
        (Reason.SUPERSEDED, Outcome.REPLACED, 20),
        (Reason.INFRASTRUCTURE, Outcome.REPLACED, 20),
    ],
)
def test_an_earlier_version_is_not_restored_again_once_its_own_pods_failed(reason, outcome, end):
    history = tuple(
        PastVersion.of(
            one, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=at, end_time=at
        )
        for one, at in ((V3, 30), (V2, 20))
    )
    back = candidate(5).replace(restoring=True, decision_reason=str(reason))
    found = without_return(serving(history=history), back, START)
    told = {one.release: (one.outcome, one.end_time) for one in found}
    assert told == {V2: (outcome, end), V3: (Outcome.REPLACED, 30)}
