"""How a training ended, in the words of who ended it, and with what to correct."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.policy.model.observed import TrainingFailed
from sluicegate.reconcile.live.pods import TrainingExit, of_job, pod_state
from sluicegate.reconcile.observe.training_result import training_result
from tests.unit.reconcile.observe.test_pods_and_trainings import GOOD, OUTPUT, PARENT, job

JOB = "search-train-0a1b2c3d-1"


def container(code: int, *, name: str = "trainer", at: str = "10:00:00", reason: str = "Error"):
    ended = {
        "exitCode": code, "reason": reason, "message": f"{name} {code}",
        "finishedAt": f"2026-09-01T{at}Z",
    }  # fmt: skip
    return {"name": name, "state": {"terminated": ended}}


def pod(*containers, evicted: bool = False):
    status: dict[str, Any] = {"containerStatuses": list(containers)}
    if evicted:
        status["reason"] = "Evicted"
    return pod_state(
        {"metadata": {"labels": {"batch.kubernetes.io/job-name": JOB}}, "status": status}
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_of_a_job_s_pods_the_one_that_succeeded_counts(reverse):
    """The last by name was taken: beside an evicted pod that was the wrong one half of the time."""
    pods = [pod(container(0)), pod(container(137, at="11:00:00"), evicted=True)]
    assert of_job(pods[::-1] if reverse else pods, JOB).exit_code == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_else_the_one_that_ended_last(reverse):
    pods = [pod(container(1, at="10:00:00")), pod(container(2, at="11:00:00"))]
    assert of_job(pods[::-1] if reverse else pods, JOB).exit_code == 2


def test_a_container_that_a_mesh_adds_says_nothing_of_the_training():
    one = pod(container(0, name="linkerd-proxy"), container(3))
    assert of_job([one], JOB).message == "trainer 3"


def test_a_training_that_was_killed_for_its_memory_says_so_and_what_to_raise():
    killed = of_job([pod(container(137, reason="OOMKilled"))], JOB)
    failed = training_result(job("Failed"), killed, "0a1b2c3d", PARENT, output=OUTPUT)
    assert isinstance(failed, TrainingFailed)
    assert "exited with 137 (OOMKilled): raise the memory limit in retraining.resources" in (
        failed.message
    )


def test_an_evaluation_of_what_is_no_slo_names_it_and_those_that_are():
    """It was a hold-out that is too small, which named neither."""
    counts = {"acc": {"bad": 80, "total": 1000}}
    said = TrainingExit(json.dumps(GOOD | {"evaluation": counts, "stableEvaluation": counts}), 0)
    failed = training_result(
        job(), said, "0a1b2c3d", PARENT, output=OUTPUT, slos=("accuracy", "availability")
    )
    assert isinstance(failed, TrainingFailed)
    assert "names acc, and spec.slos has accuracy, availability" in failed.message
