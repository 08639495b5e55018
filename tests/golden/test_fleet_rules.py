"""What other products may know of one, and for how long it keeps a slot for a training."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from sluicegate.api.engine import EngineState, ProductState, SloRecord, Streak
from sluicegate.api.names import ConditionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus, Trigger
from sluicegate.api.status import Condition, DataProductStatus
from sluicegate.kube.errors import Conflict, Invalid, TooManyRequests, Transient
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot, snapshot_before
from sluicegate.reconcile.fleet.training_slots import Reserved, is_overdue, runs
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START
from tests.support.decisions.rule_inputs import STABLE, Phase, candidate, job

begun = partial(job, "a", created=START + 1, deadline=50)


def test_when_a_product_turned_bad(golden):
    known = ProductSnapshot(block_seconds=10, judged=100)
    snapshots = {
        "fine": replace(known, fine_at=100),
        "bad since 60": replace(known, bad_since=60),
        "bad since 60, fine at 20": replace(known, bad_since=60, fine_at=20),
        "bad since 60, fine at 50": replace(known, bad_since=60, fine_at=50),
        "bad since 60, fine at 90": replace(known, bad_since=60, fine_at=90),
        "bad since 60, in blocks of 20": replace(known, bad_since=60, block_seconds=20),
    }
    moments = {
        f"{first} to {last}": (first, last)
        for first, last in ((0, 29), (0, 30), (30, 60), (90, 95), (91, 95), (120, 130))
    }

    def of(one: ProductSnapshot, moment: tuple[int, int]) -> str:
        return f"near {one.near(moment)}, turned {one.turned(100)}"

    golden("rules/turned-bad.txt", combined(of, snapshots, moments))
    assert [known.is_due(end) for end in (109, 110, 111)] == [False, True, True]
    bad = replace(known, state=ProductState.DEGRADING, bad_since=60)
    assert bad.turns_bad
    for fields in ({"aside": True}, {"bad_since": None}, {"state": ProductState.DEGRADED}):
        assert not replace(bad, **fields).turns_bad


def test_what_a_snapshot_takes_over_from_the_one_before(golden):
    values = {
        "empty": ProductSnapshot(),
        "early": ProductSnapshot(
            degraded_at=1, fine_at=2, trained_at=3, waiting_since=4, reserved=Reserved("a", 5), training=True
        ),
        "late": ProductSnapshot(
            degraded_at=11, fine_at=12, trained_at=13, waiting_since=14, reserved=Reserved("a", 15), aside=True
        ),
        "for another Job": ProductSnapshot(reserved=Reserved("b", 25)),
    }  # fmt: skip

    kept = (
        "degraded_at",
        "fine_at",
        "trained_at",
        "waiting_since",
        "reserved",
        "training",
        "aside",
    )

    def told(one: ProductSnapshot) -> str:
        return str([getattr(one, name) for name in kept])

    def follows(one: ProductSnapshot, before: ProductSnapshot) -> str:
        return told(one.following(before))

    befores = {f"after {name}": one for name, one in values.items()}
    golden("rules/following.txt", combined(follows, values, befores))

    def aside(one: ProductSnapshot, trains: bool, keeps: bool, failed: bool) -> str:
        return told(one.stepped_aside(trains=trains, keeps=keeps, failed=failed))

    flags = [{name: True, f"not {name}": False} for name in ("trains", "keeps", "failed")]
    golden("rules/aside.txt", combined(aside, values, *flags))


def test_which_slots_outlive_a_restart(golden):
    trigger = Trigger(id="a", cause="ModelDecay", version="v1", trigger_time=START)
    trainings = {
        "none": None,
        "no trigger": RetrainingStatus(start_time=START, job="j"),
        "not begun": RetrainingStatus(trigger=trigger, job="j"),
        "begun": RetrainingStatus(trigger=trigger, start_time=START, job="j"),
        "ended": RetrainingStatus(
            last_result=AttemptResult(outcome=Outcome.FAILED, completion_time=START - 5)
        ),
    }
    streaks = {
        "accuracy": SloRecord(streak=Streak(first=9, last=9, evaluations=1, fresh=1)),
        "other": SloRecord(),
    }
    healths = {
        "unknown": {},
        "recovered": {"conditions": (degraded("False"),)},
        "degraded": {"conditions": (degraded("True"),), "state": ProductState.DEGRADED, "engine": EngineState(slos=streaks)},
        "degrading": {"state": ProductState.DEGRADING, "engine": EngineState(slos=streaks)},
        "renews": {"candidate": candidate(Phase.STEPPING).replace(image=STABLE.image)},
    }  # fmt: skip
    jobs = {"no Job": (), "a Job": (begun(),), "a Job that ended": (begun(finished=True),)}

    def of(training: Any, health: Any, found: Any, late: int) -> str:
        known = DataProductStatus(stable=STABLE, retraining=training, **health)
        record = SimpleNamespace(status=known, block_seconds=60)
        one = snapshot_before(record, found, now=START + late, most_training_seconds=60)
        usual = asdict(ProductSnapshot())
        told = {name: value for name, value in asdict(one).items() if value != usual[name]}
        return ", ".join(f"{name} {value}" for name, value in told.items()) or "nothing"

    late = {f"{seconds} s later": seconds for seconds in (59, 60, 650, 651)}
    usual, none = {"unknown": healths.pop("unknown")}, {"none": None}
    lines = [
        *combined(of, trainings, usual, jobs, late),
        *combined(of, none, healths, {"no Job": ()}, {"at once": 0}),
    ]
    golden("rules/begun.txt", lines)


def degraded(truth: str) -> Condition:
    return Condition(
        type=ConditionType.DEGRADED, status=truth, reason="R", last_transition_time=START - 9
    )  # fmt: skip


def test_for_how_long_a_slot_is_kept():
    slot = Reserved("a", 100)
    for error, kept in (
        (Conflict("a"), True),
        (Transient("a"), True),
        (TooManyRequests("a", retry_after=1), False),
        (Invalid("a"), False),
        (None, False),
    ):
        assert slot.is_kept(error, 159) is kept
        assert not slot.is_kept(error, 160)


def test_from_when_on_a_job_is_overdue():
    made = partial(begun, created=1000)
    first = next(now for now in range(1000, 3000) if is_overdue(made(), now, 60))
    assert first == 1000 + 50 + 600
    for one, most, late in (
        (made(), 40, first - 10),
        (made(deadline=0), 60, first + 10),
        (made(created=1), 60, first - 999),
    ):
        assert not is_overdue(one, late - 1, most)
        assert is_overdue(one, late, most)
    assert not is_overdue(made(created=0), first, 60)
    assert not is_overdue(made(finished=True), first, 60)
    assert runs(made(), first - 1, 60)
    for one in (made(finished=True), made(deleting=True)):
        assert not runs(one, 1000, 60)
    assert not runs(made(), first, 60)
