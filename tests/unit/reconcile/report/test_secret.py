"""Where no label is counted, the product names the Secret that feedback can't do without."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sluicegate.api import names
from sluicegate.api.names import ConditionType, DecisionReason
from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.live.pods import pod_state
from sluicegate.reconcile.report.condition_events import new_condition_events
from sluicegate.reconcile.report.status import report
from sluicegate.slo.blocks import Series
from sluicegate.views.needs import NeedKind, needs_of_status
from tests.support.decisions.rollout_world import ACCURACY, RUNTIME, World, document

SERVING = {"runtimeImage": RUNTIME, "replicas": 4}
FEEDBACK = {"feedback": {"secretRef": {"name": "search-feedback"}}}


LACKS = "has 5 bytes in its key bearer"


def pod(revision, lacks=""):
    """Return a pod that serves, with what its check said of the Secret as it started."""
    left = json.dumps({"feedback": lacks} if lacks else {})
    ended = {"exitCode": 0, "message": left}
    check = {"name": "runtime-check", "ready": True, "state": {"terminated": ended}}
    server = {"name": "server", "ready": True, "started": True, "state": {"running": {}}}
    return pod_state(
        {
            "metadata": {"labels": {names.LABEL_REVISION: revision}},
            "status": {
                "initContainerStatuses": [check],
                "containerStatuses": [server],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )


def told(world, *, labels, lacks=None, problem=None):
    """Return the reported status of a product with or without labels.

    `lacks` None leaves its pods unread; `problem` is why its newest block is missing.
    """
    observation = world.observation()
    if problem is not None:
        observation = replace(observation, observed=replace(observation.observed, problem=problem))
    if not labels:
        silent = {version: {"accuracy": Series()} for version in observation.observed.series}
        observation = replace(observation, observed=replace(observation.observed, series=silent))
    if lacks is not None:
        pods = tuple(pod(revision, lacks) for revision in world.pods)
        observation = replace(observation, pods=pods)
    return report(observation, make_plan(observation))


def measured(status):
    return find_condition(status.conditions, ConditionType.METRICS_AVAILABLE)


def message(serving, *, labels):
    """Return the message of MetricsAvailable of a product with or without labels."""
    world = World(spec=document(slos=[ACCURACY], serving=serving)).run(40)
    return measured(told(world, labels=labels)).message


def starting():
    """Return a first version that serves since a moment."""
    world = World(spec=document(slos=[ACCURACY], serving={**SERVING, **FEEDBACK}))
    return world.until(lambda one: one.condition("Ready") == ("True", "Serving"))


def test_an_unusable_feedback_secret_is_reported_as_the_first_pods_start():
    world = starting()
    status = told(world, labels=False, lacks=LACKS)
    found = measured(status)
    assert found.reason == "FeedbackSecretUnusable"
    assert found.message.startswith(
        f"the Secret search-feedback of spec.serving.feedback.secretRef {LACKS}, as a pod of v1 saw"
    )
    assert "give it the keys hmac and bearer, each of at least 16 bytes" in found.message
    assert find_condition(status.conditions, ConditionType.READY).status == "True"
    assert status.summary.reason == "FeedbackSecretUnusable"
    (event,) = [
        condition_event
        for condition_event in new_condition_events(world.current, status)
        if condition_event.warning
    ]
    assert (event.reason, event.message) == ("FeedbackSecretUnusable", found.message)
    assert not list(new_condition_events(status, status))


def test_an_unusable_feedback_secret_is_reported_while_the_first_blocks_are_read():
    world = starting()
    world.status = {**world.status, "slos": []}
    status = told(world, labels=False, lacks=LACKS, problem=DecisionReason.BACKFILLING)
    assert {slo.reason for slo in status.slos} == {"Backfilling"}
    assert measured(status).reason == status.summary.reason == "FeedbackSecretUnusable"


def test_an_unusable_feedback_secret_is_reported_until_the_first_label_is_counted():
    world = starting().run(20)
    world.status = json.loads(json.dumps(told(world, labels=False, lacks=LACKS).to_dict()))
    unread = told(world, labels=False)
    assert measured(unread).message == measured(world.current).message
    mended = told(world, labels=False, lacks="")
    assert measured(mended).reason != "FeedbackSecretUnusable"
    labelled = told(world, labels=True, lacks=LACKS)
    assert (measured(labelled).reason, labelled.summary.reason) == ("Measured", "")


@pytest.mark.parametrize(
    "left",
    [
        "",
        "{",
        "[]",
        '{"feedback": 7}',
        '{"feedback": "<b>anything</b>"}',
        '{"feedback": "has ' + "x" * 99 + '"}',
    ],
)
def test_other_termination_messages_are_not_reported_as_secret_problems(left):
    ended = {"exitCode": 0, "message": left}
    check = {"name": "runtime-check", "state": {"terminated": ended}}
    body = {"metadata": {}, "status": {"initContainerStatuses": [check]}}
    assert pod_state(body).feedback == ""


def test_a_secret_without_a_report_of_a_pod_is_not_named():
    assert "Secret" not in message({**SERVING, **FEEDBACK}, labels=False)


def test_a_secret_that_was_removed_under_running_pods_is_named_by_their_gauge_and_needs_a_person():
    world = World(spec=document(slos=[ACCURACY], serving={**SERVING, **FEEDBACK})).run(40)
    observation = world.observation()
    facts = replace(observation.observed.facts, secret_missing=True)
    observation = replace(observation, observed=replace(observation.observed, facts=facts))
    status = report(observation, make_plan(observation))
    assert measured(status).reason == "FeedbackSecretUnusable"
    assert "doesn't exist or isn't usable, as running pods report" in measured(status).message
    (need,) = needs_of_status(status, ("catalog", "search"))
    # MetricsAvailable was True before, too, so its transition isn't that of the Secret.
    assert (need.kind, need.since) == (NeedKind.SECRET, None)
    assert status.summary.reason == "FeedbackSecretUnusable"


@pytest.mark.parametrize(("serving", "labels"), [({**SERVING, **FEEDBACK}, True), (SERVING, False)])
def test_a_secret_is_not_named_if_labels_are_counted_or_feedback_is_not_set(serving, labels):
    assert "Secret" not in message(serving, labels=labels)
