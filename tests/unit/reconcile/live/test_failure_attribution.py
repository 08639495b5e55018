"""A fault of the cluster ends no rollout for good; a failure of the candidate itself does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.api.names import REQUEST_ABORT, DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase, Release
from sluicegate.policy.model.observed import Facts, TrainingSucceeded
from sluicegate.policy.model.retries import retry_seconds
from sluicegate.reconcile.live.children import deployment_record
from sluicegate.reconcile.live.failure_attribution import (
    attribution_of,
    lacks_pods,
    traffic_failure,
)
from sluicegate.reconcile.live.pods import pod_state
from sluicegate.stats.counts import Count
from tests.support.decisions.kubelet_words import RUNNING, condition, ended, pod, waiting
from tests.support.decisions.rollout_world import BLOCK, RUNTIME, World, broken_pod, image
from tests.support.decisions.rollouts import (
    TRAINING,
    at_weight,
    finished,
    in_phase,
    serving,
    watched,
)

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import DeploymentRecord

INFRASTRUCTURE = DecisionReason.INFRASTRUCTURE
NOT_READY = DecisionReason.CANARY_NOT_READY


def deployment(ready: int = 0, *conditions: dict[str, str], replicas: int = 1) -> DeploymentRecord:
    record = deployment_record(
        {
            "metadata": {
                "name": "search-0123456789",
                "namespace": "catalog",
                "uid": "u",
                "resourceVersion": "1",
                "labels": {names.LABEL_PRODUCT: "search"},
            },
            "spec": {"replicas": replicas},
            "status": {"readyReplicas": ready, "conditions": list(conditions)},
        }
    )
    assert record is not None
    return record


QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "message": 'pods "search-0123456789-x" is forbidden: exceeded quota: compute',
}
PULLING = 'failed to resolve reference "r/a": failed to do request: dial tcp: i/o timeout'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (pod(deletionTimestamp="2026-01-01T00:00:00Z"), "being deleted"),
        (pod(ended(137, 1), deletionTimestamp="2026-01-01T00:00:00Z"), "being deleted"),
        (pod(ended(137, 4), status={"reason": "Evicted", "message": "low on memory"}), "Evicted"),
        (pod(status={"reason": "NodeLost"}), "NodeLost"),
        (pod(status={"reason": "Terminated", "message": "node shutdown"}), "node shutdown"),
        (
            pod(status=condition("DisruptionTarget", "True", reason="EvictionByEvictionAPI")),
            "Evict",
        ),
        (
            pod(status=condition("DisruptionTarget", "True", reason="PreemptionByScheduler")),
            "Preem",
        ),
        (
            pod(
                waiting("ContainerCreating"),
                status=condition("PodScheduled", "False", message="0/3 nodes are available"),
            ),
            "0/3 nodes",
        ),
        (
            pod({**RUNNING, "ready": True}, status=condition("Ready", "False")),
            "node doesn't answer",
        ),
        (pod(waiting("ImagePullBackOff", PULLING)), "i/o timeout"),
        (pod(waiting("ErrImagePull", "503 Service Unavailable")), "503"),
        (pod(waiting("ContainerCreating")), "don't start"),
    ],
)
def test_faults_of_node_scheduler_and_registry_are_attributed_to_the_infrastructure(body, says):
    attribution = attribution_of(deployment(), (pod_state(body),), deployment(1), grace_over=True)
    assert attribution.reason is INFRASTRUCTURE
    assert says in attribution.message


def test_an_exceeded_quota_is_reported_with_the_message_of_the_api_server():
    attribution = attribution_of(deployment(0, QUOTA), (), deployment(1), grace_over=True)
    assert attribution.reason is INFRASTRUCTURE
    assert "exceeded quota" in attribution.message


@pytest.mark.parametrize("body", [pod(), pod(ended(1, 1)), pod(ended(137, 5))])
def test_a_failure_shared_with_stable_is_not_attributed_to_the_candidate(body):
    stable = deployment(1, replicas=2)
    assert not attribution_of(deployment(), (pod_state(body),), stable, grace_over=True).own


@pytest.mark.parametrize(
    ("body", "reason", "says"),
    [
        (pod(ended(1, 1)), NOT_READY, "no such column"),
        (pod(ended(1, 9)), NOT_READY, "ended with 1"),
        (pod(ended(1, 1), status=condition("PodScheduled", "True")), NOT_READY, "no such column"),
        (
            pod(ended(1, 1), status=condition("DisruptionTarget", "False")),
            NOT_READY,
            "no such column",
        ),
        (pod(ended(137, 1, "OOMKilled")), NOT_READY, "memory limit"),
        (pod(waiting("CreateContainerConfigError", "x")), NOT_READY, "ConfigError"),
        (pod(waiting("ErrImagePull", "a: not found")), DecisionReason.IMAGE_NOT_FOUND, "not found"),
        (
            pod(waiting("ImagePullBackOff", "MANIFEST UNKNOWN: manifest unknown")),
            DecisionReason.IMAGE_NOT_FOUND,
            "manifest unknown",
        ),
        (pod(), NOT_READY, "aren't ready"),
    ],
)
def test_a_failure_of_the_candidates_own_container_is_attributed_to_the_candidate(
    body, reason, says
):
    attribution = attribution_of(deployment(), (pod_state(body),), deployment(1), grace_over=True)
    assert attribution.reason is reason
    assert says in attribution.message


def test_a_missing_image_is_attributed_to_the_candidate_whatever_the_state_of_stable():
    state = pod_state(pod(waiting("ErrImagePull", "a: not found")))
    assert attribution_of(deployment(), (state,), deployment(0), grace_over=True).own


def test_a_crash_loop_is_attributed_to_the_candidate_despite_an_earlier_eviction():
    gone = pod_state(pod(status={"reason": "Evicted"}))
    loop = pod_state(pod(ended(1, 5)))
    assert attribution_of(deployment(), (gone, loop), deployment(1), grace_over=True).own


def test_a_crash_stays_attributed_to_the_candidate_after_its_container_restarts():
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    again = pod({**RUNNING, "ready": True, "lastState": last, "restartCount": 1})
    state = pod_state(again | {"status": again["status"] | condition("Ready", "True")})
    assert attribution_of(deployment(1), (state,), deployment(1), grace_over=True).own


def test_a_candidate_with_a_recovered_pod_has_no_attributed_failure():
    state = pod_state(pod({**RUNNING, "ready": True}, status=condition("Ready", "True")))
    assert not attribution_of(deployment(1), (state,), deployment(1), grace_over=True).own


def test_running_pods_have_a_grace_period_to_become_ready():
    assert not attribution_of(
        deployment(), (pod_state(pod()),), deployment(1), grace_over=False
    ).own


@pytest.mark.parametrize("overdue", [False, True])
def test_the_replacement_of_an_evicted_pod_has_the_full_start_deadline(
    overdue,
):
    """A canary whose pod was evicted was rejected when the next one took more than 30 s."""
    init = {"initContainerStatuses": [{"name": "check", "state": {"running": {}}}]}
    for body in (
        pod({**RUNNING, "started": False}),
        pod({**waiting("PodInitializing"), "started": False}, status=init),
    ):
        state = pod_state(body)
        attribution = attribution_of(
            deployment(), (state,), deployment(1), grace_over=True, overdue=overdue
        )
        assert attribution.own is overdue


def test_a_pod_with_a_running_sidecar_alone_waits_for_its_containers():
    init = {"initContainerStatuses": [{"name": "cache", "state": {"running": {}}}]}
    body = pod(waiting("PodInitializing"), status=init)
    spec = {"initContainers": [{"name": "cache", "restartPolicy": "Always"}]}
    attribution = attribution_of(
        deployment(), (pod_state(body | {"spec": spec}),), deployment(1), grace_over=True
    )
    assert attribution.reason is INFRASTRUCTURE
    assert "don't start" in attribution.message


def test_the_retry_pause_of_a_rollout_doubles_from_one_minute_to_thirty():
    waits = [retry_seconds(number) for number in (0, 1, 2, 3, 4, 5, 6, 1000)]
    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]


@pytest.mark.parametrize(
    ("ready", "body", "reason"),
    [
        (1, pod({**RUNNING, "ready": True}, status=condition("Ready", "True")), None),
        (0, pod(deletionTimestamp="2026-01-01T00:00:00Z"), INFRASTRUCTURE),
        (0, pod(), INFRASTRUCTURE),
        (0, pod(ended(1, 1)), NOT_READY),
        (1, pod(ended(137, 1, "OOMKilled")), NOT_READY),
        (1, pod(ended(1, 5)), NOT_READY),
        (1, pod(ended(137, 5), status={"reason": "Evicted"}), None),
    ],
)
def test_a_candidate_keeps_its_share_while_one_healthy_pod_serves(ready, body, reason):
    attribution = traffic_failure(deployment(ready), (pod_state(body),), deployment(1))
    assert (attribution.reason if attribution else None) is reason


# ---- whole rollouts -----------------------------------------------------------------------------
def evicted():
    return replace(
        broken_pod("its node ended it (Evicted)"), unrecoverable=False, outside=True, crashed=False
    )


def waits(world: World) -> bool:
    candidate = world.current.candidate
    return candidate is not None and candidate.retry_time is not None


def loses_its_pod(world: World) -> World:
    """Return the candidate's only pod goes away; the operator sees that none is ready."""
    world.facts = Facts(canary_lost="it is being deleted")
    world.run()
    assert world.current.candidate.phase is CandidatePhase.ROLLING_BACK
    assert dict(world.history[-1].allocation.weights)[world.current.stable.revision] == 100
    world.facts = Facts()
    return world


def test_a_canary_with_an_evicted_pod_is_retried_and_promoted():
    world = serving().push("b", "v2").until(at_weight(25))
    loses_its_pod(world).until(waits)
    assert world.condition("Stalled") is None
    assert world.condition("RolloutProgressing") == ("False", "WaitingToRetry")
    assert world.current.spec_model.outcome == "InProgress"
    told = [
        told.message for step in world.history for told in step.events if told.action == "Retry"
    ]
    assert len(told) == 1
    assert "it is being deleted" in told[0]
    assert f"retried at {rfc3339(world.current.candidate.retry_time)[11:19]} UTC" in told[0]
    watched_until_promoted(world)
    assert [past_version.outcome for past_version in world.current.history] == [Outcome.REPLACED]


def watched_until_promoted(world: World) -> None:
    world.until(lambda world: finished(world) and world.serving == "v2")


def test_an_unschedulable_candidate_is_retried_with_backoff_and_never_rejected():
    world = serving(serving={"replicas": 1, "progressDeadlineSeconds": 120})
    world.broken["v2"] = evicted()
    world.push("b", "v2").run(200)
    starts = [
        step.events
        for step in world.history
        if any(
            told.reason == "Infrastructure" and told.action == "StartRollout"
            for told in step.events
        )
    ]
    assert 3 <= len(starts) <= 10, "ever later, and never for good"
    assert world.condition("Stalled") is None
    assert world.condition("Ready") == ("True", "Serving")
    assert [past_version.outcome for past_version in world.current.history] == []
    del world.broken["v2"]
    watched_until_promoted(world)


def test_a_candidate_that_crashes_after_it_lost_its_traffic_is_rejected():
    world = serving().push("b", "v2").until(at_weight(25))
    world.facts = Facts(canary_lost="no pod is ready")
    world.broken["v2"] = replace(broken_pod(), unrecoverable=False, crashed=True)
    for one in world.pods.values():
        if one.version.version == "v2":
            one.ready = 0
    watched(world.run())
    assert world.serving == "v1"
    assert world.current.history[0].reason == "CanaryNotReady"
    assert world.condition("Stalled") == ("True", "ModelRejected")


def test_an_abort_ends_a_candidate_that_waits_for_the_cluster():
    world = loses_its_pod(serving().push("b", "v2").until(at_weight(25))).until(waits)
    world.requests[REQUEST_ABORT] = "one"
    world.until(finished).run(120)
    assert world.serving == "v1"
    assert finished(world)


def test_a_new_model_replaces_a_candidate_that_waits_for_the_cluster():
    world = loses_its_pod(serving().push("b", "v2").until(at_weight(25))).until(waits)
    world.push("c", "v3").until(lambda world: world.serving == "v3")
    assert world.now - world.current.stable.promotion_time < 10 * BLOCK


def test_a_candidate_that_waits_for_the_cluster_is_retried_at_its_retry_time_and_counts_retries():
    world = loses_its_pod(serving().push("b", "v2").until(at_weight(25))).until(waits)
    due = world.current.candidate.retry_time
    world.settle()
    assert world.current.candidate.retry_time == due
    world.until(in_phase(CandidatePhase.STEPPING))
    assert world.current.candidate.retries == 1


def test_a_candidate_that_waits_for_a_retry_is_retried_after_its_status_was_lost():
    """It counted as superseded, and was never tried again."""
    world = loses_its_pod(serving().push("b", "v2").until(at_weight(25))).until(waits)
    world.lose_status()
    watched_until_promoted(world)


def test_an_unmeasured_canary_is_retried():
    """Prometheus was away for half an hour: that is no verdict on the model."""
    world = serving().push("b", "v2").until(at_weight(25))
    world.is_measured, world.problem = False, DecisionReason.PROMETHEUS_UNAVAILABLE
    world.until(lambda world: world.current.candidate.phase is CandidatePhase.ROLLING_BACK)
    assert world.current.candidate.decision_reason == "MetricsLost"
    world.is_measured, world.problem = True, None
    world.until(waits)
    assert world.condition("Stalled") is None
    assert world.condition("RolloutProgressing") == ("False", "WaitingToRetry")
    assert world.current.spec_model.outcome == "InProgress"
    world.problem = DecisionReason.PROMETHEUS_UNAVAILABLE
    world.run(5)
    (said,) = (one.message for one in world.current.conditions if one.type == "RolloutProgressing")
    assert "as soon as no training runs and its service levels can be measured" in said
    world.problem = None
    watched_until_promoted(world)


def test_a_degraded_product_is_retrained_while_a_pushed_model_is_unschedulable():
    """It was held for as long as the pushed model waited, which may be without end."""
    few = {"replicas": 1, "progressDeadlineSeconds": 120}
    world = serving(serving={**few, "feedback": {"secretRef": {"name": "f"}}}, retraining=TRAINING)
    world.broken["v2"] = evicted()
    world.push("b", "v2").until(waits)
    world.bad["v1"] = 0.4
    world.until(lambda world: world.current.retraining and world.current.retraining.trigger)
    trigger = world.current.retraining.trigger
    assert world.current.candidate.retries > 5
    world.run(60)
    assert world.current.retraining.trigger == trigger, "no retry ends it"
    holdout = {"accuracy": Count(100, 1000)}, {"accuracy": Count(400, 1000)}
    stable, made = world.current.stable.release, Release("v3", image("c"), RUNTIME)
    world.training = TrainingSucceeded(trigger.id, stable, made, *holdout)
    world.run()
    world.training = None
    world.until(lambda world: world.serving == "v3")
    world.until(lambda world: world.current.candidate is not None)
    assert world.current.candidate.version == "v2", "it is still what the spec names"


SCALED_AT = 1_000_000
START_SECONDS = 600


def server(
    age: int = 0, *, ready: bool = False, template: str = "t1", **fields: object
) -> dict[str, Any]:
    """Return a pod that was created so many seconds after the scale-up."""
    created = rfc3339(SCALED_AT + age)
    labels = {"pod-template-hash": template}
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"conditions": conditions} | fields.pop("status", {})
    return pod(creationTimestamp=created, labels=labels, status=status, **fields)


OLD = server(-9000, ready=True)
UNSCHEDULED = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node"}]}
REMOVED = server(-9000, deletionTimestamp=rfc3339(SCALED_AT - 10))
EVICTED = server(-100, status={"phase": "Failed", "reason": "Evicted"})


@pytest.mark.parametrize(
    ("ready", "replicas", "bodies", "after", "lacks"),
    [
        pytest.param(2, 3, [OLD, OLD, server(2)], 300, False, id="starts"),
        pytest.param(2, 3, [OLD, OLD, server(2)], 602, True, id="doesn't start in time"),
        pytest.param(2, 3, [OLD, OLD, server(2, status=UNSCHEDULED)], 300, False, id="no node yet"),
        pytest.param(2, 3, [OLD, OLD, pod(ended(1, 1))], 300, True, id="crashes"),
        pytest.param(
            2, 3, [OLD, OLD, server(2, container=ended(1, 1))], 30, True, id="added crashes"
        ),
        pytest.param(2, 3, [OLD, OLD], 5, False, id="isn't created yet"),
        pytest.param(2, 3, [OLD, OLD], 30, True, id="isn't created"),
        pytest.param(2, 3, [OLD, OLD, server(90)], 300, True, id="replaces a deleted pod"),
        pytest.param(2, 4, [OLD, OLD, REMOVED, REMOVED], 5, False, id="follows a scale-down"),
        pytest.param(1, 2, [OLD, EVICTED, server(60)], 90, True, id="replaces an evicted pod"),
        pytest.param(1, 3, [OLD, server(-9000), server(2)], 300, True, id="another isn't ready"),
        pytest.param(1, 2, [OLD, server(2, template="t2")], 300, True, id="replaces a template"),
        pytest.param(0, 2, [server(2), server(2)], 60, True, id="none is ready"),
        pytest.param(0, 0, [], 60, False, id="none is wanted"),
    ],
)
def test_pods_that_a_scale_up_adds_may_take_their_time_to_start(
    ready, replicas, bodies, after, lacks
):
    record = replace(deployment(ready, replicas=replicas), scaled_at=SCALED_AT)
    pods = tuple(pod_state(body) for body in bodies)
    now = SCALED_AT + after
    assert lacks_pods(record, pods, now=now, deadline_seconds=START_SECONDS) is lacks


def test_an_unready_pod_is_a_fault_where_the_time_of_the_scale_up_is_unknown():
    record = deployment(2, replicas=3)
    pods = tuple(pod_state(body) for body in (OLD, OLD, server(2)))
    assert lacks_pods(record, pods, now=SCALED_AT + 60, deadline_seconds=START_SECONDS)
    assert lacks_pods(None, pods, now=SCALED_AT + 60, deadline_seconds=START_SECONDS)
