"""What objects that remember hold after each of many events, and what they did for it."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.engine import ProductState, SloRecord, Streak
from sluicegate.api.product_info import Priority
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.policy.retraining.budget import Budget
from sluicegate.reconcile.fleet.block_lengths import BlockLengths
from sluicegate.reconcile.fleet.common_cause import Overlaps, Silence
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from sluicegate.reconcile.fleet.training_slots import Reserved
from sluicegate.reconcile.observe.pod_reader import PodReads, ahead
from tests.support.decisions.combinations import by_outcome
from tests.support.decisions.rollout_world import START
from tests.support.decisions.rollouts import at_weight, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sluicegate.reconcile.live.children import DeploymentRecord

pytestmark = pytest.mark.slow

BLOCK = 300
PRODUCTS = [Key(name[0], name) for name in ("a1", "a2", "a3", "b1", "b2", "c1")]


# ---- the fleet ------------------------------------------------------------------------------
def drawn_snapshot(draw: random.Random, now: int) -> tuple[str, ProductSnapshot]:
    """What a product may be found to be, and in a word."""
    bad, kept = now - BLOCK * draw.randint(0, 3), draw.choice([None, Reserved("j", now)])
    priority = draw.choice([Priority.LOW, Priority.MEDIUM, Priority.CRITICAL])
    judged = now - BLOCK * draw.randint(0, 2)
    fields: dict[str, dict[str, Any]] = {
        "fine": {"state": ProductState.HEALTHY, "fine_at": now},
        "turns": {"state": ProductState.DEGRADING, "bad_since": bad, "judged": judged},
        "bad": {"state": ProductState.DEGRADED, "bad_since": bad, "degraded_at": now},
        "waits": {"state": ProductState.DEGRADED, "bad_since": bad, "waiting_since": bad},
        "trains": {"training": True, "trained_at": now, "reserved": kept, "bad_since": bad},
        "calls": {"depends_on": tuple(draw.sample(PRODUCTS, 2))},
        "renews": {"renews": True},
        "silent": {"silent": {"outcomes": draw.random() < 0.7, "latency": False}},
    }
    name = draw.choice([*fields, "turns", "waits", "trains"])
    return name, ProductSnapshot(**{"priority": priority, "judged": now} | fields[name])


def names(keys: Any) -> str:
    return ",".join(sorted(one.name for one in keys)) or "-"


def asked(fleet: FleetRegistry, key: Key, now: int, end: int, person: bool) -> str:
    one = fleet.portfolio(key, now, block_end=end, asked=person)
    silent = {kind: round(share, 3) for kind, share in one.silent.items()}
    return (
        f"{'slot' if one.slot else 'no slot'}, {one.turned_bad} of {one.products} bad, {one.namespaces_bad} of"
        f" {one.namespaces} ({one.namespaces_share:.2f}) beside, {one.renewing} renew, {silent or 'none'} silent"
    )


def test_what_products_know_of_each_other_after_each_event(golden):
    draw, lines = random.Random(20), []
    fleet, now = FleetRegistry(Budget(2, 1)), START
    for _ in range(260):
        now += draw.choice([0, 0, 0, 1, BLOCK])
        key = draw.choice(PRODUCTS)
        match draw.choice(["record"] * 5 + ["ask"] * 6 + ["aside"] * 2 + ["forget", "begin"]):
            case "record":
                name, snapshot = drawn_snapshot(draw, now)
                event = f"{key.name} {name}: {fleet.record(key, snapshot)}"
            case "ask":
                person, end = draw.random() < 0.3, now - now % BLOCK
                event = f"{key.name} asks{'!' * person}: {asked(fleet, key, now, end, person)}"
            case "aside":
                flags = [draw.random() < 0.4 for _ in range(3)]
                trains, keeps, failed = flags
                free = fleet.step_aside(key, trains=trains, keeps=keeps, failed=failed)
                event = f"{key.name} aside {trains:d}{keeps:d}{failed:d}: {free}"
            case "forget":
                event = f"{key.name} is gone: {fleet.forget(key)}"
            case _:
                some = draw.sample(PRODUCTS, 3) if draw.random() < 0.3 else PRODUCTS[:5]
                fleet.renew({one: drawn_snapshot(draw, now)[1] for one in some})
                event = f"a term begins with {names(some)}"
        held = {
            "next": names(fleet.next_in_line(now)),
            "slots": names(one for one in PRODUCTS if fleet.reserved(one)),
            "callers": " ".join(f"{one.name}<{names(fleet.dependents(one))}" for one in PRODUCTS if fleet.dependents(one)),
            "cycles": names(one for one in PRODUCTS if any(fleet.in_cycle(one, each) for each in PRODUCTS if each != one)),
            "was degraded": names(one for one in PRODUCTS if fleet.was_degraded(one, now - BLOCK)),
            "bad since": (fleet.bad_since(PRODUCTS[::2]) or now) - now,
            "states": "".join(fleet.dependency(one).value[0] for one in PRODUCTS),
        }  # fmt: skip
        held = {name: one for name, one in held.items() if one not in ("-", "", 0)}
        lines.append(f"{now - START} {event}; {', '.join(f'{n} {v}' for n, v in held.items())}")
    golden("sequences/fleet.txt", lines)


def test_who_has_a_slot_after_each_event(golden):
    """All are asked each time, so that an answer is never kept for too long."""
    draw, lines = random.Random(20), []
    fleet, now = FleetRegistry(Budget(2, 1)), START
    for _ in range(120):
        now += draw.choice([0] * 9 + [1, BLOCK])
        key, bad, judged = (
            draw.choice(PRODUCTS),
            now - BLOCK * draw.randint(0, 3),
            now - BLOCK * draw.randint(0, 2),
        )
        known: dict[str, dict[str, Any]] = {
            "fine": {},
            "turns": {"state": ProductState.DEGRADING, "bad_since": bad, "judged": judged},
            "waits": {"waiting_since": bad, "bad_since": bad},
            "trains": {"training": True, "trained_at": now},
        }
        name, priority = draw.choice([*known]), draw.choice([Priority.LOW, Priority.CRITICAL])
        free = fleet.record(
            key, ProductSnapshot(**{"priority": priority, "judged": now} | known[name])
        )
        slots = names(
            one for one in PRODUCTS if fleet.portfolio(one, now, block_end=now - now % BLOCK).slot
        )
        lines.append(
            f"{now - START} {key.name} {name} {priority}: {slots}{', one is free' * free}; next {names(fleet.next_in_line(now))}"
        )
    golden("sequences/slots.txt", lines)


def test_whose_spans_and_silence_count_together(golden):
    draw, lines = random.Random(20), []
    for _ in range(30):
        sizes = {name: draw.randint(1, 4) for name in "abcd"}
        spans = [
            (name, tuple(sorted((draw.randint(0, 9), draw.randint(0, 9)))))
            for name, size in sizes.items()
            for _ in range(draw.randint(0, size))
        ]
        flags = [
            (name, {kind: draw.random() < 0.6 for kind in draw.sample(["o", "l"], draw.randint(0, 2))})
            for name, size in sizes.items()
            for _ in range(size)
        ]  # fmt: skip
        overlaps, silence = Overlaps(spans, sizes), Silence(flags)
        told = [
            f"{name} {most.own}+{most.others} {most.share:.2f} { ({k: round(v, 2) for k, v in silence.shares(name).items()}) }"
            for name in "abe"
            if (most := overlaps.most(name)) is not None
        ]
        lines.append("; ".join(told))
    golden("sequences/together.txt", lines)


def test_which_lengths_of_blocks_a_namespace_may_use(golden):
    draw, lines = random.Random(20), []
    lengths, known = BlockLengths(), set[Key]()
    for _ in range(120):
        key = Key(draw.choice("aaab"), f"p{draw.randint(0, 9)}")
        if key in known and draw.random() < 0.4:
            lengths.forget(key)
            known.discard(key)
            event = "is gone"
        else:
            seconds = 60 * draw.randint(1, 9)
            lengths.record(key, seconds, f"2026-01-{draw.randint(1, 3):02}")
            known.add(key)
            said = [one.message.rpartition(" ")[2] for one in lengths.problems(key)]
            event = f"wants {seconds}: {said or 'has it'}"
        free = {where: names(lengths.relieved(where)) for where in "ab"}
        lines.append(f"{key.namespace}/{key.name} {event}; relieved {free['a']} {free['b']}")
    golden("sequences/lengths.txt", lines)


# ---- reads of pods --------------------------------------------------------------------------
class Pages:
    """Lists these pods, and counts how often it is asked."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self._pods, self.asked = pods, 0

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self.asked += 1
        yield SimpleNamespace(items=self._pods)


def pod(revision: str, ready: str) -> dict[str, Any]:
    labels = {"sluicegate.dev/revision": revision}
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": {"name": "p", "labels": labels}, "status": {"conditions": conditions}}


async def test_when_pods_are_read(golden):
    key, usual = Key("catalog", "search"), serving().push("b", "v2").until(at_weight(25))
    begin = START - (START + ahead(key)) % 60
    current, live = usual.current, usual.observation().live
    stable, candidate = current.stable, current.candidate
    assert stable is not None
    assert candidate is not None
    streak = SloRecord(streak=Streak(first=1, last=3, evaluations=3, fresh=2))
    starting = candidate.replace(phase=CandidatePhase.STARTING, weight=0, shares=())
    statuses = {
        "at rest": current.replace(candidate=None),
        "in trouble": current.replace(candidate=None).with_engine(slos={"accuracy": streak}),
        "a canary": current,
        "a canary in trouble": current.with_engine(slos={"accuracy": streak}),
        "a canary starts": current.replace(candidate=starting),
        "the first starts": current.replace(candidate=starting, stable=None),
    }

    def deployments(**fields: Any) -> dict[str, DeploymentRecord]:
        """Both, which haven't changed for long; the candidate's with these fields."""
        known = {name: replace(one, moved=0, ready=4, replicas=4) for name, one in live.items()}
        return known | {candidate.revision: replace(known[candidate.revision], **fields)}

    lives = {
        "all ready": deployments(),
        "one isn't ready": deployments(ready=3),
        "one isn't ready yet": deployments(ready=3, moved=begin),
        "all just became ready": deployments(moved=begin),
        "rolls": deployments(rolling=True),
        "rolls since a moment": deployments(rolling=True, moved=begin),
        "none": {},
        "ready, and then another": deployments(moved=begin),
    }
    changed = deployments(moved=begin + 9, version=99)
    jobs = {"no Job": (), "a Job ended": (SimpleNamespace(finished=True, uid="j", version=1),)}
    found = {"no pod": (), "a ready pod": (pod(candidate.revision, "True"),), "an unready pod": (pod(candidate.revision, "False"),)}  # fmt: skip
    moments = (0, 0, 1, 9, 10, 20, 59, 60, 61)
    told: dict[tuple[str, ...], str] = {}
    for unlabelled, *case in product((False, True), statuses, lives, jobs, found):
        status, deployed, ended, listed = case
        if not unlabelled and (listed == "an unready pod" or ended != "no Job"):
            continue
        api = Pages(*found[listed])
        reads, counts, pods = PodReads(api), [], 0
        for second in moments:
            before = api.asked
            another = second >= 9 and deployed.endswith("another")
            seen = await reads.of(
                SimpleNamespace(key=key), statuses[status], changed if another else lives[deployed], jobs[ended],
                now=begin + second, unlabelled=unlabelled,
            )  # fmt: skip
            counts.append(api.asked - before)
            pods += len(seen)
        words = (*case, f"{'no' if unlabelled else 'a'} label is counted")
        told[words] = f"reads {' '.join(map(str, counts))}, {pods} pods"
    golden("sequences/pod-reads.txt", by_outcome(told))
    reads = PodReads(Pages(pod("x", "True")))
    at = {"now": begin, "unlabelled": True}
    assert await reads.of(
        SimpleNamespace(key=key), statuses["at rest"], lives["all ready"], (), **at
    )
    reads.forget(key)
    assert (
        await reads.of(SimpleNamespace(key=key), statuses["at rest"], lives["all ready"], (), **at)
        == ()
    )
