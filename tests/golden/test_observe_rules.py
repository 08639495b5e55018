"""Which Jobs start, what is held, and what containers lack, by what is observed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product as every
from typing import Any

from sluicegate.api.containers import Resources
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.slo_status import SloState, SloStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding
from sluicegate.policy.model.observed import Portfolio
from sluicegate.prometheus.targets import TargetFacts
from sluicegate.reconcile.observe.container_limits import at_limit, is_node_busy
from sluicegate.reconcile.observe.observation import Observation, lacks_labels
from sluicegate.reconcile.traffic.split_verification import Split, VerificationLevel
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, World, document
from tests.support.decisions.rollouts import serving
from tests.support.decisions.rule_inputs import MODES, Phase, candidate, pods, product, status

FLAGS = (
    {"suspended": True, "not suspended": False},
    {"a slot": True, "no slot": False},
    {"trains": True, "idle": False},
)


def with_slot(
    usual: Observation, status: DataProductStatus, *, suspend: bool, slot: bool, trains: bool
) -> Observation:
    """With this status, a training slot or none, and a Job that trains or none."""
    spec = usual.product.spec.replace(suspend=suspend)
    return replace(
        usual,
        product=usual.product.replace(spec=spec, status=status),
        trains=trains,
        observed=replace(usual.observed, portfolio=Portfolio(slot=slot)),
    )


def test_which_training_starts(golden):
    world = serving(retraining={"command": ["train"], "output": "registry.example/search"})
    usual = world.observation()

    def trigger(name: str, cause: str) -> RetrainingStatus:
        return RetrainingStatus(
            trigger=Trigger(id=name, cause=cause, version="v1", trigger_time=START)
        )

    trainings = {
        "none": None,
        "no trigger": RetrainingStatus(),
        "for a decay": trigger("a", "ModelDecay"),
        "for a person": trigger("a", "Requested"),
        "another": trigger("b", "ModelDecay"),
    }

    def of(before: Any, after: Any, suspend: bool, slot: bool, trains: bool) -> str:
        current = usual.product.status.replace(retraining=before)
        seen = with_slot(usual, current, suspend=suspend, slot=slot, trains=trains)
        state = current.replace(retraining=after)
        words = {
            "may": seen.may_train(state),
            "new": seen.is_new(state),
            "starts": seen.starts_training(state),
        }
        return ", ".join(name for name, holds in words.items() if holds) or "nothing"

    befores = {f"{name} before": trainings[name] for name in ("none", "no trigger", "for a decay")}
    golden("rules/trainings.txt", combined(of, befores, trainings, *FLAGS))
    state = usual.product.status.replace(retraining=trainings["for a decay"])
    assert usual.starts_training(state)
    assert not usual.starts_training(state.replace(stable=None))
    nothing = usual.product.replace(spec=usual.product.spec.replace(retraining=None))
    assert not replace(usual, product=nothing).starts_training(state)


def test_which_shadow_job_starts(golden):
    world = serving(
        rollout={"steps": [5, 50], "shadow": {"command": ["score"], "intervalSeconds": 600}}
    )
    usual = (
        world.push("b", "v2")
        .until(lambda one: one.current.candidate is not None and one.current.candidate.weight == 5)
        .observation()
    )
    one = usual.product.status.candidate
    assert one is not None

    def shadow(job: str) -> ShadowStatus | None:
        return ShadowStatus(since_time=START, job=job)

    def of(before: Any, after: Any, suspend: bool, slot: bool, trains: bool) -> str:
        current = usual.product.status.with_candidate(shadow=before)
        seen = with_slot(usual, current, suspend=suspend, slot=slot, trains=trains)
        return "starts" if seen.starts_shadow(current.with_candidate(shadow=after)) else "waits"

    shadows = {
        "no phase": None,
        "no Job": shadow(""),
        "a Job": shadow("a"),
        "another Job": shadow("b"),
    }
    befores = {f"{name} before": each for name, each in shadows.items()}
    golden("rules/shadow-jobs.txt", combined(of, befores, shadows, *FLAGS))


def test_what_suspend_holds():
    usual = World(spec=document(suspend=True)).observation()
    reasons = ("", "RollbackRequested", "AbortRequested", "PromoteRequested", "CanaryWorse")
    states = [status(candidate(Phase.STEPPING, decision_reason=reason)) for reason in reasons]
    assert [usual.is_frozen(one) for one in states] == [True, False, False, False, True]
    assert not usual.is_frozen(status(candidate(Phase.STEPPING, requested=True)))
    assert usual.is_frozen(status(None))


def test_from_when_on_a_candidate_is_past_an_abort():
    for route, level, weight, followed, committed in (
        (True, VerificationLevel.ACCEPTED, 100, True, True),
        (True, VerificationLevel.OBSERVED, 100, True, True),
        (True, VerificationLevel.WRITTEN, 100, False, False),
        (True, VerificationLevel.ACCEPTED, 99, False, False),
        (True, None, 100, False, False),
        (True, VerificationLevel.ACCEPTED, None, False, False),
        (False, None, 100, False, True),
        (False, None, 99, False, False),
        (False, None, None, False, False),
    ):
        one = None if weight is None else candidate(Phase.PROMOTING, weight)
        current = (MODES["a route"] if route else MODES["no route"]).replace(status=status(one))
        split = None if level is None else Split(level, "")
        seen = replace(serving().observation(), product=current, split=split)
        assert (seen.followed, seen.committed) == (followed, committed)


def test_whose_word_forbids_a_training():
    usual = serving().observation()
    for reason, forbidden in (
        (ConditionReason.FORBIDDEN_SERVICE_ACCOUNT, True),
        (ConditionReason.VERSION_REUSED, False),
    ):
        stalled = Finding(ConditionType.STALLED, "True", reason)
        assert replace(usual, stalled=stalled).is_forbidden is forbidden
    assert not usual.is_forbidden


def test_how_many_pods_stable_has_to_have():
    usual = serving().observation()
    revision = usual.product.status.stable.revision
    for mode, live, wanted in (
        ("scaled", pods(6, 6, scaled=True), 6),
        ("scaled", pods(6, 6, scaled=False), 2),
        ("scaled", pods(1, 1, scaled=True), 2),
        ("scaled", None, 2),
        ("a route", pods(6, 6, scaled=True), 4),
    ):
        current = MODES[mode].replace(status=usual.product.status)
        seen = replace(usual, product=current, live={revision: live} if live else {})
        assert seen.stable_pods == wanted
        assert replace(seen, product=MODES[mode]).stable_pods == (2 if mode == "scaled" else 4)


def test_how_long_a_training_may_take():
    usual = serving().observation()
    assert usual.training_seconds == 604_800
    for asked, most, seconds in ((60, 90, 60), (90, 60, 60), (60, 60, 60)):
        retraining = {"command": ["train"], "output": "registry.example/a", "timeoutSeconds": asked}
        seen = replace(usual, product=product(retraining=retraining), most_training_seconds=most)
        assert seen.training_seconds == seconds


def test_when_no_label_is_counted():
    counted = SloStatus(name="accuracy", state=SloState.MET)
    other = SloStatus(name="availability", state=SloState.UNKNOWN, reason="NoData")
    spec, silent = MODES["a route"].spec, counted.replace(reason="NoLabels")
    for slos, lacks in (
        ((), True),
        ((other,), True),
        ((counted, other), False),
        ((silent,), True),
        ((counted.replace(reason="NoTraffic"),), True),
        ((counted.replace(reason="NoData"),), True),
        ((counted.replace(reason="WarmingUp"),), True),
        ((counted.replace(reason="PrometheusStale"),), False),
    ):
        assert lacks_labels(spec, DataProductStatus(slos=slos)) is lacks
    no_feedback = spec.replace(serving=spec.serving.replace(feedback=None))
    assert not lacks_labels(no_feedback, DataProductStatus(slos=(silent,)))
    assert not lacks_labels(spec.replace(slos=()), DataProductStatus(slos=(silent,)))


def test_what_containers_lack(golden):
    limits = {
        "no limits": Resources(),
        "a CPU limit": Resources(limits={"cpu": "1"}),
        "a memory limit": Resources(limits={"memory": "1Gi"}),
        "both limits": Resources(limits={"cpu": "1", "memory": "1Gi"}),
        "a request": Resources(requests={"cpu": "500m"}),
        "a request and a limit": Resources(requests={"cpu": "500m"}, limits={"cpu": "1"}),
    }
    measured: dict[str, TargetFacts | None] = {"nothing measured": None} | {
        f"throttled {throttled}, memory {used}": TargetFacts(
            cpu_throttled=throttled, memory_used=used
        )
        for throttled, used in every((None, 0.25, 0.26), (None, 0.95, 0.96))
    }

    def lacks(facts: Any, resources: Resources) -> str:
        return str(tuple(at_limit(facts, resources)))

    golden("rules/limits.txt", combined(lacks, measured, limits))

    def busy(waited: Any, used: Any, throttled: Any, resources: Resources) -> str:
        facts = TargetFacts(cpu_waited=waited, cpus_used=used, cpu_throttled=throttled)
        return "its node is busy" if is_node_busy(facts, resources) else "its node has room"

    def table(name: str, *values: float | None) -> dict[str, Any]:
        return {f"{name} {one}": one for one in values}

    golden(
        "rules/nodes.txt",
        combined(
            busy, table("waited", None, 0.2, 0.21, 0.5), table("used", None, 0.5, 0.51, 1.0, 1.01),
            table("throttled", None, 0.0, 0.3), limits,
        ),
    )  # fmt: skip
    assert not is_node_busy(None, limits["a request"])
