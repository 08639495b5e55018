"""Pods are read where they may show something, and not again before they can show something else."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from sluicegate.api.engine import SloRecord, Streak
from sluicegate.api.product import read_status
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.reconcile.observe.pod_reader import PodReads, read_offset
from tests.support.decisions.rollout_world import START, World, serving_world

STARTING_SECONDS = 10

# Promised, so written as numbers here.
UNREADY_SECONDS = 10
BELIEVED_SECONDS = 60

KEY = Key("catalog", "search")
MINUTE = START - (START + read_offset(KEY)) % BELIEVED_SECONDS
"""When one begins for the product."""


class Api:
    """Lists no pods, and counts who asks for which."""

    def __init__(self):
        self.asked = Counter()

    async def pages(self, _resource, *, namespace, labels):
        self.asked[namespace, labels] += 1
        yield SimpleNamespace(items=())


@pytest.fixture
def world():
    world = serving_world(36)
    return world.push("b", "v2").until(lambda one: one.current.candidate is not None).run(4)


def seen(world):
    return {key: world._deployment(key, one) for key, one in world.pods.items()}


RECORD = SimpleNamespace(key=KEY)
SEARCH = ("catalog", "sluicegate.dev/product=search")
STREAK = Streak(first=1, last=3, evaluations=3, fresh=2)


@pytest.fixture
def reads():
    api = Api()
    return SimpleNamespace(api=api, of=PodReads(api).pods_of)


async def asks(reads, world, live, status=None, now=MINUTE):
    before = reads.api.asked.copy()
    await reads.of(RECORD, status or world.current, live, (), now=now)
    asked = reads.api.asked - before
    assert set(asked) <= {SEARCH}
    return asked.total()


async def test_an_idle_product_needs_no_read_of_pods(reads, world):
    rest = world.current.model_copy(update={"candidate": None})
    assert await asks(reads, world, seen(world), rest) == 0


async def test_without_labels_serving_pods_are_read_once_per_deployment(reads, world):
    """They know whether the Secret that labels need can be used, and the operator reads none."""
    rest = world.current.model_copy(update={"candidate": None})
    live = seen(world)

    async def asked(live, now):
        before = reads.api.asked.total()
        await reads.of(RECORD, rest, live, (), now=now, unlabelled=True)
        return reads.api.asked.total() - before

    found = [await asked(live, MINUTE + n) for n in (0, 1, 600, 6000)]
    name, one = next(iter(live.items()))
    found.append(await asked(live | {name: replace(one, version=9)}, MINUTE + 6001))
    assert found == [1, 0, 0, 0, 1]


async def test_at_most_one_product_without_labels_is_read_per_second(reads, world):
    rest = world.current.model_copy(update={"candidate": None})
    for second in range(3):
        for number in range(20):
            one = SimpleNamespace(key=Key("catalog", f"search-{number}"))
            await reads.of(one, rest, seen(world), (), now=MINUTE + second, unlabelled=True)
    assert reads.api.asked.total() == 3


@pytest.mark.parametrize(("unlabelled", "expected"), [(True, [0, 1, 0]), (False, [0, 0, 0])])
async def test_the_first_pods_of_a_product_without_labels_are_read_as_they_become_ready(
    reads, unlabelled, expected
):
    world = World()
    world.settle()
    status = world.current.model_copy(update={"candidate": world.current.candidate})
    assert status.stable is None
    live = {name: replace(one, moved_at=MINUTE) for name, one in seen(world).items()}
    ready = {name: replace(one, ready=one.replicas, version=2) for name, one in live.items()}
    found = []
    for one in (live, ready, ready):
        before = reads.api.asked.total()
        await reads.of(RECORD, status, one, (), now=MINUTE, unlabelled=unlabelled)
        found.append(reads.api.asked.total() - before)
    assert found == expected


async def test_ready_canary_pods_are_read_once_per_minute_and_after_each_change(reads, world):
    live = seen(world)
    assert await asks(reads, world, live) == 1
    for second in range(0, BELIEVED_SECONDS, 5):
        assert await asks(reads, world, live, now=MINUTE + second) == 0
    assert await asks(reads, world, live, now=MINUTE + BELIEVED_SECONDS) == 1
    name, one = next(iter(live.items()))
    changed = live | {name: replace(one, version=2)}
    assert await asks(reads, world, changed, now=MINUTE + BELIEVED_SECONDS) == 1
    assert await asks(reads, world, changed, now=MINUTE + BELIEVED_SECONDS) == 0


async def test_pod_reads_of_several_canaries_are_spread_over_time(reads, world):
    live = seen(world)
    many = [SimpleNamespace(key=Key("catalog", f"search-{number}")) for number in range(300)]
    asked = [0]
    for second in range(BELIEVED_SECONDS + 1):
        for one in many:
            await reads.of(one, world.current, live, (), now=MINUTE + second)
        asked.append(reads.api.asked.total())
    first, *later = [after - before for before, after in pairwise(asked)]
    assert first == 300
    assert sum(later) == 300
    assert max(later) <= 15
    assert set(reads.api.asked) == {(SEARCH[0], f"{SEARCH[1]}-{number}") for number in range(300)}


async def test_unready_pods_are_read_every_few_seconds(reads, world):
    name, one = next(iter(seen(world).items()))
    unready = seen(world) | {name: replace(one, ready=0, replicas=2)}
    moments = (0, 1, UNREADY_SECONDS - 1, UNREADY_SECONDS, 2 * UNREADY_SECONDS)
    found = [await asks(reads, world, unready, now=MINUTE + n) for n in moments]
    assert found == [1, 0, 0, 1, 1]


@pytest.mark.parametrize("troubled", [False, True])
async def test_pods_of_a_canary_are_read_a_few_seconds_after_they_become_ready(
    reads, world, troubled
):
    name, one = next(iter(seen(world).items()))
    ready = seen(world) | {name: replace(one, moved_at=MINUTE - 1)}
    status = world.current
    if troubled:
        status = status.with_engine(slos={"accuracy": SloRecord(streak=STREAK)})
    assert await asks(reads, world, ready, status) == troubled
    later = MINUTE + STARTING_SECONDS
    assert await asks(reads, world, ready, status, now=later) == (not troubled)


async def test_the_api_of_a_candidate_is_read_before_its_first_share(reads, world):
    """Its pods have just become ready, and aren't given a moment: it would get traffic unread."""
    candidate = world.current.candidate
    waiting = candidate.model_copy(update={"phase": CandidatePhase.STARTING, "shares": ()})
    status = world.current.model_copy(update={"candidate": waiting})
    live = seen(world)
    starting = live | {
        candidate.revision: replace(live[candidate.revision], ready=0, moved_at=MINUTE)
    }
    ready = live | {
        candidate.revision: replace(live[candidate.revision], version=3, moved_at=MINUTE)
    }
    assert [await asks(reads, world, one, status) for one in (starting, ready, ready)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("moved", "expected"),
    [(0, 0), (STARTING_SECONDS - 1, 0), (STARTING_SECONDS, 1), (600, 1), (-600, 1)],
    ids=[
        "just made",
        "still starting",
        "should be ready",
        "long unready",
        "clock of the server ahead",
    ],
)
async def test_just_started_pods_are_read_after_a_few_seconds(reads, world, moved, expected):
    name, one = next(iter(seen(world).items()))
    starting = replace(one, ready=0, replicas=2, moved_at=MINUTE - moved)
    assert await asks(reads, world, seen(world) | {name: starting}) == expected


async def test_an_ended_training_pod_is_read_even_if_other_pods_start(reads, world):
    name, one = next(iter(seen(world).items()))
    starting = seen(world) | {name: replace(one, ready=0, replicas=2, moved_at=MINUTE)}
    job = SimpleNamespace(uid="job", version=1, finished=True)
    await reads.of(RECORD, world.current, starting, [job], now=MINUTE)
    assert reads.api.asked == {SEARCH: 1}


async def test_pods_of_a_degraded_product_are_read_once_per_minute(reads, world):
    streak = {"first": 1, "last": 3, "evaluations": 3, "fresh": 2}
    status = read_status({"engine": {"slos": {"accuracy": {"streak": streak}}}})
    found = [await asks(reads, world, seen(world), status, MINUTE + n) for n in (0, 5, 10, 59)]
    assert found == [1, 0, 0, 0]
