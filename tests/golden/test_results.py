"""What is made of the end of a Job, in the words that a person reads."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.status import OperatorScope, WrittenBy
from sluicegate.api.versions import Release
from sluicegate.kube.resources import Key
from sluicegate.policy.model.observed import CanaryBlock, Failure, TrainingFailed, TrainingSucceeded
from sluicegate.reconcile.fleet.operator_overlap import OVERLAPS, OperatorOverlaps
from sluicegate.reconcile.fleet.training_slots import JobRefusal
from sluicegate.reconcile.live.pods import TrainingExit
from sluicegate.reconcile.observe.job_message import json_object, tail
from sluicegate.reconcile.observe.shadow_result import scores, shadow_of, shadow_result
from sluicegate.reconcile.observe.training_result import training_result
from sluicegate.slo.blocks import Quality
from sluicegate.stats.paired import Pairs
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, World, broken_pod, image
from tests.support.decisions.rollouts import at_weight, serving
from tests.support.decisions.rule_inputs import job

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import JobRecord

PARENT = Release("v1", image("a"), "registry.example/runtime", "Search")


ended = partial(job, finished=True)
FAILED = {
    "failed": ended(reason="BackoffLimitExceeded"),
    "failed with a message": ended(
        reason="BackoffLimitExceeded", message="it has reached its limit"
    ),
    "too late": ended(reason="DeadlineExceeded", message="was active too long", deadline=5400),
    "too late, without a deadline": ended(reason="DeadlineExceeded"),
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
        "results/failures.txt",
        [*combined(training, FAILED, ENDS), *combined(shadow, {"failed": FAILED["failed"]}, ENDS)],
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
            ended(succeeded=True), TrainingExit(text_of(message), 0, "Completed", end), "t", PARENT,
            output="registry.example/bentos/search", slos=("accuracy",),
        )  # fmt: skip
        if isinstance(found, TrainingSucceeded):
            counts = {**found.evaluation}, {**found.stable_evaluation}, {**found.pairs}
            return f"{found.release.version} {counts} {found.data_end}"
        return f"{found.reason}: {found.message[:300]}"

    golden("results/trainings.txt", combined(of, MESSAGES, {"ended": 120, "no end": 0}))
    none = TrainingExit(text_of(MESSAGES["counted"]), 0)
    strange = training_result(ended(succeeded=True), none, "t", PARENT, output="a", slos=())
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
        return str(shadow_result(ended(succeeded=True), end, ["accuracy", "recall"]))

    golden("results/shadows.txt", combined(of, rows))


def test_how_much_of_a_message_is_kept():
    assert tail(f" {'a' * 1500} ") == "a" * 1500
    assert tail("b" + "a" * 1500) == "…" + "a" * 1500
    assert json_object(' {"a": 1}') == ' {"a": 1}'


# ---- the shadow phase -------------------------------------------------------------------------
def tried(**shadow: Any) -> World:
    return (
        serving(rollout={"steps": [5, 50], "shadow": {"intervalSeconds": 600, **shadow}})
        .push("b", "v2")
        .until(at_weight(5))
    )


def test_what_a_shadow_phase_says(golden):
    usual = tried(command=["score"], timeoutSeconds=900).observation()
    jobs = {
        "no Job": None,
        "runs": job(finished=False),
        "is overdue": job(finished=False, created=usual.now - 10_000, deadline=900),
        "counted": ended("shadow", succeeded=True),
        "failed": ended(reason="BackoffLimitExceeded"),
    }
    refusals = {
        "not refused": None,
        "refused": JobRefusal("shadow", "exceeded quota"),
        "refused for good": JobRefusal("shadow", "no such field", final=True),
    }
    statuses = {
        "no phase": None,
        "no Job named": ShadowStatus(since_time=START),
        "a Job named": ShadowStatus(since_time=START, job="shadow", start_time=usual.now),
        "a Job named long ago": ShadowStatus(
            since_time=START, job="shadow", start_time=usual.now - 900
        ),
        "a Job named nearly as long ago": ShadowStatus(
            since_time=START, job="shadow", start_time=usual.now - 899
        ),
    }
    left = replace(
        broken_pod(),
        job="shadow",
        ended=TrainingExit(json.dumps({"pairs": {"accuracy": PAIRS}}), 0),
    )

    def of(known: Any, live: Any, refusal: Any) -> str:
        current = usual.product.status.with_candidate(shadow=known)
        seen = replace(
            usual, product=usual.product.replace(status=current), shadow_job=live, pods=(left,)
        )
        found = shadow_of(seen, refusal)
        return f"{found.reason}: {found.message}" if isinstance(found, Failure) else str(found)

    golden("results/shadow-phases.txt", combined(of, statuses, jobs, refusals))

    def wants(known: Any, seconds: int) -> bool:
        current = usual.product.status.with_candidate(shadow=known)
        return scores(usual.product.replace(status=current), START + seconds)

    assert [wants(statuses["no Job named"], seconds) for seconds in (599, 600)] == [False, True]
    assert wants(None, 0)
    assert wants(statuses["a Job named"], 0)
    over = usual.product.replace(status=usual.product.status.replace(candidate=None))
    assert not scores(over, usual.now)
    assert not scores(serving().product, usual.now)
    assert not scores(tried(mirror={"percent": 10}).product, usual.now + 9999)


def test_which_mirrored_requests_count(golden):
    usual = tried(mirror={"percent": 10}).observation()
    rows = Pairs(8, 1, 1, 0)

    def block(
        minute: int, quality: Quality = Quality.COUNTED, pairs: Pairs | None = rows
    ) -> CanaryBlock:
        return CanaryBlock(START + 60 * minute, quality, pairs=pairs)

    missing = Quality.MISSING
    blocks = {
        "none": (),
        "before": tuple(block(minute) for minute in range(-9, 1)),
        "nine": tuple(block(minute) for minute in range(1, 10)),
        "ten": tuple(block(minute) for minute in range(1, 11)),
        "ten, without the last": (*(block(minute) for minute in range(1, 10)), block(10, missing)),
        "eleven, without the last": (
            *(block(minute) for minute in range(1, 11)),
            block(11, missing),
        ),
        "ten, without rows": tuple(block(minute, pairs=None) for minute in range(1, 11)),
        "ten, and some before": tuple(block(minute) for minute in range(-5, 11)),
    }

    def of(known: Any) -> str:
        current = usual.product.status.with_candidate(shadow=ShadowStatus(since_time=START))
        observed = replace(usual.observed, canary_blocks=known)
        seen = replace(usual, product=usual.product.replace(status=current), observed=observed)
        found = shadow_of(seen, None)
        return "-" if found is None else f"{dict(found.pairs)} until {found.until - START} s"

    golden("results/mirrored.txt", combined(of, blocks))


# ---- two operators ----------------------------------------------------------------------------
def named(
    name: str, scope: OperatorScope = OperatorScope.NAMESPACES, version: str = "1.2.0"
) -> WrittenBy:
    return WrittenBy(namespace="system", lease=name, scope=scope, version=version)


def test_what_follows_where_two_operators_meet(golden):
    me, key = named("b"), Key("shop", "search")
    others = {
        "nobody": None, "itself": me, "an elder": named("a"), "a younger": named("c"),
        "one of the cluster": named("a", OperatorScope.CLUSTER), "a newer": named("a", version="1.10"),
        "the same release": named("a", version="1.2"), "no release": named("a", version="dev"),
    }  # fmt: skip

    def of(one: Any, other: Any, readable: bool) -> str:
        overlaps = OperatorOverlaps(me)
        overlaps.wrote(key)
        told = []
        for seconds, each in (
            (0, one), (10, other), (599, other), (600, other), (601, other), (2401, None), (2402, None),
        ):  # fmt: skip
            meeting = overlaps.meet(key, each, partial(bool, readable), now=seconds)
            stands = bool(overlaps.standing(key, now=seconds))
            told.append(f"{meeting.wait:.0f}{'!' * bool(meeting.news)}{'+' * stands}")
            overlaps.wrote(key)
        return " ".join(told)

    second = {f"then {name}": one for name, one in others.items()}
    leases = {"readable": True, "unreadable": False}
    golden("results/operators.txt", combined(of, others, second, leases))


def test_for_how_long_an_overlap_is_counted():
    overlaps = OperatorOverlaps(named("b"))
    key, other = Key("shop", "search"), named("c")
    overlaps.wrote(key)
    assert overlaps.meet(key, other, now=100).news
    counts = []
    for now in (1900, 1901):
        overlaps.export(now)
        counts.append(OVERLAPS.collect()[0].samples[0].value)
    assert counts == [1, 0]
