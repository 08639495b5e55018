"""A version that changes its API waits for a person before it gets any traffic."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy.model.observed import Facts
from sluicegate.reconcile.live.pods import api_of, pod_state
from sluicegate.reconcile.report.product_sample import figures_of
from tests.support.decisions.rollout_world import World, broken_pod, serving_world
from tests.support.decisions.rollouts import ROUTES, finished

BROKEN = ("POST /predict: features is no longer accepted, attributes is new and required",)


def serving(changes: tuple[str, ...] | None, **spec) -> World:
    world = serving_world(36, **spec)
    world.facts = Facts(api_changes=changes)
    return world


def events(world: World) -> list[str]:
    return [told.message for step in world.history for told in step.events if not told.log_only]


@pytest.mark.slow
@ROUTES
def test_a_version_with_a_changed_api_gets_no_traffic_before_its_approval(route):
    """Nor does the time count against it: it waits for longer than a canary may take."""
    rollout = {"steps": [25, 50], "maxDurationSeconds": 3600}
    world = serving(BROKEN, route=route, rollout=rollout).push("b", "v2").run(90)
    candidate = world.current.candidate
    assert (candidate.weight, candidate.shares) == (0, ())
    assert world.share(candidate.revision) == 0
    assert world.condition("RolloutProgressing") == ("False", "ApiChanged")
    assert world.condition("Stalled") == ("True", "ApiChanged")
    assert world.condition("Ready") == ("True", "Serving")
    figures = figures_of(world.product, world.current, None)
    assert figures.due is None, "no deadline passes"
    said = [text for text in events(world) if BROKEN[0] in text]
    assert len(said) == 1
    assert "sluicegate.dev/promote=v2/<token>" in said[0]
    assert world.current.decision.reason == "ApiChanged"
    writes = world.writes
    world.run(5)
    assert world.writes == writes, "nothing is written while it waits"
    world.requests[REQUEST_PROMOTE] = "v2/go"
    world.run(2)
    assert world.condition("Stalled") is None
    assert world.current.candidate.weight == 25
    assert world.current.candidate.api == "Changed"
    world.until(lambda world: world.current.candidate is None)
    assert world.serving == "v2"


def test_an_approval_of_a_changed_api_does_not_approve_the_last_step():
    world = serving(BROKEN, rollout={"steps": [25, 50], "approval": "Manual"}).push("b", "v2")
    world.requests[REQUEST_PROMOTE] = "v2/api"
    world.until(
        lambda world: (
            world.current.candidate is not None
            and world.current.candidate.phase is CandidatePhase.AWAITING_APPROVAL
        )
    )
    world.run(10)
    assert world.serving == "v1"
    world.requests[REQUEST_PROMOTE] = "v2/all"
    world.until(lambda world: world.serving == "v2")


def test_an_approved_api_needs_no_second_approval_after_a_fault_of_the_cluster():
    """It waited for a person again, without a word, as a pod of it was evicted."""
    world = serving(BROKEN, rollout={"steps": [25, 50]}).push("b", "v2").run(3)
    world.requests[REQUEST_PROMOTE] = "v2/api"
    world.until(lambda world: world.current.candidate.weight == 25)
    world.facts = Facts(api_changes=BROKEN, canary_lost="it is being deleted")
    world.run()
    world.facts = Facts(api_changes=BROKEN)
    world.until(lambda world: world.current.candidate.retry_time is not None)
    world.until(lambda world: world.current.candidate.weight == 25, most=10)
    world.until(lambda world: world.serving == "v2")


@pytest.mark.parametrize(("changes", "said"), [((), "Kept"), (None, "Unknown")])
def test_an_equal_api_emits_no_event_and_an_unknown_api_emits_one(changes, said: str):
    world = serving(changes).push("b", "v2").run(2)
    assert world.current.candidate.weight == 5
    assert world.current.candidate.api == said
    assert any("couldn't be compared" in text for text in events(world)) is (said == "Unknown")


def test_an_abort_or_a_new_version_ends_the_wait_for_api_approval():
    world = serving(BROKEN).push("b", "v2").run(3)
    world.requests[REQUEST_ABORT] = "v2/no"
    world.run(3)
    assert finished(world)
    world.push("c", "v3").run(3)
    assert world.current.candidate.shares == ()
    world.push("d", "v4").run(1)
    world.facts = Facts(api_changes=())
    world.run(2)
    assert (world.current.candidate.version, world.current.candidate.weight) == ("v4", 5)
    assert [past_version.outcome for past_version in world.current.history] == [Outcome.ROLLED_BACK]


def test_a_deleted_candidate_pod_does_not_end_the_wait_for_api_approval():
    """It was given up at once, as more time than pods may take to start had passed."""
    world = serving(BROKEN, rollout={"steps": [25]}).push("b", "v2").run(20)
    for pods in world.pods.values():
        if pods.version.version == "v2":
            pods.ready = 0
    world.broken["v2"] = replace(broken_pod("container server ended with 137"), unrecoverable=False)
    world.run(3)
    assert world.current.candidate.phase is CandidatePhase.STARTING


@pytest.mark.parametrize(
    ("name", "code", "known"),
    [("runtime-check", 0, True), ("runtime-check", 1, False), ("fetch", 0, False)],
)
def test_the_api_summary_comes_from_the_termination_message_of_the_runtime_check(name, code, known):
    api = {"digest": "0123456789", "count": 1}
    message = json.dumps({"api": api})
    state = {"terminated": {"exitCode": code, "message": message}}
    body = {
        "metadata": {"labels": {"sluicegate.dev/revision": "r2"}},
        "status": {"initContainerStatuses": [{"name": name, "ready": True, "state": state}]},
    }
    assert (api_of([pod_state(body)], "r2") is not None) is known
    assert api_of([pod_state(body)], "r1") is None


@pytest.mark.parametrize(
    "said", ["", "ok", "[]", '{"api": 1}', '{"api": {"digest": "a"}}', "[" * 9000]
)
def test_a_malformed_termination_message_gives_no_api_summary(said: str):
    state = {"terminated": {"exitCode": 0, "message": said}}
    status = {"initContainerStatuses": [{"name": "runtime-check", "state": state}]}
    assert pod_state({"metadata": {}, "status": status}).api is None
