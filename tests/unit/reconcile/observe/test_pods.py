"""What pods say, in the kubelet's words, and what is made of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sluicegate.api.containers import Resources
from sluicegate.policy.model.container_limits import at_limit, is_node_busy
from sluicegate.prometheus.targets import TargetFacts
from sluicegate.reconcile.live.pods import pod_state
from tests.support.decisions.kubelet_words import ended, pod, waiting


@pytest.mark.parametrize(
    ("body", "unrecoverable", "says"),
    [
        (pod(waiting("ContainerCreating")), False, ""),
        (pod(waiting("ErrImagePull", "a: not found")), True, "not found"),
        (pod(waiting("ImagePullBackOff", "connection refused")), False, "connection refused"),
        (pod(waiting("CreateContainerConfigError", 'secret "a"')), True, 'secret "a"'),
        (pod(ended(1, 1)), False, "no such column"),
        (pod(ended(1, 3)), True, "ended with 1"),
        (pod(ended(137, 3, "OOMKilled")), True, "OOMKilled"),
    ],
    ids=["starting", "no image", "registry away", "no secret", "crashed", "loop", "memory"],
)
def test_an_unready_pod_has_its_problem_and_whether_it_is_unrecoverable(body, unrecoverable, says):
    state = pod_state(body)
    assert state.unrecoverable == unrecoverable
    assert says in state.problem
    assert bool(state.problem) == bool(says)


@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_is_ready_by_its_condition_of_that_name(ready):
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": str(ready)},
    ]
    assert pod_state(pod(status={"conditions": conditions})).ready is ready


def test_an_out_of_memory_kill_is_reported_after_the_container_restarted():
    body = pod({**ended(137, 1, "OOMKilled"), "ready": True, "state": {"running": {}}})
    assert pod_state(body).out_of_memory
    assert pod_state(body).problem == ""


@pytest.mark.parametrize(
    ("finished", "since", "counts"),
    [
        ("2026-09-01T10:00:00Z", "2026-09-01T09:00:00Z", True),
        ("2026-09-01T10:00:00Z", "2026-10-31T09:00:00Z", False),
        (None, "2026-10-31T09:00:00Z", True),
    ],
)
def test_an_out_of_memory_kill_of_last_month_is_not_reported(finished, since, counts):
    """The kubelet keeps it until the next restart, which for a pod that is well never comes."""
    kill = ended(137, 1, "OOMKilled")
    if finished:
        kill["lastState"]["terminated"]["finishedAt"] = finished
    state = pod_state(pod({**kill, "ready": True, "state": {"running": {}}}))
    assert state.was_killed_since(int(datetime.fromisoformat(since).timestamp())) is counts


def test_an_out_of_memory_kill_without_a_restart_is_reported_at_any_age():
    end = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-09-01T10:00:00Z"}
    state = pod_state(pod({**ended(137, 1, "OOMKilled"), "state": {"terminated": end}}))
    assert state.was_killed_since(int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()))


@pytest.mark.parametrize(
    ("limits", "throttled", "used", "lacking"),
    [
        ({}, None, None, (False, False)),
        ({"memory": "1Gi"}, None, 0.4, (False, False)),
        ({"memory": "1Gi"}, None, 0.99, (False, True)),
        ({"memory": "1Gi"}, None, None, (False, None)),
        ({"cpu": "1"}, None, None, (None, False)),
        ({"cpu": "1", "memory": "1Gi"}, None, 0.4, (False, False)),
        ({"cpu": "1", "memory": "1Gi"}, None, None, (None, None)),
        ({"cpu": "1", "memory": "1Gi"}, 0.5, 0.4, (True, False)),
        ({}, 0.5, 0.99, (True, True)),
    ],
)
def test_a_pod_without_a_resource_limit_is_never_at_its_limit(limits, throttled, used, lacking):
    """The kubelet exports nothing of a container without a limit: that isn't "unknown"."""
    facts = TargetFacts(cpu_throttled=throttled, memory_used=used)
    assert at_limit(facts, Resources(limits=limits)) == lacking


@pytest.mark.parametrize(
    ("waited", "used", "throttled", "resources", "busy"),
    [
        (0.6, 0.3, None, {"requests": {"cpu": "500m"}}, True),
        (0.6, 0.3, None, {"limits": {"cpu": "500m"}}, True),
        (0.1, 0.3, None, {"requests": {"cpu": "500m"}}, False),
        (0.6, 0.9, None, {"requests": {"cpu": "500m"}}, False),
        (0.6, 0.3, 0.5, {"limits": {"cpu": "500m"}}, False),
        (0.6, 0.3, None, {}, False),
        (None, 0.3, None, {"requests": {"cpu": "500m"}}, False),
        (0.6, None, None, {"requests": {"cpu": "500m"}}, False),
    ],
    ids=[
        "the node is busy", "a limit is a request", "it hardly waits", "it uses more than it requests",
        "it is throttled", "it requests nothing", "no pressure is measured", "no use is measured",
    ],
)  # fmt: skip
def test_a_node_is_busy_if_a_pod_gets_less_cpu_than_it_requests(
    waited, used, throttled, resources, busy
):
    facts = TargetFacts(cpu_waited=waited, cpus_used=used, cpu_throttled=throttled)
    assert is_node_busy(facts, Resources(**resources)) is busy
    assert not is_node_busy(None, Resources(**resources))


def test_without_kubelet_metrics_the_usage_of_limited_resources_is_unknown():
    assert at_limit(None, Resources(limits={"memory": "1Gi"})) == (False, None)


def test_a_missing_requirement_of_the_runtime_is_reported_as_a_mismatch_at_once():
    end = {"terminated": {"exitCode": 3, "message": "scikit-learn 1.7 is missing"}}
    state = pod_state(pod({"name": "runtime-check", "state": end}, init=True))
    assert (state.unrecoverable, state.mismatch) == (True, True)
    assert state.problem == "scikit-learn 1.7 is missing"


def test_an_entry_service_of_another_name_is_no_mismatch_of_the_runtime():
    said = "ServiceNotFound: spec.model.bento.service is Iris, and the bento's entry service is A"
    end = {"terminated": {"exitCode": 1, "message": said}}
    state = pod_state(pod({"name": "runtime-check", "state": end}, init=True))
    assert (state.unrecoverable, state.mismatch, state.misnamed) == (True, False, True)
    assert state.problem == said


FEEDBACK = {"name": "feedback", "secret": {"secretName": "pricing-keys"}}


@pytest.mark.parametrize(
    ("volumes", "says"),
    [
        ([FEEDBACK], ["Secret pricing-keys of spec.serving.feedback.secretRef", "16 bytes"]),
        ([{"name": "x", "secret": {"secretName": "tls"}}], ["Secret tls"]),
        ([{"name": "claim", "persistentVolumeClaim": {"claimName": "models"}}], ["models"]),
        ([{"name": "tmp", "emptyDir": {}}], []),
        ([{"name": "x", "secret": {"secretName": "tls", "optional": True}}], []),
    ],
    ids=["feedback", "another Secret", "a claim", "nothing of a person's", "an optional Secret"],
)
def test_a_pod_that_waits_for_a_volume_names_the_missing_object(volumes, says):
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    body = pod(waiting("PodInitializing"), status={"conditions": conditions}) | {
        "spec": {"volumes": volumes}
    }
    state = pod_state(body)
    assert (state.unmounted, state.unrecoverable) == (bool(says), False)
    assert all(one in state.problem for one in says)
    conditions[1]["status"] = "True"
    assert pod_state(body).problem == ""


def test_an_unschedulable_pod_is_reported():
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}
    state = pod_state({"metadata": {}, "status": {"conditions": [scheduled]}})
    assert state.problem == "the pod can't be scheduled: 0/1 nodes: cpu"
    assert not state.unrecoverable
