"""A training whose Job starts a TrainJob or a RayJob by bentos/distributed/launch.py, and ends as that does.

The launcher runs as a process of this machine, with the command, the variables and the account of the
Job's pod, whose container is simulated. Trainer and JobSet are real; the states of a RayJob are the test's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.errors import ClusterError
from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.failures.replicas import ROOT, apply, product, read
from tests.support.node.live_product import get
from tests.support.processes.running import start, stop
from tests.support.queues.trained_pods import ERROR, RESULT
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

EXAMPLE = ROOT / "bentos" / "distributed"
NAME = "ranking"
ACCOUNT = "ranking-training"
CLAIM = "ranking-results"
RUN_VARIABLE = "TRAINING_RUN"
TRAINJOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs"
RAYJOBS = "/apis/ray.io/v1/namespaces/{}/rayjobs"
WORSE = {
    "image": f"registry.example/bentos/{NAME}@sha256:{'c' * 64}",
    "version": "v2",
    "evaluation": {"accuracy": {"bad": 5000, "total": 10_000}},
    "stableEvaluation": {"accuracy": {"bad": 1000, "total": 10_000}},
}


def documents(file: str) -> list[dict[str, Any]]:
    """Return the objects of a file of the example."""
    return list(yaml.safe_load_all((EXAMPLE / file).read_text()))


class Training:
    """A product whose training has begun, and the launcher of its Job."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.plane, self.namespace, self.folder = plane, namespace, folder
        allowed = f"sluicegate.dev/allowed-training-accounts={ACCOUNT}"
        plane.kubectl("annotate", "namespace", namespace, allowed)
        plane.kubectl("apply", "-n", namespace, "-f", str(EXAMPLE / "account.yaml"))
        apply(plane, *volume(namespace))
        apply(plane, self.product())
        eventually(self.is_ready, seconds=60, what="ready")
        where = ("-n", namespace, f"dataproduct/{NAME}")
        plane.kubectl("annotate", *where, f"{names.REQUEST_RETRAIN}=now")
        self.pod = eventually(self.running_pod, seconds=60, what="the Job's pod runs")
        self.process: subprocess.Popen[bytes] | None = None

    def product(self) -> dict[str, Any]:
        """Return a product with the retraining of the example."""
        (example,) = documents("dataproduct.yaml")
        body = product(self.namespace, NAME)
        body["spec"]["slos"] = [
            {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.8"}
        ]
        body["spec"]["retraining"] = example["spec"]["retraining"]
        return body

    def status(self) -> dict[str, Any]:
        """Return the status of the product."""
        body = get(self.plane.kubeconfig, DATA_PRODUCTS.path(self.namespace, NAME))
        status: dict[str, Any] = body.get("status", {})
        return status

    def is_ready(self) -> bool:
        """Return whether the product serves."""
        conditions = self.status().get("conditions", ())
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in conditions
        )

    def running_pod(self) -> dict[str, Any] | None:
        """Return the pod of the training's Job once it runs."""
        selector = f"{names.LABEL_PRODUCT}={NAME},app.kubernetes.io/component=trainer"
        pods = read(self.plane, "pods", "-n", self.namespace, "-l", selector)
        return next((pod for pod in pods if pod["status"]["phase"] == "Running"), None)

    def last_result(self) -> dict[str, Any]:
        """Return the result of the last training."""
        result: dict[str, Any] = self.status().get("retraining", {}).get("lastResult", {})
        return result

    @property
    def log(self) -> str:
        """What the launcher has printed."""
        return (self.folder / "launch.log").read_text()

    def launch(self, file: str = "trainjob.yaml") -> None:
        """Start the command of the pod's container, with its variables and the account of the pod."""
        (container,) = self.pod["spec"]["containers"]
        meta = self.pod["metadata"]
        fields = {"metadata.name": meta["name"], "metadata.uid": meta["uid"]}
        variables = {
            variable["name"]: variable.get("value", "")
            or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
            for variable in container["env"]
            if "value" in variable
            or variable["valueFrom"].get("fieldRef", {}).get("fieldPath") in fields
        }
        user = f"system:serviceaccount:{self.namespace}:{self.pod['spec']['serviceAccountName']}"
        own = {
            "KUBECONFIG": str(self.plane.kubeconfig_for(user, ("system:serviceaccounts",))),
            "SLUICEGATE_TERMINATION_LOG": str(self.folder / "termination-log"),
        }
        python, *arguments = container["command"]
        assert python == "python"
        places = {"/results": str(self.folder), "trainjob.yaml": file}
        command = [sys.executable, *(places.get(argument, argument) for argument in arguments)]
        log = self.folder / "launch.log"
        self.process = start(command, log=log, env=variables | own, cwd=EXAMPLE)

    def logged(self, text: str) -> None:
        """Wait until the launcher has printed a text."""
        eventually(lambda: text in self.log, seconds=60, what=f"{text!r} is in the log")

    def exit_code(self) -> int:
        """Return the exit code of the launcher, once it has ended."""
        assert self.process
        process = self.process
        eventually(lambda: process.poll() is not None, seconds=60, what="the launcher ends")
        return process.wait()

    @property
    def run_name(self) -> str:
        """Name of the TrainJob or RayJob."""
        return f"{NAME}-{self.pod['metadata']['uid'][:8]}"

    def exists(self, collection: str = TRAINJOBS) -> bool:
        """Return whether the API server has the TrainJob or RayJob."""
        try:
            self.launched(collection)
        except ClusterError:
            return False
        return True

    def launched(self, collection: str = TRAINJOBS) -> dict[str, Any]:
        """Return the TrainJob or RayJob."""
        return get(self.plane.kubeconfig, f"{collection.format(self.namespace)}/{self.run_name}")

    def node_pods(self) -> list[dict[str, Any]]:
        """Return the pods of the TrainJob once both run."""
        selector = f"jobset.sigs.k8s.io/jobset-name={self.run_name}"
        pods = read(self.plane, "pods", "-n", self.namespace, "-l", selector)
        return pods if [pod["status"]["phase"] for pod in pods] == ["Running"] * 2 else []

    def end_nodes(self, annotation: str, message: str) -> None:
        """End the pods of the TrainJob once both run; of a failure the first, after which the Job ends the other."""
        pods = eventually(self.node_pods, seconds=60, what="both nodes run")
        for pod in pods[:1] if annotation == ERROR else pods:
            self.annotate(pod, annotation, message)

    def write_result(self) -> None:
        """Write the files of a training's node at its end."""
        folder = self.folder / self.run_name
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(WORSE))

    def end_pod(self) -> None:
        """End the Job's pod as its launcher ended: the kubelet takes its message, or its log's end."""
        message = self.folder / "termination-log"
        text = message.read_text() if message.exists() else self.log
        self.annotate(self.pod, ERROR if self.exit_code() else RESULT, text)

    def free_slot(self) -> None:
        """End the Job's pod if it still runs: the Job would take a training slot of the next test."""
        if pod := self.running_pod():
            self.annotate(pod, ERROR, "the test has ended")
            eventually(lambda: not self.running_pod(), seconds=60, what="the Job's pod ends")

    def annotate(self, pod: dict[str, Any], annotation: str, text: str) -> None:
        """Let kwok end a pod with a message."""
        self.plane.kubectl(
            "annotate", "pod", "-n", self.namespace, pod["metadata"]["name"], f"{annotation}={text}"
        )


def volume(namespace: str) -> tuple[dict[str, Any], ...]:
    """Return a claim that is bound to a volume of any node."""
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {"namespace": namespace, "name": CLAIM}
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": namespace},
            "spec": shared
            | {"capacity": {"storage": "1Gi"}, "claimRef": claim, "hostPath": {"path": "/results"}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": claim,
            "spec": shared
            | {"volumeName": namespace, "resources": {"requests": {"storage": "1Gi"}}},
        },
    )


@pytest.fixture
def training(
    trainer_plane: ControlPlane, operator: str, namespace: str, tmp_path: Path
) -> Iterator[Training]:
    """Yield a training whose pod runs and whose launcher isn't started."""
    del operator
    begun = Training(trainer_plane, namespace, tmp_path)
    yield begun
    if begun.process:
        stop(begun.process, signal.SIGKILL)
    begun.free_slot()


def test_a_training_starts_a_trainjob_and_hands_its_result_to_the_operator(training: Training):
    training.launch()
    training.logged(f"TrainJob {training.run_name} is under way")
    trainjob = training.launched()
    (owner,) = trainjob["metadata"]["ownerReferences"]
    assert owner["uid"] == training.pod["metadata"]["uid"]
    variables = {
        variable["name"]: variable["value"] for variable in trainjob["spec"]["trainer"]["env"]
    }
    assert variables[RUN_VARIABLE] == training.run_name
    assert json.loads(variables["SLUICEGATE_TRIGGER"])["cause"] == "Requested"

    training.write_result()
    training.end_nodes(RESULT, "")
    assert training.exit_code() == 0, training.log
    assert "is complete" in training.log
    training.end_pod()
    eventually(
        lambda: training.last_result().get("reason") == "WorseOnHoldOut",
        seconds=60, what="the result",
    )  # fmt: skip


def test_a_failed_trainjob_fails_the_training_with_the_text_of_its_condition(training: Training):
    training.launch()
    training.end_nodes(ERROR, "CUDA out of memory")
    assert training.exit_code() == 1
    (condition,) = (
        condition
        for condition in training.launched()["status"]["conditions"]
        if condition["type"] == "Failed"
    )
    training.end_pod()

    result = eventually(training.last_result, seconds=60, what="the result")
    assert result["outcome"] == "Failed"
    assert f"failed: {condition['reason']}: {condition['message']}" in result["message"]
    explained = subprocess.run(
        [sys.executable, "-m", "sluicegate", "explain", f"{training.namespace}/{NAME}"],
        env=os.environ | {"KUBECONFIG": str(training.plane.kubeconfig)},
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert condition["message"] in " ".join(explained.stdout.split())


def test_a_suspended_trainjob_is_waited_for(training: Training):
    training.launch()
    eventually(training.node_pods, seconds=60, what="both nodes run")
    where = ("trainjob", "-n", training.namespace, training.run_name, "--type=merge", "-p")
    training.plane.kubectl("patch", *where, json.dumps({"spec": {"suspend": True}}))
    training.logged(f"TrainJob {training.run_name} is suspended: ")

    training.plane.kubectl("patch", *where, json.dumps({"spec": {"suspend": False}}))
    training.write_result()
    training.end_nodes(RESULT, "")
    assert training.exit_code() == 0, training.log


def test_a_launcher_deletes_its_trainjob_after_sigterm(training: Training):
    training.launch()
    training.logged("is created")
    assert training.process
    training.process.send_signal(signal.SIGTERM)
    assert training.exit_code() == 128 + signal.SIGTERM
    eventually(lambda: not training.exists(), seconds=60, what="the TrainJob is deleted")


def test_a_trainjob_is_deleted_with_the_pod_of_its_launcher(training: Training):
    training.launch()
    training.logged("is created")
    assert training.process
    training.process.kill()
    training.free_slot()  # as a kubelet ends a pod whose process is killed
    name = training.pod["metadata"]["name"]
    training.plane.kubectl("delete", "pod", "-n", training.namespace, name, "--wait=false")
    eventually(lambda: not training.exists(), seconds=60, what="the TrainJob is deleted")


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}, 0, "is complete"),
        (
            {
                "jobDeploymentStatus": "Failed",
                "jobStatus": "FAILED",
                "reason": "AppFailed",
                "message": "Job failed due to an application error",
            },
            1,
            "failed: AppFailed: Job failed due to an application error",
        ),
    ],
)
def test_a_training_ends_as_its_rayjob_ends(
    training: Training, status: dict[str, str], code: int, text: str
):
    training.write_result()
    training.launch("rayjob.yaml")
    training.logged("is created")
    rayjob = training.launched(RAYJOBS)
    environment = yaml.safe_load(rayjob["spec"]["runtimeEnvYAML"])["env_vars"]
    assert environment[RUN_VARIABLE] == training.run_name
    training.plane.kubectl(
        "patch", "rayjob", "-n", training.namespace, training.run_name, "--subresource=status",
        "--type=merge", "-p", json.dumps({"status": status}),
    )  # fmt: skip
    assert training.exit_code() == code, training.log
    assert text in training.log
