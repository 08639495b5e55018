"""The page, the plugin, the digest, the messages and REASON agree on which product needs a person."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.names import ConditionReason
from sluicegate.notify.catalogue import MESSAGE_CATALOGUE, Kind, Urgency
from sluicegate.notify.watched import needs_of_record
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.report.status import report
from sluicegate.views.needs import LABELS, NeedKind
from sluicegate.views.product_facts import read_facts
from tests.support.decisions.product_moments import IN_A_PIPELINE, IN_THE_COLUMN, REFUSED
from tests.support.portfolio.products import (
    WHEN,
    condition,
    degraded,
    document,
    version,
    waiting_for_approval,
)
from tests.support.portfolio.readers import contradictions, readings

TRIGGER = {"id": "0a1b2c3d", "cause": "ModelDecay", "version": "v14", "triggerTime": WHEN}
FAILED = {"pending": TRIGGER, "unsuccessfulAttempts": 1, "lastReason": "JobFailed"}
LAST = {"outcome": "Failed", "reason": "JobFailed", "completionTime": WHEN}
READY = condition("Ready", "True", "Serving")
PARKED = version("v15", phase="Parked", startTime=WHEN, decisionReason="MaxDuration")


def conditions(*parts):
    """A list of conditions that begins with a product that is ready."""
    ready = () if any(part["type"] == "Ready" for part in parts) else (READY,)
    return {"conditions": [*ready, *parts]}


def degraded_and(*parts, **more):
    """A degraded product with more conditions."""
    status = degraded()
    return status | conditions(*status["conditions"], *parts) | more


def active(reason):
    """A training that doesn't run, and why."""
    return condition("RetrainingActive", "False", reason, "its words")


def rejected(outcome):
    """A version of spec.model that ended, and was tried last."""
    past = version("v15", outcome=outcome, reason="CanaryWorse", endTime=WHEN)
    return {"history": [past]} | conditions(condition("Stalled", "True", "ModelRejected", "v15"))


# Each row is a product that needs a person: its status, the needs, REASON, and the type of the message.
TABLE = {
    "a child is refused": (
        conditions(condition("Ready", "False", "ApplyRefused", "quota")),
        [NeedKind.NOT_READY], "ApplyRefused", Kind.UNREADY,
    ),
    "a training waits for a person, as the mode is Manual": (
        degraded_and(retraining={"pending": TRIGGER, "waitingFor": "ManualMode"}),
        [NeedKind.DEGRADED], "ManualMode", Kind.DEGRADED,
    ),
    "it is degraded, and no training is configured": (
        degraded_and(), [NeedKind.DEGRADED], "ObjectiveMissed", Kind.DEGRADED,
    ),
    "its rollout ended without a verdict": (
        {"candidate": PARKED,
         "history": [version("v15", outcome="Inconclusive", reason="MaxDuration", endTime=WHEN)]}
        | conditions(condition("RolloutProgressing", "False", "NoRollout")),
        [NeedKind.INCONCLUSIVE], "MaxDuration", Kind.ROLLOUT_INCONCLUSIVE,
    ),
    "its model was rolled back": (
        rejected("RolledBack"), [NeedKind.STALLED], "ModelRejected", Kind.ROLLED_BACK,
    ),
    "its model ended without a verdict": (
        rejected("Inconclusive"), [NeedKind.STALLED], "ModelRejected", Kind.ROLLOUT_INCONCLUSIVE,
    ),
    "a rollback failed": (
        {"history": [version("v13", outcome="Failed", reason="CanaryNotReady", endTime=WHEN)]}
        | conditions(condition("RolloutProgressing", "False", "ReturnFailed", "v13")),
        [NeedKind.ROLLBACK_FAILED], "ReturnFailed", Kind.ROLLBACK_FAILED,
    ),
    "its training Job is refused": (
        degraded_and(active("JobRefused"), retraining={"trigger": TRIGGER}),
        [NeedKind.TRAINING_BLOCKED], "JobRefused", Kind.RETRAINING_REFUSED,
    ),
    "its training Job doesn't start": (
        degraded_and(active("JobPending"), retraining={"trigger": TRIGGER}),
        [NeedKind.TRAINING_BLOCKED], "JobPending", Kind.DEGRADED,
    ),
    "a failed training pauses the next one": (
        degraded_and(active("CoolingDown"), retraining=FAILED | {
            "waitingFor": "CoolingDown", "lastResult": LAST}),
        [NeedKind.TRAINING_BLOCKED], "CoolingDown", Kind.RETRAINING_FAILED,
    ),
    "trainings are no remedy": (
        degraded_and(active("NoRemedyFound"), retraining=FAILED | {"attemptsWithoutRemedy": 3}),
        [NeedKind.TRAINING_BLOCKED], "NoRemedyFound", Kind.DEGRADED,
    ),
    "challengers fail": (
        {"retraining": FAILED | {"lastResult": LAST}} | conditions(active("ChallengersFail")),
        [NeedKind.TRAINING_BLOCKED], "ChallengersFail", Kind.RETRAINING_FAILED,
    ),
    "retraining is suspended": (
        degraded_and(active("RetrainSuspended"),
                     retraining={"suspended": True, "unsuccessfulAttempts": 3}),
        [NeedKind.RETRAINING_SUSPENDED], "RetrainSuspended", Kind.RETRAINING_SUSPENDED,
    ),
    "a candidate waits for approval": (
        waiting_for_approval() | conditions(*waiting_for_approval()["conditions"]),
        [NeedKind.APPROVAL], "AwaitingApproval", Kind.APPROVAL_REQUESTED,
    ),
    "a candidate waits for a role and a consumer": (
        waiting_for_approval() | {"candidate": waiting_for_approval()["candidate"] | {"approvals": {
            "id": "a-1", "waitingFor": ["RiskOfficer", "search/ranking"], "waitStartTime": WHEN}}}
        | conditions(*waiting_for_approval()["conditions"]),
        [NeedKind.APPROVAL, NeedKind.APPROVAL], "AwaitingApproval", Kind.APPROVAL_REQUESTED,
    ),
    "an approved candidate is held": (
        waiting_for_approval() | {"candidate": waiting_for_approval()["candidate"] | {"hold": {
            "check": "WorseThanOriginal", "startTime": WHEN, "request": "sluicegate.dev/promote=v15/1"}}}
        | conditions(condition("RolloutProgressing", "True", "WorseThanOriginal", "its words")),
        [NeedKind.HELD], "WorseThanOriginal", Kind.ROLLOUT_HELD,
    ),
    "a request waits for an edit": (
        {"pendingRequests": [{"annotation": "sluicegate.dev/promote", "value": "v15/1",
                              "waitStartTime": WHEN, "reason": "Suspended"}]} | conditions(),
        [NeedKind.REQUEST], "Suspended", Kind.REQUEST_WAITS,
    ),
    "the feedback Secret lacks a key": (
        conditions(condition("MetricsAvailable", "True", "FeedbackSecretUnusable")),
        [NeedKind.SECRET], "FeedbackSecretUnusable", Kind.SECRET_UNUSABLE,
    ),
    "its release degrades a dependent": (
        conditions(condition("DegradesDependents", "True", "DependentDegraded")),
        [NeedKind.DEPENDENT], "DependentDegraded", Kind.DEPENDENT_DEGRADED,
    ),
    "a market alone misses an SLO": (
        conditions(condition("MarketsMet", "False", "MarketMissed", "its words"))
        | {"state": "Healthy", "slos": [{"name": "accuracy", "state": "Met", "markets": [
            {"market": "AT", "state": "Missed", "ratio": "0.043", "total": 506, "missedStartTime": WHEN},
        ]}]},
        [NeedKind.MARKET], "MarketMissed", Kind.MARKET_MISSED,
    ),
    "spec.dependsOn names no product": (
        {"dependencies": [{"namespace": "search", "name": "prizing", "state": "NotFound"}]}
        | conditions(condition("DependenciesHealthy", "Unknown", "DependencyUnknown")),
        [NeedKind.DEPENDENCY], "DependencyUnknown", None,
    ),
    "a review is overdue": (
        conditions(condition("ReviewDue", "True", "Overdue")),
        [NeedKind.REVIEW_OVERDUE], "Overdue", None,
    ),
    "actions of reviews are late": (
        conditions(condition("ActionsLate", "True", "ActionsLate")),
        [NeedKind.ACTIONS_LATE], "ActionsLate", Kind.ACTIONS_LATE,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("status", "kinds", "reason", "message"), TABLE.values(), ids=TABLE)
def test_a_status_with_a_need_is_listed_by_page_plugin_digest_and_messages(
    status, kinds, reason, message
):
    body = document(status=status)
    found = readings(body)
    assert list(contradictions(body)) == []
    assert found.listed == (1, 1, 1)
    assert found.page == tuple(sorted(LABELS[kind] for kind in kinds))
    assert found.reason == reason
    if message is not None:
        assert (message, Urgency.NEEDS_PERSON) in found.messages


MOMENTS = {name: (make, lambda observation: observation) for name, make in IN_THE_COLUMN.items()}


@pytest.mark.parametrize(
    ("make", "change"), (MOMENTS | REFUSED | IN_A_PIPELINE).values(),
    ids=MOMENTS | REFUSED | IN_A_PIPELINE,
)  # fmt: skip
def test_page_plugin_digest_and_messages_agree_on_needs_of_written_statuses(make, change):
    observation = change(deepcopy(make()).observation())
    status = report(observation, make_plan(observation)).to_dict()
    body = document(status=status)
    assert list(contradictions(body)) == []
    assert readings(body).reason == status["summary"].get("reason", "")


REASONS = [str(reason) for reason in ConditionReason]
RESULTS = st.sampled_from([None, LAST, LAST | {"outcome": "Rejected", "reason": "WorseOnHoldOut"}])


@st.composite
def statuses(draw):
    """Any conditions beside any candidate, training, history and state."""
    kinds = {
        "Stalled": ["True"], "Ready": ["True", "False"], "Degraded": ["True", "False", "Unknown"],
        "RetrainingActive": ["True", "False"], "RolloutProgressing": ["True", "False"],
        "MetricsAvailable": ["True", "False"], "OperatorOverlap": ["True"],
    }  # fmt: skip
    shown = {"Ready", *draw(st.sets(st.sampled_from([*kinds])))}
    found = [
        condition(kind, draw(st.sampled_from(truths)), draw(st.sampled_from(REASONS)), "words")
        for kind, truths in kinds.items()
        if kind in shown
    ]
    if draw(st.booleans()):
        found.append(condition("ReviewDue", "True", draw(st.sampled_from(["ToReview", "Overdue"]))))
    is_degraded = any((one["type"], one["status"]) == ("Degraded", "True") for one in found)
    status: dict[str, Any] = {
        "conditions": found,
        "state": "Degraded" if is_degraded else "Healthy",
    }
    if is_degraded and draw(st.booleans()):
        status["diagnosis"] = degraded(draw(st.sampled_from(["UpstreamDegraded", "ModelDecay"])))[
            "diagnosis"
        ]
    if draw(st.booleans()):
        status["candidate"] = version(
            "v15",
            startTime=WHEN,
            phase=draw(st.sampled_from(["Starting", "Stepping", "AwaitingApproval", "Parked"])),
            **draw(st.sampled_from([{}, {"retryTime": WHEN}, {"decisionReason": "MaxDuration"}])),
        )
    if draw(st.booleans()):
        attempts = draw(st.integers(0, 3))
        status["retraining"] = {
            "unsuccessfulAttempts": attempts,
            "suspended": attempts == 3,
            "waitingFor": draw(st.sampled_from(["", "ManualMode", "CoolingDown", "NoSlot"])),
            "lastReason": draw(st.sampled_from(["", "JobFailed", "WorseOnHoldOut"])),
            "lostJobs": draw(st.integers(0, 3)),
            **draw(st.sampled_from([{}, {"trigger": TRIGGER}, {"pending": TRIGGER}])),
        }
        if (last := draw(RESULTS)) is not None:
            status["retraining"]["lastResult"] = last
    return status  # fmt: skip


@given(statuses())
def test_page_plugin_digest_and_messages_agree_on_needs_of_any_status(status):
    assert list(contradictions(document(status=status))) == []


def test_the_digest_counts_an_unreadable_product_as_stalled():
    body = document()
    del body["spec"]["owner"]
    record = product_record(body)
    assert [need.kind for need in needs_of_record(record)] == [NeedKind.STALLED]
    assert [need.kind for need in read_facts(body).needs] == [NeedKind.STALLED]


def test_each_need_but_an_absent_dependency_has_a_message_in_the_catalogue():
    named = {kind for entry in MESSAGE_CATALOGUE.values() for kind in entry.needs}
    # Products that are created in any order have that need for seconds, so only the digest has it.
    assert set(NeedKind) - named == {NeedKind.DEPENDENCY}
    for kind, entry in MESSAGE_CATALOGUE.items():
        assert entry.needs or entry.urgency is not Urgency.NEEDS_PERSON, kind
