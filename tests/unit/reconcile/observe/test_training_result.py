"""How a training ended, in the words of who ended it, and with what to correct."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import Release
from sluicegate.policy.model.observed import TrainingFailed, TrainingScored, TrainingSucceeded
from sluicegate.reconcile.live.pods import TrainingExit, job_exit, pod_state
from sluicegate.reconcile.observe.training_result import training_result
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.kubelet_words import job
from tests.support.decisions.rollout_world import image

# Promised, so written as a number here.
MESSAGE_LIMIT = 1500

JOB = "uid-of-the-job"
OUTPUT = "registry.example/bentos/search"
PARENT = Release("v1", image("a"), "registry.example/runtime:1")
GOOD = {
    "image": image("b"),
    "version": "v2",
    "evaluation": {"accuracy": {"bad": 80, "total": 1000}},
    "stableEvaluation": {"accuracy": {"bad": 90, "total": 1000}},
}


def result(ended: TrainingExit, **of_job: Any):
    return training_result(job(**of_job), ended, "0a1b2c3d", PARENT, output=OUTPUT)


def container(code: int, *, name: str = "trainer", at: str = "10:00:00", reason: str = "Error"):
    ended = {
        "exitCode": code, "reason": reason, "message": f"{name} {code}",
        "finishedAt": f"2026-09-01T{at}Z",
    }  # fmt: skip
    return {"name": name, "state": {"terminated": ended}}


def pod(*containers, evicted: bool = False, owner: str = "Job"):
    status: dict[str, Any] = {"containerStatuses": list(containers)}
    if evicted:
        status["reason"] = "Evicted"
    controller = {"kind": owner, "name": "search-train-0a1b2c3d-1", "uid": JOB, "controller": True}
    labels = {"batch.kubernetes.io/job-name": controller["name"]}
    metadata = {"labels": labels, "ownerReferences": [controller] if owner else []}
    return pod_state({"metadata": metadata, "status": status})


@pytest.mark.parametrize("reverse", [False, True])
def test_the_training_result_comes_from_the_succeeded_pod_of_the_job(reverse):
    """The last by name was taken: beside an evicted pod that was the wrong one half of the time."""
    pods = [pod(container(0)), pod(container(137, at="11:00:00"), evicted=True)]
    assert job_exit(pods[::-1] if reverse else pods, JOB).exit_code == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_without_a_succeeded_pod_the_training_result_comes_from_the_last_ended_pod(reverse):
    pods = [pod(container(1, at="10:00:00")), pod(container(2, at="11:00:00"))]
    assert job_exit(pods[::-1] if reverse else pods, JOB).exit_code == 2


def test_a_pod_that_has_the_label_of_a_job_and_another_controller_has_no_training_result():
    for owner in ("", "ReplicaSet"):
        assert job_exit([pod(container(0), owner=owner)], JOB) == TrainingExit()


def test_a_sidecar_of_a_service_mesh_does_not_affect_the_training_result():
    one = pod(container(0, name="linkerd-proxy"), container(3))
    assert job_exit([one], JOB).message == "trainer 3"


def test_an_out_of_memory_training_names_the_resource_to_raise():
    killed = job_exit([pod(container(137, reason="OOMKilled"))], JOB)
    failed = result(killed, condition="Failed")
    assert isinstance(failed, TrainingFailed)
    assert "exited with 137 (OOMKilled): raise the memory limit in retraining.resources" in (
        failed.message
    )


def test_an_evaluation_of_an_unknown_slo_names_it_and_the_known_slos():
    """It was a hold-out that is too small, which named neither."""
    counts = {"acc": {"bad": 80, "total": 1000}}
    said = TrainingExit(json.dumps(GOOD | {"evaluation": counts, "stableEvaluation": counts}), 0)
    failed = training_result(
        job(), said, "0a1b2c3d", PARENT, output=OUTPUT, slos=("accuracy", "availability")
    )
    assert isinstance(failed, TrainingFailed)
    assert "names acc, and spec.slos has accuracy, availability" in failed.message


# ---- what it made -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reported", "ended_at", "expected"),
    [
        (None, 0, None),
        (None, 1_000, 1_000),
        ("1970-01-01T00:10:00Z", 1_000, 600),
        ("1970-01-01T01:00:00Z", 1_000, 1_000),  # not after its own end
    ],
)
def test_the_data_end_time_of_a_training_is_at_most_its_own_end_time(reported, ended_at, expected):
    report = GOOD | ({"dataEndTime": reported} if reported else {})
    made = result(TrainingExit(json.dumps(report), 0, ended_at=ended_at))
    assert isinstance(made, TrainingSucceeded)
    assert made.data_end == expected


def test_a_training_result_has_the_version_and_both_evaluations():
    made = result(TrainingExit(json.dumps(GOOD), 0))
    assert isinstance(made, TrainingSucceeded)
    assert made.release == Release("v2", image("b"), PARENT.runtime_image)
    assert made.evaluation["accuracy"].bad == 80
    assert made.stable_evaluation["accuracy"].bad == 90


SCORE = {
    "stableEvaluation": {"accuracy": {"bad": 90, "total": 1000}},
    "holdOutStartTime": "2026-09-01T08:00:00Z",
    "dataEndTime": "2026-09-01T09:00:00Z",
}


def test_a_score_of_the_stable_version_alone_is_the_result_of_a_training_that_ended_before_its_fit():
    scored = result(TrainingExit(json.dumps(SCORE), 0))
    assert isinstance(scored, TrainingScored)
    assert (scored.parent, scored.stable_evaluation) == (PARENT, {"accuracy": Count(90, 1000)})
    assert scored.data_end is not None
    assert scored.hold_out_start is not None
    assert scored.data_end - scored.hold_out_start == 3600


@pytest.mark.parametrize("report", [SCORE, GOOD], ids=["a score", "a training"])
def test_the_feature_differences_of_a_report_are_kept_without_credentials_in_one_line_each(report):
    largest = ["mileage (median 49,500 in the\ntraining's rows)", "password=hunter2hunter2"]
    told = report | {"featureDifferences": {"compared": 7, "largest": largest}}
    found = result(TrainingExit(json.dumps(told), 0)).feature_differences
    assert found.compared == 7
    assert found.largest[0] == "mileage (median 49,500 in the training's rows)"
    assert "hunter2" not in found.largest[1]
    assert result(TrainingExit(json.dumps(report), 0)).feature_differences is None


@pytest.mark.parametrize(
    ("largest", "limit"), [(["a"] * 4, "at most 3"), (["a" * 301], "at most 300")]
)
def test_more_or_longer_feature_differences_than_status_allows_are_refused(largest, limit):
    told = SCORE | {"featureDifferences": {"compared": 7, "largest": largest}}
    failed = result(TrainingExit(json.dumps(told), 0))
    assert isinstance(failed, TrainingFailed)
    assert "featureDifferences.largest" in failed.message
    assert limit in failed.message


def test_a_score_without_the_time_of_its_rows_is_no_training_result():
    made = result(TrainingExit(json.dumps({"stableEvaluation": SCORE["stableEvaluation"]}), 0))
    assert isinstance(made, TrainingFailed)
    assert made.reason is Reason.INVALID_RESULT
    assert "holdOutStartTime" in made.message


ROWS = {"bothRight": 880, "onlyStableWrong": 40, "onlyCandidateWrong": 30, "bothWrong": 50}


def test_missing_evaluation_counts_are_computed_from_the_pairs():
    told = {"image": GOOD["image"], "version": "v2", "pairs": {"accuracy": ROWS}}
    made = result(TrainingExit(json.dumps(told), 0))
    assert made.pairs == {"accuracy": Pairs(880, 40, 30, 50)}
    assert made.evaluation == {"accuracy": Count(80, 1000)}
    assert made.stable_evaluation == {"accuracy": Count(90, 1000)}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (ROWS | {"bothWrong": 51}, "makes 81 wrong of 1001, and evaluation.accuracy says 80 of"),
        ({"bothRight": 880}, "bothWrong, onlyCandidateWrong, onlyStableWrong is missing"),
        (ROWS | {"bothWrong": -1}, "whole numbers from 0"),
        (ROWS | {"bothWrong": True}, "whole numbers from 0"),
        ([880, 40, 30, 50], "must be an object with bothRight"),
    ],
)
def test_pairs_that_are_malformed_or_contradict_the_counts_invalidate_the_result(rows, why):
    failed = result(TrainingExit(json.dumps(GOOD | {"pairs": {"accuracy": rows}}), 0))
    assert isinstance(failed, TrainingFailed)
    assert failed.reason is Reason.INVALID_RESULT
    assert why in failed.message


@pytest.mark.parametrize("which", ["evaluation", "stableEvaluation"])
def test_an_evaluation_names_as_many_slos_as_a_product_may_have(which):
    counts = {f"slo-{number}": {"bad": 1, "total": 9} for number in range(17)}
    failed = result(TrainingExit(json.dumps(GOOD | {which: counts}), 0))
    assert isinstance(failed, TrainingFailed)
    assert failed.reason is Reason.INVALID_RESULT
    counts.popitem()
    assert isinstance(
        result(TrainingExit(json.dumps(GOOD | {which: counts}), 0)), TrainingSucceeded
    )


@pytest.mark.parametrize(
    ("ended", "of_job", "reason", "says"),
    [
        (TrainingExit("no data", 1), {"condition": "Failed"}, Reason.JOB_FAILED, "exited with 1"),
        (TrainingExit(), {"condition": "Failed"}, Reason.JOB_FAILED, "never ran"),
        (
            TrainingExit("epoch 3", 143),
            {"condition": "Failed", "reason": "DeadlineExceeded"},
            Reason.TIMED_OUT,
            "timeoutSeconds",
        ),
        (
            TrainingExit(json.dumps(GOOD | {"image": image("b").replace("@", "-evil@")}), 0),
            {},
            Reason.IMAGE_OUTSIDE_OUTPUT,
            "isn't in retraining.output",
        ),
        (TrainingExit("rubbish", 0), {}, Reason.INVALID_RESULT, "no JSON"),
        (TrainingExit("[1]", 0), {}, Reason.INVALID_RESULT, "not an object"),
        (TrainingExit("[" * 4000, 0), {}, Reason.INVALID_RESULT, "nested too deeply"),
        (TrainingExit('{"a":' * 1000, 0), {}, Reason.INVALID_RESULT, "nested too deeply"),
        (TrainingExit("", 0), {}, Reason.INVALID_RESULT, "empty"),
        (TrainingExit("{}", 0), {}, Reason.INVALID_RESULT, "image"),
        (
            TrainingExit(json.dumps(GOOD | {"image": f"{OUTPUT}:latest"}), 0),
            {},
            Reason.INVALID_RESULT,
            "image",
        ),
        (
            TrainingExit(json.dumps(GOOD | {"image": image("b").replace("search", "other")}), 0),
            {},
            Reason.IMAGE_OUTSIDE_OUTPUT,
            "retraining.output",
        ),
        (TrainingExit(json.dumps(GOOD | {"version": "v1"}), 0), {}, Reason.VERSION_REUSED, "new version"),
        (
            TrainingExit(json.dumps(GOOD | {"image": PARENT.image}), 0),
            {},
            Reason.VERSION_REUSED,
            "new bento",
        ),
    ],
    ids=[
        "crashed", "never ran", "timed out", "outside by a longer name", "rubbish", "a list", "many lists",
        "many objects", "nothing", "nothing pushed",
        "a tag", "outside", "an old name", "the old image",
    ],
)  # fmt: skip
def test_a_training_without_a_result_reports_its_reason(ended, of_job, reason, says):
    failed = result(ended, **of_job)
    assert isinstance(failed, TrainingFailed)
    assert failed.reason is reason
    assert says in failed.message


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 s"), (7200, "2 h")])
def test_a_training_beyond_its_deadline_reports_the_deadline_and_its_last_log_line(seconds, words):
    of_job = {"condition": "Failed", "reason": "DeadlineExceeded", "seconds": seconds}
    failed = result(TrainingExit("epoch 3", 143), **of_job)
    assert f"longer than retraining.timeoutSeconds ({words})" in failed.message
    assert failed.message.endswith("epoch 3")
    gone = result(TrainingExit(), **of_job)
    assert f"({words})" in gone.message
    assert gone.message.endswith("its pod is deleted, so its last message is not known")


def test_only_the_tail_of_a_long_training_log_is_kept():
    failed = result(TrainingExit("x" * 5000 + "the end", 1), condition="Failed")
    assert failed.message.endswith("the end")
    assert len(failed.message) < MESSAGE_LIMIT + 200
