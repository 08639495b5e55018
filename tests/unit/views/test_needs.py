"""Which products need a person, with the reason and the command."""

from __future__ import annotations

import shlex

import pytest

from sluicegate.views.needs import NeedKind, needs_of
from tests.support.portfolio.products import (
    WHEN,
    condition,
    degraded,
    product,
    version,
    waiting_for_approval,
)

SUSPENDED = {
    "retraining": {
        "suspended": True, "unsuccessfulAttempts": 3,
        "lastResult": {"outcome": "Rejected", "reason": "WorseOnHoldOut", "completionTime": WHEN},
    }
}  # fmt: skip
TRAINING = {
    "retraining": {
        "trigger": {"id": "0a1b2c3d", "cause": "ModelDecay", "version": "v14", "triggerTime": WHEN}
    }
}
PAUSED = {
    "pending": TRAINING["retraining"]["trigger"], "waitingFor": "CoolingDown",
    "unsuccessfulAttempts": 1, "lastReason": "JobFailed",
}  # fmt: skip


def held(check, **more):
    """A candidate that has passed, with the check that holds it."""
    status = waiting_for_approval()
    hold = {"check": check, "startTime": "2026-11-28T12:00:00Z", "message": "v15 stays at 50 %"}
    return status | {"candidate": status["candidate"] | {"hold": hold | more}}


def idle(reason):
    """A training that doesn't run, and why."""
    return condition("RetrainingActive", "False", reason, "its words")


def rejected(image):
    """A spec.model that was not promoted."""
    return {
        "image": image, "version": "v2", "runtimeImage": "registry.example/runtime:1",
        "outcome": "RolledBack", "outcomeTime": WHEN,
    }  # fmt: skip


AUSTRIA = {"name": "accuracy", "state": "Met", "markets": [
    {"market": "AT", "state": "Missed", "ratio": "0.043", "total": 506, "missedStartTime": WHEN},
    {"market": "FR", "state": "Met", "ratio": "0.93", "total": 900},
]}  # fmt: skip


MISSED_THERE = {
    "state": "Healthy", "slos": [AUSTRIA],
    "conditions": [condition("MarketsMet", "False", "MarketMissed", "accuracy is missed in AT")],
}  # fmt: skip
PARKED = version("v15", phase="Parked", startTime=WHEN, decisionMessage="the time is over")
TABLE = {
    "healthy": ({}, []),
    "stalled": (
        {"conditions": [condition("Stalled", "True", "InvalidSpec", "slos: …"),
                        condition("Ready", "False", "ApplyRefused", "…")]},
        [NeedKind.STALLED],
    ),
    "an outage of a product whose spec.model was rejected": (
        {"conditions": [condition("Stalled", "True", "ModelRejected", "v2 was not promoted"),
                        condition("Ready", "False", "RouteNotAccepted", "no Gateway")]},
        [NeedKind.NOT_READY, NeedKind.STALLED],
    ),
    "starting": ({"conditions": [condition("Ready", "False", "Starting")]}, []),
    "refused": (
        {"conditions": [condition("Ready", "False", "ApplyRefused", "quota")]}, [NeedKind.NOT_READY],
    ),
    "approval": (waiting_for_approval(), [NeedKind.APPROVAL]),
    "an approved candidate is held": (
        held("LooksWorse", request="sluicegate.dev/promote=v15/1"), [NeedKind.HELD],
    ),
    "an approval acts once the newest block is read": (
        held("CollectingEvidence", request="sluicegate.dev/promote=v15/1"), [NeedKind.APPROVAL],
    ),
    "stepping": ({"candidate": version("v15", phase="Stepping", startTime=WHEN)}, []),
    "its API changes": (
        {"candidate": version("v15", phase="Starting", startTime=WHEN),
         "conditions": [condition("RolloutProgressing", "True", "ApiChanged", "a path is gone")]},
        [NeedKind.APPROVAL],
    ),
    "no verdict": ({"candidate": PARKED}, [NeedKind.INCONCLUSIVE]),
    "no verdict for spec.model": (
        {"candidate": PARKED, "specModel": rejected(PARKED["image"]),
         "conditions": [condition("Stalled", "True", "ModelRejected", "v15 was not promoted")]},
        [NeedKind.INCONCLUSIVE],
    ),
    "no verdict for a retrained version beside a rejected spec.model": (
        {"candidate": PARKED, "specModel": rejected("registry.example/pricing@sha256:" + "b" * 64),
         "conditions": [condition("Stalled", "True", "ModelRejected", "v2 was not promoted")]},
        [NeedKind.STALLED, NeedKind.INCONCLUSIVE],
    ),
    "retried": ({"candidate": PARKED | {"retryTime": WHEN}}, []),
    "degraded": (degraded(), [NeedKind.DEGRADED]),
    "training": (degraded() | TRAINING, []),
    "a market alone misses an SLO": (MISSED_THERE, [NeedKind.MARKET]),
    "a market misses an SLO while a training for another reason is under way": (
        MISSED_THERE | TRAINING, [NeedKind.MARKET],
    ),
    "a market misses an SLO while a training for it is under way": (
        MISSED_THERE | {"retraining": {"trigger": TRAINING["retraining"]["trigger"] | {"market": "AT"}}}, [],
    ),
    "a market misses an SLO while the version that was trained for it is tried": (
        MISSED_THERE | {"candidate": version("v15", phase="Stepping", startTime=WHEN, causeMarket="AT")}, [],
    ),
    "a market misses an SLO while a remedy of the product is under way": (
        degraded() | TRAINING | {"slos": [AUSTRIA]}, [],
    ),
    "a training that a person must ask for": (
        degraded() | {"retraining": {"pending": TRAINING["retraining"]["trigger"],
                                     "waitingFor": "ManualMode"}},
        [NeedKind.DEGRADED],
    ),
    "a failed training pauses the next one": (
        degraded() | {"retraining": PAUSED, "conditions": [idle("CoolingDown")]},
        [NeedKind.TRAINING_BLOCKED],
    ),
    "labels end the pause": (
        degraded() | {"retraining": PAUSED | {"lastReason": "WorseOnHoldOut"},
                      "conditions": [idle("CoolingDown")]},
        [NeedKind.DEGRADED],
    ),
    "a training waits for the age of its version": (
        degraded() | {"retraining": PAUSED | {"waitingFor": "VersionTooYoung"}}, [],
    ),
    "a training waits for the age of its version beside a rejected spec.model": (
        degraded() | {
            "retraining": PAUSED | {"waitingFor": "VersionTooYoung", "lastReason": "NotShownBetter"},
            "conditions": [condition("Stalled", "True", "ModelRejected", "v2 was not promoted")],
        },
        [NeedKind.STALLED, NeedKind.DEGRADED],
    ),
    "its Job is refused": (
        TRAINING | {"conditions": [idle("JobRefused")]}, [NeedKind.TRAINING_BLOCKED],
    ),
    "no training is a remedy": (
        degraded() | {"retraining": PAUSED, "conditions": [idle("NoRemedyFound")]},
        [NeedKind.TRAINING_BLOCKED],
    ),
    "challengers fail": (
        {"retraining": PAUSED, "conditions": [idle("ChallengersFail")]}, [NeedKind.TRAINING_BLOCKED],
    ),
    "the cluster lost a Job": (
        degraded() | {"retraining": PAUSED | {"waitingFor": "Infrastructure", "lostJobs": 1},
                      "conditions": [idle("WaitingToRetry")]},
        [],
    ),
    "the cluster lost three Jobs": (
        degraded() | {"retraining": PAUSED | {"lostJobs": 3}, "conditions": [idle("WaitingToRetry")]},
        [NeedKind.TRAINING_BLOCKED],
    ),
    "upstream degraded": (degraded("UpstreamDegraded"), []),
    "as accepted again": (degraded("Recovered"), []),
    "a canary is under way": (
        degraded() | {"candidate": version("v15", phase="Stepping", startTime=WHEN)}, [],
    ),
    "suspended": (degraded() | SUSPENDED, [NeedKind.RETRAINING_SUSPENDED]),
    "review due": (
        {"conditions": [condition("ReviewDue", "True", "ToReview")]}, [NeedKind.REVIEW_DUE],
    ),
    "a review that can't be opened": (
        {"conditions": [condition("ReviewDue", "True", "ReviewMisconfigured", "spec.review.timeZone")]},
        [NeedKind.REVIEW_DUE],
    ),
    "review late": (
        {"conditions": [condition("ReviewDue", "True", "Overdue")]}, [NeedKind.REVIEW_OVERDUE],
    ),
    "late actions": (
        {"conditions": [condition("ActionsLate", "True", "ActionsLate")]}, [NeedKind.ACTIONS_LATE],
    ),
    "late actions beside a review to sign": (
        {"conditions": [
            condition("ReviewDue", "True", "ToReview"), condition("ActionsLate", "True", "ActionsLate"),
        ]},
        [NeedKind.ACTIONS_LATE, NeedKind.REVIEW_DUE],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("status", "kinds"), TABLE.values(), ids=TABLE)
def test_a_status_has_the_needs_of_its_product(status, kinds):
    assert [need.kind for need in needs_of(product(status=status))] == kinds


def test_a_need_has_its_numbers_and_its_start_time():
    [need] = needs_of(product(status=degraded()))
    assert "84.2 % (n=1,200)" in need.message
    assert need.since == 1795856400


def test_an_approved_candidate_that_is_held_names_the_check_and_offers_to_abort():
    request = "sluicegate.dev/promote=v15/1"
    [need] = needs_of(product(status=held("LooksWorse", request=request)))
    assert need.reason == "LooksWorse"
    assert need.since == 1795867200
    assert "v15 stays at 50 %" in need.message
    assert request in need.message
    assert need.command == "kubectl sluicegate abort pricing/pricing v15"


def test_an_approval_waits_since_its_candidate_passed():
    """RolloutProgressing is True since the rollout began."""
    waits = waiting_for_approval()
    held = {"check": "AwaitingApproval", "startTime": "2026-11-29T10:00:00Z", "message": "v15 has passed"}  # fmt: skip
    [need] = needs_of(product(status=waits | {"candidate": waits["candidate"] | {"hold": held}}))
    assert need.since == 1795946400


def test_a_need_for_a_manual_training_has_its_command():
    manual = {"retraining": {"pending": TRAINING["retraining"]["trigger"], "waitingFor": "ManualMode"}}  # fmt: skip
    [need] = needs_of(product(status=degraded() | manual))
    assert need.command == "kubectl sluicegate retrain pricing/pricing"
    [need] = needs_of(product(status=degraded()))
    assert need.command == ""


def test_a_degradation_whose_training_is_paused_has_its_numbers_the_wait_and_a_command():
    status = degraded()
    status |= {"conditions": [*status["conditions"], idle("CoolingDown")]}
    paused = PAUSED | {"lastReason": "NotShownBetter", "unsuccessfulAttempts": 0}
    [need] = needs_of(product(status=status | {"retraining": paused}))
    assert "84.2 % (n=1,200)" in need.message
    assert need.message.endswith("; its words")
    assert need.command == "kubectl sluicegate retrain pricing/pricing"


def test_a_degradation_without_a_diagnosis_keeps_its_numbers_beside_the_last_training():
    status = degraded()
    del status["diagnosis"]
    status |= {"conditions": [*status["conditions"], idle("Idle")]}
    [need] = needs_of(product(status=status))
    assert "84.2 % (n=1,200)" in need.message
    assert need.message.endswith("; its words")


def test_the_command_of_a_need_names_the_version_and_is_shell_safe():
    bad = "v15'; rm -rf $HOME"
    [need] = needs_of(product(status=waiting_for_approval(bad)))
    words = shlex.split(need.command)
    assert words == ["kubectl", "sluicegate", "promote", "pricing/pricing", bad]


def test_a_deleted_product_has_no_need():
    one = product(status=degraded())
    meta = one.metadata.model_copy(update={"deletion_timestamp": 1})
    assert needs_of(one.model_copy(update={"metadata": meta})) == ()


def test_a_product_that_is_not_measured_needs_a_person_for_its_last_measured_degradation():
    slos = [{"name": "accuracy", "state": "Unknown", "reason": "NoTraffic", "degraded": True}]
    unmeasured = condition("Degraded", "Unknown", "NoTraffic", "the newest block is missing")
    status = {"state": "Unknown", "slos": slos, "conditions": [unmeasured]}
    (need,) = needs_of(product(status=status))
    assert need.kind is NeedKind.DEGRADED
    assert need.message == (
        "it was degraded when last measured, and isn't measured now: the newest block is missing"
    )
