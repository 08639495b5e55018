"""How a decision begins to be carried out, and what the first share records."""

from __future__ import annotations

import pytest

from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import LastHandled
from sluicegate.api.versions import ApiComparison, CandidatePhase, PastVersion, VersionSource
from sluicegate.policy.model.decision import Inconclusive, Promote, StartRollout
from sluicegate.policy.model.observed import Facts, ManualRequest
from sluicegate.policy.rollout.api_gate import take_share
from sluicegate.policy.rollout.candidates import with_share
from sluicegate.policy.rollout.decision_status import begin_decision, carry_out_at_once
from sluicegate.policy.rollout.rollbacks import roll_back_candidate, roll_back_stable
from tests.support.decisions.judged import (
    START,
    V2,
    V3,
    candidate,
    judged_by,
    observed,
    parked,
    serving,
)
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)
NOW = START + 3600
BEFORE = LastHandled.of({REQUEST_PROMOTE: "v1/a"})
HANDLED = LastHandled.of({REQUEST_PROMOTE: "v3/b"})
OTHER = StartRollout(
    reason=Reason.MODEL_CHANGED, message="v3", candidate=V3, source=VersionSource.SPEC, weight=5
)
EARLIER = PastVersion.of(
    V3, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=1, end_time=2
)


@pytest.mark.parametrize("kind", ["another version starts", "an earlier version is restored"])
def test_a_rollback_request_stays_pending_until_the_candidate_lost_its_traffic(kind):
    status = serving(candidate=candidate(5), history=(EARLIER,), last_handled=HANDLED)
    back = roll_back_stable(status, V3, Reason.ROLLBACK_REQUESTED, "v3")
    decision = OTHER if kind == "another version starts" else back
    after = begin_decision(TERMS, status, decision, NOW, handled=BEFORE)
    assert after.candidate.release == V2
    assert after.candidate.phase is CandidatePhase.ROLLING_BACK
    assert after.candidate.decision_reason == Reason.SUPERSEDED
    assert after.last_handled == BEFORE


@pytest.mark.parametrize("before", [candidate(), parked(candidate(5))], ids=["starting", "parked"])
def test_a_candidate_without_traffic_is_replaced_at_once(before):
    status = serving(candidate=before, history=(EARLIER,), last_handled=HANDLED)
    started = begin_decision(TERMS, status, OTHER, NOW, handled=BEFORE)
    assert started.candidate.release == V3
    assert started.candidate.phase is CandidatePhase.STARTING
    assert started.last_handled == HANDLED
    back = roll_back_stable(status, V3, Reason.ROLLBACK_REQUESTED, "v3")
    restored = begin_decision(TERMS, status, back, NOW, handled=BEFORE).candidate
    assert (restored.release, restored.phase) == (V3, CandidatePhase.PROMOTING)
    assert restored.restoring


def test_a_rollback_to_a_version_that_status_no_longer_has_changes_nothing():
    status = serving()
    back = roll_back_stable(status, V3, Reason.ROLLBACK_REQUESTED, "v3")
    assert begin_decision(TERMS, status, back, NOW) == status


@pytest.mark.parametrize(
    ("reason", "recorded"),
    [(Reason.CANARY_NOT_WORSE, ""), (Reason.PROMOTE_REQUESTED, Reason.PROMOTE_REQUESTED)],
)
def test_a_promotion_records_its_reason_where_that_is_not_the_evidence(reason, recorded):
    status = serving(candidate=candidate(50))
    after = begin_decision(TERMS, status, Promote(reason=reason, message="why", candidate=V2), NOW)
    assert after.candidate.phase is CandidatePhase.PROMOTING
    assert (after.candidate.decision_reason, after.candidate.decision_message) == (recorded, "why")


def test_a_replay_parks_an_inconclusive_candidate_and_drops_a_rolled_back_candidate():
    status = serving(candidate=candidate(50))
    fault = Inconclusive(reason=Reason.NODE_BUSY, message="")
    waits = carry_out_at_once(TERMS, status, fault, NOW).candidate
    assert (waits.phase, waits.weight, waits.retries) == (CandidatePhase.PARKED, 0, 1)
    worse = roll_back_candidate(status, Reason.CANARY_WORSE, "")
    assert carry_out_at_once(TERMS, status, worse, NOW).candidate is None


def test_a_promotion_in_parts_waits_for_ready_pods_after_each_part():
    promoting = candidate(50, phase=CandidatePhase.PROMOTING)
    part = with_share(promoting, 70, NOW)
    assert (part.phase, part.wait_start_time) == (CandidatePhase.PROMOTING, NOW)
    assert with_share(part, 100, NOW + 60).wait_start_time == NOW


@pytest.mark.parametrize(
    ("sentence", "changes", "recorded"),
    [
        ("the candidate keeps stable's API", (), ApiComparison.KEPT),
        ("one of both APIs is unknown", None, ApiComparison.UNKNOWN),
    ],
)
def test_the_first_share_records_how_the_apis_compare(sentence, changes, recorded):
    seen = observed(facts=Facts(api_changes=changes))
    after = take_share(serving(candidate=candidate()), seen, 5, NOW).candidate
    assert (after.weight, after.api) == (5, recorded), sentence
    later = take_share(serving(candidate=candidate(5)), seen, 50, NOW).candidate
    assert (later.weight, later.api) == (50, None), sentence


def test_one_approval_gives_a_candidate_with_a_changed_api_its_first_share():
    status = serving(candidate=candidate())
    broken = Facts(api_changes=("POST /predict is gone",))
    assert take_share(status, observed(facts=broken), 5, NOW) is status
    approval = ManualRequest(REQUEST_PROMOTE, f"{V2.version}/a")
    after = take_share(status, observed(facts=broken, requests=(approval,)), 5, NOW)
    assert (after.candidate.weight, after.candidate.api) == (5, ApiComparison.CHANGED)
    assert after.last_handled.token(REQUEST_PROMOTE) == approval.value


def test_the_first_share_records_the_added_and_deprecated_parts_of_the_api():
    facts = Facts(api_changes=(), api_added=("POST /rank",), api_deprecated=("POST /predict",))
    after = take_share(serving(candidate=candidate()), observed(facts=facts), 5, NOW).candidate
    assert after.api is ApiComparison.KEPT
    assert after.api_changes == ApiChanges(added=("POST /rank",), deprecated=("POST /predict",))
    same = Facts(api_changes=())
    kept = take_share(serving(candidate=candidate()), observed(facts=same), 5, NOW).candidate
    assert kept.api_changes is None


def test_a_decision_without_a_share_leaves_status_unchanged():
    status = serving(candidate=candidate())
    assert take_share(status, observed(), None, NOW) is status
