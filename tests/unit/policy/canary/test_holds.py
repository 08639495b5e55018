"""Which check status names as the one that holds a candidate, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import CandidateHold
from sluicegate.policy.canary.holds import NAMED_SECONDS, hold_of
from sluicegate.policy.model.decision import Advance, Hold, Rollback
from tests.support.decisions.judged import CANARY, START, V1, V2, both_arms, candidate, observed

if TYPE_CHECKING:
    from sluicegate.policy.model.observed import CanaryBlock

ONE = {"availability": (0, 900)}
NONE = {"availability": (0, 0)}
LONG = NAMED_SECONDS // CANARY


@pytest.mark.parametrize(
    ("sentence", "reason", "quiet", "seconds", "check"),
    [
        ("evidence has to grow", Reason.COLLECTING_EVIDENCE, 0, 3600, "CollectingEvidence"),
        ("a step lasts some blocks", Reason.DWELLING, 0, 60, "CollectingEvidence"),
        ("a quiet minute passes", Reason.NO_TRAFFIC, 1, 3600, "CollectingEvidence"),
        ("no requests for ten minutes", Reason.NO_TRAFFIC, LONG, 3600, "NoTraffic"),
        ("a new share is verified soon", Reason.TRAFFIC_NOT_VERIFIED, 0, 60, "CollectingEvidence"),
        ("a share isn't verified", Reason.TRAFFIC_NOT_VERIFIED, 0, 3600, "TrafficNotVerified"),
        ("an objective is missed", Reason.OBJECTIVE_NOT_MET, 0, 60, "ObjectiveNotMet"),
        ("the shares are wrong", Reason.ROUTING_MISMATCH, 0, 60, "RoutingMismatch"),
        ("it needs approval", Reason.AWAITING_APPROVAL, LONG, 60, "AwaitingApproval"),
    ],
)
def test_a_hold_names_its_check_at_once_or_after_the_documented_delay(
    sentence, reason, quiet, seconds, check
):
    blocks = both_arms(ONE, ONE, 5) + both_arms(NONE, NONE, quiet, begin=START + 5 * CANARY)
    decision = Hold(reason=reason, message="why")
    found = hold_of(
        candidate(50), decision, observed(blocks), now=START + seconds, request="x=v2/1"
    )
    assert found is not None, sentence
    assert (found.check, found.message, found.request) == (check, "why", "x=v2/1"), sentence
    begun = START + seconds - quiet * CANARY if check == "NoTraffic" else None
    assert found.start_time == begun, "a check that is named once it has lasted has its beginning"


@pytest.mark.parametrize(
    ("sentence", "minutes", "check"),
    [
        ("a request each fifteen minutes", [15] * 6, "CollectingEvidence"),
        ("half an hour, where a quarter was usual", [15] * 6 + [30], "NoTraffic"),
        ("a night after a day of requests", [600, *[1] * 130, 10], "NoTraffic"),
        ("a pause before any request", [10], "NoTraffic"),
    ],
)
def test_pauses_that_are_usual_at_little_traffic_are_not_named(sentence, minutes, check):
    """Otherwise the name would change, and status be written, with each request."""
    blocks: list[CanaryBlock] = []
    for number, pause in enumerate(minutes):
        counts = ONE if number else NONE
        blocks += both_arms(counts, ONE, min(number, 1), begin=START + CANARY * len(blocks))
        blocks += both_arms(NONE, NONE, pause, begin=START + CANARY * len(blocks))
    quiet = Hold(reason=Reason.NO_TRAFFIC, message="")
    found = hold_of(candidate(50), quiet, observed(blocks), now=blocks[-1].end)
    assert found is not None
    assert found.check == check, sentence


@pytest.mark.parametrize(
    ("named", "since", "reason", "check"),
    [
        ("CollectingEvidence", 60, Reason.LOOKS_WORSE, "CollectingEvidence"),
        ("CollectingEvidence", NAMED_SECONDS, Reason.LOOKS_WORSE, "LooksWorse"),
        ("LooksWorse", 60, Reason.COLLECTING_EVIDENCE, "LooksWorse"),
        ("LooksWorse", NAMED_SECONDS, Reason.COLLECTING_EVIDENCE, "CollectingEvidence"),
        ("AwaitingApproval", 60, Reason.LOOKS_WORSE, "LooksWorse"),
        ("CollectingEvidence", 60, Reason.OBJECTIVE_NOT_MET, "ObjectiveNotMet"),
    ],
)
def test_a_hold_whose_evidence_alternates_around_a_bound_changes_at_most_every_ten_minutes(
    named, since, reason, check
):
    """Each change of the name is a write of status."""
    now = START + 7200
    one = candidate(50, hold=CandidateHold(check=named, start_time=now - since))
    found = hold_of(one, Hold(reason=reason, message=""), observed(), now=now)
    assert found is not None
    assert found.check == check


def test_a_raised_share_is_held_until_its_pods_are_ready_and_a_rollback_is_not_held():
    ahead = Advance(reason=Reason.CANARY_NOT_WORSE, message="", step=2, weight=50)
    found = hold_of(candidate(5), ahead, observed(), now=START)
    assert found is not None
    assert found.check is Reason.WAITING_FOR_PODS
    assert "gets 50 % once its pods for it are ready" in found.message
    back = Rollback(reason=Reason.CANARY_WORSE, message="", leaving=V2, to=V1)
    assert hold_of(candidate(5), back, observed(), now=START) is None
