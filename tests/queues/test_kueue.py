"""A training in a queue of Kueue: who sets spec.suspend, who counts the time, and what a pre-emption is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.failures.replicas import apply, audited_writes, product, read
from tests.support.node.live_product import get
from tests.support.queues.kueue import other_job, queue
from tests.support.queues.trained_pods import RESULT
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

NAME = "search"
OUTPUT = "registry.example/bentos/search"
WORSE = {
    "image": f"{OUTPUT}@sha256:{'c' * 64}",
    "version": "v2",
    "evaluation": {"accuracy": {"bad": 5000, "total": 10_000}},
    "stableEvaluation": {"accuracy": {"bad": 1000, "total": 10_000}},
}


def queued_product(namespace: str) -> dict[str, Any]:
    """Return a product whose trainings take the one CPU of the queue."""
    body = product(namespace, NAME)
    body["spec"]["slos"] = [
        {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.8", "maxDrop": "0.05"}
    ]
    body["spec"]["retraining"] = {
        "command": ["train"],
        "output": OUTPUT,
        "queue": "gpus",
        "resources": {"requests": {"cpu": "1"}},
    }
    return body


class Waiting:
    """A product whose training was asked for while another Job has the one CPU of the queue."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane, self.namespace = plane, namespace
        apply(plane, *queue(namespace, "gpus", cpu="1"))
        apply(plane, other_job(namespace, "first", queue="gpus"))
        eventually(lambda: self.job("first")["status"].get("ready"), seconds=60, what="it runs")
        apply(plane, queued_product(namespace))
        eventually(lambda: self.condition("Ready")["status"] == "True", seconds=60, what="ready")
        where = ("-n", namespace, f"dataproduct/{NAME}")
        plane.kubectl("annotate", *where, f"{names.REQUEST_RETRAIN}=now")
        self.until("False", "WaitingForQueue")

    def status(self) -> dict[str, Any]:
        """Return the status of the product."""
        body = get(self.plane.kubeconfig, DATA_PRODUCTS.path(self.namespace, NAME))
        status: dict[str, Any] = body.get("status", {})
        return status

    def retraining(self) -> dict[str, Any]:
        """Return the retraining part of status."""
        found: dict[str, Any] = self.status().get("retraining", {})
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition of the product; one without anything while there is none."""
        conditions = self.status().get("conditions", ())
        nothing = {"status": "", "reason": "", "message": ""}
        return next((condition for condition in conditions if condition["type"] == kind), nothing)

    def until(self, status: str, reason: str) -> None:
        """Wait until the condition RetrainingActive has a status and a reason."""

        def holds() -> bool:
            found = self.condition("RetrainingActive")
            return (found["status"], found["reason"]) == (status, reason)

        eventually(holds, seconds=60, what=reason)

    def job(self, name: str = "") -> dict[str, Any]:
        """Return a Job by its name, or that of the training."""
        name = name or self.retraining()["job"]
        return get(self.plane.kubeconfig, f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}")

    def delete(self, name: str) -> None:
        """Delete a Job of the other team."""
        self.plane.kubectl("delete", "job", name, "-n", self.namespace)

    def end(self, result: dict[str, Any]) -> None:
        """Let the training succeed with a result."""
        (pod,) = read(
            self.plane, "pods", "-n", self.namespace, "-l",
            f"batch.kubernetes.io/job-name={self.retraining()['job']}",
        )  # fmt: skip
        self.plane.kubectl(
            "annotate", "pod", pod["metadata"]["name"], "-n", self.namespace,
            f"{RESULT}={json.dumps(result)}",
        )  # fmt: skip


@pytest.fixture
def waiting(control_plane: ControlPlane, operator: str, namespace: str) -> Waiting:
    """Return a training in the queue."""
    del operator
    return Waiting(control_plane, namespace)


def test_a_training_waits_in_the_queue_until_kueue_admits_it(waiting: Waiting, operator: str):
    job = waiting.job()
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "startTime" not in job["status"]
    assert "waits in the queue gpus since 20" in waiting.condition("RetrainingActive")["message"]
    assert "admissionTime" not in waiting.retraining()

    waiting.delete("first")
    waiting.until("True", "Training")
    assert waiting.retraining()["admissionTime"] == waiting.job()["status"]["startTime"]
    writes = [audited_write.verb for audited_write in audited_writes(waiting.plane, [operator])
              if audited_write.target == f"jobs/{waiting.namespace}/{job['metadata']['name']}"]  # fmt: skip
    assert writes == ["create"]

    waiting.end(WORSE)
    eventually(
        lambda: waiting.retraining().get("lastResult", {}).get("reason") == "WorseOnHoldOut",
        seconds=60, what="the result",
    )  # fmt: skip


def test_a_training_that_kueue_preempts_waits_again_and_has_not_failed(waiting: Waiting):
    waiting.delete("first")
    waiting.until("True", "Training")
    name = waiting.retraining()["job"]
    urgent = other_job(waiting.namespace, "urgent", queue="gpus", priority="urgent")

    apply(waiting.plane, urgent)
    waiting.until("False", "WaitingForQueue")
    eventually(lambda: waiting.job("urgent")["status"].get("ready"), seconds=60, what="it runs")
    assert "admissionTime" not in waiting.retraining()
    waiting.delete("urgent")
    waiting.until("True", "Training")

    assert waiting.retraining()["job"] == name
    assert waiting.retraining()["unsuccessfulAttempts"] == 0
    assert "nextAllowedTime" not in waiting.retraining()
    assert not waiting.job()["status"].get("failed")
