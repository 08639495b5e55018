"""What is made of the end of a Job, in the words that a person reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.api.versions import Release
from sluicegate.policy.model.observed import TrainingFailed, TrainingSucceeded
from sluicegate.reconcile.live.children import job_record
from sluicegate.reconcile.live.pods import TrainingExit
from sluicegate.reconcile.observe.job_message import json_object, tail
from sluicegate.reconcile.observe.shadow_result import shadow_result
from sluicegate.reconcile.observe.training_result import training_result
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import image

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import JobRecord

GOLDENS = Path(__file__).parent / "results"
PARENT = Release("v1", image("a"), "registry.example/runtime", "Search")


def job(**fields: Any) -> JobRecord:
    meta = {
        "namespace": "a",
        "name": "a",
        "uid": "a",
        "resourceVersion": "1",
        "labels": {LABEL_PRODUCT: "a"},
    }
    found = job_record({"metadata": meta, "spec": {}})
    assert found is not None
    return replace(found, **{"finished": True} | fields)


FAILED = {
    "failed": job(reason="BackoffLimitExceeded"),
    "failed with a message": job(reason="BackoffLimitExceeded", message="it has reached its limit"),
    "too late": job(reason="DeadlineExceeded", message="was active too long", deadline=5400),
    "too late, without a deadline": job(reason="DeadlineExceeded"),
}
ENDS = {
    "never ran": TrainingExit(),
    "ended with 1": TrainingExit(exit_code=1, reason="Error"),
    "said why": TrainingExit(message=" no such column \n", exit_code=1, reason="Error"),
    "killed": TrainingExit(message="…", exit_code=137, reason="OOMKilled"),
    "blank": TrainingExit(message=" \n", exit_code=0),
}


def test_why_a_job_failed(golden):
    def training(one: JobRecord, end: TrainingExit) -> str:
        found = training_result(one, end, "t", PARENT, output="a")
        assert isinstance(found, TrainingFailed)
        return f"{found.reason}: {found.message}"

    def shadow(one: JobRecord, end: TrainingExit) -> str:
        found = shadow_result(one, end, ())
        return f"{found.reason}: {found.message}"

    golden(
        GOLDENS / "failures.txt",
        combined(training, FAILED, ENDS) + combined(shadow, {"failed": FAILED["failed"]}, ENDS),
    )


def report(**fields: Any) -> dict[str, Any]:
    return {"image": image("b"), "version": "v2"} | fields


PAIRS = {"bothRight": 80, "onlyStableWrong": 9, "onlyCandidateWrong": 4, "bothWrong": 7}
MESSAGES: dict[str, Any] = {
    "empty": " ",
    "text": "done",
    "cut": "{" + "a" * 4095,
    "nearly cut": "{" + "a" * 4094,
    "cut within letters": "{" + "é" * 2048,
    "nested": "[" * 100_000,
    "a list": [],
    "a number": 1,
    "the least": report(),
    "without a version": {"image": image("b")},
    "not pinned": report(image="registry.example/a:1"),
    "another field": report(loss=1),
    "counted": report(evaluation={"accuracy": {"bad": 1, "total": 9}}),
    "counted both": report(
        evaluation={"accuracy": {"bad": 1, "total": 9}}, stableEvaluation={"accuracy": {"bad": 2, "total": 9}}
    ),
    "counted by rows": report(pairs={"accuracy": PAIRS}),
    "counted twice": report(
        pairs={"accuracy": PAIRS}, evaluation={"accuracy": {"bad": 11, "total": 100}},
        stableEvaluation={"accuracy": {"bad": 16, "total": 100}},
    ),
    "counted otherwise": report(pairs={"accuracy": PAIRS}, evaluation={"accuracy": {"bad": 12, "total": 100}}),
    "counted fewer": report(pairs={"accuracy": PAIRS}, stableEvaluation={"accuracy": {"bad": 16, "total": 99}}),
    "another level": report(evaluation={"latency": {"bad": 1, "total": 9}, "cost": {"bad": 1, "total": 9}}),
    "another level of stable": report(stableEvaluation={"cost": {"bad": 1, "total": 9}}),
    "elsewhere": report(image=f"registry.example/bentos/other@sha256:{'b' * 64}"),
    "stable again": report(image=image("a"), version="v3"),
    "stable's name": report(version="v1"),
    "with an end": report(dataEndTime="1970-01-01T00:01:30Z"),
    "with a late end": report(dataEndTime="1970-01-01T00:02:30Z"),
}  # fmt: skip


def text_of(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message)


def test_what_a_training_made(golden):
    def of(message: Any, end: int) -> str:
        found = training_result(
            job(succeeded=True), TrainingExit(text_of(message), 0, "Completed", end), "t", PARENT,
            output="registry.example/bentos/search", slos=("accuracy",),
        )  # fmt: skip
        if isinstance(found, TrainingSucceeded):
            counts = {**found.evaluation}, {**found.stable_evaluation}, {**found.pairs}
            return f"{found.release.version} {counts} {found.data_end}"
        return f"{found.reason}: {found.message[:300]}"

    golden(GOLDENS / "trainings.txt", combined(of, MESSAGES, {"ended": 120, "no end": 0}))
    none = TrainingExit(text_of(MESSAGES["counted"]), 0)
    strange = training_result(job(succeeded=True), none, "t", PARENT, output="a", slos=())
    assert isinstance(strange, TrainingFailed)
    assert "spec.slos has none" in strange.message


def test_what_a_shadow_job_counted(golden):
    rows = {
        "empty": "",
        "text": "done",
        "no rows": {"pairs": {}},
        "no pairs": {},
        "rows": {"pairs": {"accuracy": PAIRS}},
        "rows of another": {"pairs": {"latency": PAIRS, "cost": PAIRS}},
        "the most": {"pairs": {"accuracy": PAIRS | {"bothRight": 10**9 - 20}}},
        "too many": {"pairs": {"accuracy": PAIRS | {"bothRight": 10**9 - 19}}},
    }

    def of(message: Any) -> str:
        end = TrainingExit(text_of(message), 0)
        return str(shadow_result(job(succeeded=True), end, ["accuracy", "recall"]))

    golden(GOLDENS / "shadows.txt", combined(of, rows))


def test_how_much_of_a_message_is_kept():
    assert tail(f" {'a' * 1500} ") == "a" * 1500
    assert tail("b" + "a" * 1500) == "…" + "a" * 1500
    assert json_object(' {"a": 1}') == ' {"a": 1}'
