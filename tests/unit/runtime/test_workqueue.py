"""The work queue: nothing lost, no key twice, the urgent first."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
import uvloop
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from sluicegate.kube.resources import Key
from sluicegate.runtime import workqueue
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.workqueue import QueueObserver, ShutDown, WorkQueue
from tests.support.manual_clock import ManualClock

# Promised, so written as numbers here.
LONGEST_WAITS = {QueuePriority.NORMAL: 1.0, QueuePriority.BACKGROUND: 30.0}
LAST_RETRY = 300.0

A, B, C, D = (Key("shop", name) for name in "abcd")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue:
    return WorkQueue(clock, jitter=lambda: 1.0)


def test_the_queue_reports_its_depth_waiting_times_and_retries_to_its_observer(clock):
    told = []

    class RecordingObserver(QueueObserver):
        def added(self, depth):
            told.append(("added", depth))

        def taken(self, depth, waited):
            told.append(("taken", depth, waited))

        def retried(self):
            told.append("retried")

    queue = WorkQueue(clock, jitter=lambda: 1.0, observer=RecordingObserver())
    queue.add(A)
    queue.add(B)
    clock.now += 3
    assert queue.poll() == A
    queue.retry(A)
    queue.done(A)
    clock.now += 1
    assert [queue.poll(), queue.poll()] == [B, A]
    assert told == [
        ("added", 1), ("added", 2), ("taken", 1, 3.0), "retried",
        ("added", 2), ("taken", 1, 4.0), ("taken", 0, 0.0),
    ]  # fmt: skip


def test_the_longest_waits_and_retry_times_of_the_queue_are_documented():
    assert workqueue.LONGEST_WAITS == LONGEST_WAITS
    assert (workqueue.FIRST_RETRY, workqueue.LONGEST_URGENT_WAIT) == (1.0, 1.0)
    assert workqueue.LAST_RETRY == LAST_RETRY
    assert workqueue.TIMER_RESOLUTION == 0.001


@pytest.mark.parametrize(
    ("priority", "seconds"), [("URGENT", 1.0), ("NORMAL", 1.0), ("BACKGROUND", 30.0)]
)
def test_a_key_that_waited_as_long_as_its_priority_allows_keeps_its_position(
    queue, clock, priority, seconds
):
    for waited, expected in ((seconds - 0.01, [B, A]), (seconds, [A, B])):
        for key in (A, B):
            queue.add(key, QueuePriority[priority])
        clock.now += waited
        queue.add(A, QueuePriority[priority])
        taken = drain(queue)
        assert taken == (expected if priority != "BACKGROUND" else [A, B])
        for key in taken:
            queue.done(key)


def drain(queue: WorkQueue) -> list[Key]:
    taken = []
    while (key := queue.poll()) is not None:
        taken.append(key)
    return taken


def test_a_key_added_twice_is_processed_once(queue):
    queue.add(A)
    queue.add(A)
    assert drain(queue) == [A]


def test_a_key_added_during_its_processing_is_processed_again(queue):
    queue.add(A)
    assert queue.poll() == A
    queue.add(A)
    assert queue.poll() is None
    queue.done(A)
    assert queue.poll() == A


def test_a_completed_key_is_not_processed_again_unless_added(queue):
    queue.add(A)
    queue.poll()
    queue.done(A)
    assert queue.poll() is None


def test_urgent_keys_precede_background_keys_in_their_own_order(queue):
    queue.add(A, QueuePriority.BACKGROUND)
    queue.add(B, QueuePriority.URGENT)
    queue.add(C, QueuePriority.URGENT)
    assert drain(queue) == [B, C, A]


@pytest.mark.parametrize(
    ("waited", "expected"),
    [(0.0, [A, B, C, D]), (LONGEST_WAITS[QueuePriority.NORMAL] + 0.1, [C, A, D, B])],
    ids=["just now", "too long"],
)
def test_keys_that_waited_beyond_the_limit_of_their_priority_get_every_other_turn(
    queue, clock, waited, expected
):
    for key in (C, D):
        queue.add(key, QueuePriority.NORMAL)
    clock.now += waited
    for key in (A, B):
        queue.add(key, QueuePriority.URGENT)
    assert drain(queue) == expected


def test_a_background_key_is_processed_after_its_longest_wait_under_constant_urgent_load(
    queue, clock
):
    queue.add(C, QueuePriority.BACKGROUND)
    turns = 0
    while C not in queue.working:
        clock.now += 1.0
        queue.add(A, QueuePriority.URGENT)
        queue.add(B, QueuePriority.URGENT)
        for key in filter(None, (queue.poll(), queue.poll())):
            if key != C:
                queue.done(key)
        turns += 1
    assert (
        LONGEST_WAITS[QueuePriority.BACKGROUND]
        < turns
        < LONGEST_WAITS[QueuePriority.BACKGROUND] + 3
    )


def test_a_background_key_is_processed_under_constant_normal_load(queue, clock):
    queue.add(A, QueuePriority.BACKGROUND)
    line = 5
    for number in range(line):
        queue.add(Key("ns", f"moved-{number}"), QueuePriority.NORMAL)
    longest = (
        LONGEST_WAITS[QueuePriority.BACKGROUND] * (line + 2) / LONGEST_WAITS[QueuePriority.NORMAL]
    )
    turns = 0
    while A not in queue.working:
        turns += 1
        assert turns < longest + 5, "it never has a turn"
        queue.add(Key("ns", f"moved-{line + turns}"), QueuePriority.NORMAL)
        queue.add(B, QueuePriority.URGENT)
        clock.now += 1.0
        for key in filter(None, (queue.poll(), queue.poll())):
            if key != A:
                queue.done(key)
    assert turns > LONGEST_WAITS[QueuePriority.BACKGROUND], "it is the least urgent"


def test_adding_a_waiting_key_again_may_raise_its_priority_and_never_lowers_it(queue):
    queue.add(A, QueuePriority.BACKGROUND)
    queue.add(B, QueuePriority.NORMAL)
    queue.add(A, QueuePriority.URGENT)
    queue.add(A, QueuePriority.BACKGROUND)
    assert drain(queue) == [A, B]


def test_an_add_of_equal_priority_moves_a_waiting_key_back_and_a_less_urgent_one_does_not(queue):
    for key in (A, B, C):
        queue.add(key, QueuePriority.NORMAL)
    queue.add(A, QueuePriority.NORMAL)
    queue.add(B, QueuePriority.BACKGROUND)
    assert drain(queue) == [B, C, A]


@pytest.mark.parametrize("priority", [QueuePriority.URGENT, QueuePriority.NORMAL])
def test_a_key_that_is_added_continually_is_processed_under_a_lasting_backlog(
    queue, clock, priority
):
    """Each change moved it behind those that had come since: it was never reconciled."""
    queue.add(A, priority)
    for number in range(200):
        queue.add(Key("shop", f"other-{number}"), priority)
        queue.add(Key("shop", f"more-{number}"), priority)
        queue.add(A, priority)
        clock.now += 0.1
        if number % 2:
            continue
        key = queue.poll()
        queue.done(key)
        if key == A:
            return
    raise AssertionError("it was never looked at")


def test_background_keys_added_each_block_do_not_delay_keys_that_wait_longer_than_a_block(
    queue, clock
):
    measured = [Key("ns", f"measured-{number}") for number in range(90)]
    for key in measured:
        queue.add(key, QueuePriority.NORMAL)
    taken = []
    for second in range(1, len(measured) + 1):
        clock.now += 1.0
        queue.add(Key("ns", f"moved-{second}"), QueuePriority.NORMAL)
        if second % 60 == 0:
            for key in measured:
                queue.add(key, QueuePriority.BACKGROUND)
        taken.append(queue.poll())
    assert taken == measured


def test_an_overloaded_queue_processes_every_key_equally_often(queue):
    turns = {Key("ns", f"measured-{number}"): 0 for number in range(90)}
    for _ in range(20):
        for key in turns:
            queue.add(key, QueuePriority.BACKGROUND)
        for _ in range(20):
            turns[key := queue.poll()] += 1
            queue.done(key)
            assert max(turns.values()) - min(turns.values()) <= 2
    assert min(turns.values()) > 2


def test_namespaces_take_turns_and_keys_of_each_keep_their_order(queue):
    many = [Key("many", name) for name in "abc"]
    few = [Key("few", name) for name in "xy"]
    for key in (*many, *few, A):
        queue.add(key)
    assert drain(queue) == [many[0], few[0], A, many[1], few[1], many[2]]


@pytest.mark.parametrize(
    ("priority", "rival", "most"),
    [
        ("URGENT", "URGENT", 2),
        ("NORMAL", "NORMAL", 2),
        ("BACKGROUND", "BACKGROUND", 2),
        ("URGENT", "NORMAL", 2),
        ("NORMAL", "URGENT", 6 * 1 + 2),  # its longest wait
        ("BACKGROUND", "URGENT", 6 * 30 + 2),
    ],
)
def test_a_thousand_constantly_changing_keys_of_another_namespace_delay_a_key_by_few_turns(
    queue, clock, priority, rival, most
):
    """In each turn, of a sixth of a second, one of the thousand changes again."""
    rivals = [Key("mallory", f"p{number}") for number in range(1000)]
    for key in rivals:
        queue.add(key, QueuePriority[rival])
    changes = itertools.cycle(rivals)
    for _ in range(10):
        queue.add(A, QueuePriority[priority])
        turns = 0
        while queue.poll() != A:
            for key in queue.working:
                queue.done(key)
            queue.add(next(changes), QueuePriority[rival])
            clock.now += 1 / 6
            turns += 1
            assert turns <= most, "the other namespace has turns of this one"
        queue.done(A)


def test_a_delayed_key_is_processed_when_due_and_not_before(queue, clock):
    queue.add_after(A, 10)
    clock.now += 9.9
    assert queue.poll() is None
    clock.now += 0.1
    assert queue.poll() == A


def test_the_earlier_of_two_delays_of_a_key_applies(queue, clock):
    queue.add_after(A, 10)
    queue.add_after(A, 5)
    queue.add_after(A, 20)
    clock.now += 5
    assert drain(queue) == [A]
    queue.done(A)
    clock.now += 100
    assert queue.poll() is None


def test_processing_a_key_cancels_its_earlier_delay(queue, clock):
    queue.add_after(A, 10)
    queue.add(A)
    assert queue.poll() == A
    queue.done(A)
    clock.now += 100
    assert queue.poll() is None


def test_the_retry_delay_of_a_key_grows_with_failures_up_to_five_minutes(queue, clock):
    delays = []
    for _ in range(12):
        delays.append(queue.retry(A))
        clock.now += delays[-1]
        assert queue.poll() == A
        queue.done(A)
    assert delays[:4] == [1, 2, 4, 8]
    assert delays[-1] == LAST_RETRY


def test_a_retry_waits_at_least_the_retry_after_of_the_server(queue):
    assert queue.retry(A, at_least=7) == 7
    assert queue.retry(B, at_least=0.1) == 1


def test_retries_of_keys_that_failed_together_are_spread_by_jitter(clock):
    assert WorkQueue(clock, jitter=lambda: 0.5).retry(A) == 0.5


def test_an_urgent_key_is_urgent_again_after_a_retry(queue, clock):
    queue.add(A, QueuePriority.URGENT)
    assert queue.poll() == A
    for key in (B, C):
        queue.add(key, QueuePriority.BACKGROUND)
    delay = queue.retry(A)
    queue.done(A)
    clock.now += delay
    assert drain(queue) == [A, B, C]


def test_a_background_key_stays_behind_normal_keys_after_a_retry(queue, clock):
    queue.add(A, QueuePriority.BACKGROUND)
    assert queue.poll() == A
    queue.add(B, QueuePriority.NORMAL)
    delay = queue.retry(A)
    queue.done(A)
    clock.now += delay
    assert drain(queue) == [B, A]


@pytest.mark.parametrize(("first", "second"), [(10, 5), (5, 10)])
def test_the_more_urgent_priority_of_two_delays_of_a_key_applies(queue, clock, first, second):
    queue.add_after(A, first, QueuePriority.URGENT)
    queue.add_after(A, second, QueuePriority.BACKGROUND)
    clock.now += 5
    queue.add(B, QueuePriority.NORMAL)
    assert drain(queue) == [A, B]


def test_a_success_resets_the_failure_count_of_a_key(queue):
    queue.retry(A)
    queue.retry(A)
    queue.forget(A)
    assert queue.retry(A) == 1


async def test_an_idle_worker_gets_an_added_key_at_once(queue):
    taking = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    queue.add(A)
    assert await taking == A


async def test_each_of_many_waiting_workers_gets_a_key_of_its_own(queue):
    taking = [asyncio.ensure_future(queue.take()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in (A, B, C):
        queue.add(key)
    assert sorted(await asyncio.gather(*taking)) == [A, B, C]


class CountingQueue(WorkQueue):
    """Counts how often a worker looked for a key."""

    polls = 0

    def poll(self) -> Key | None:
        self.polls += 1
        return super().poll()


async def test_an_added_key_wakes_one_idle_worker():
    queue = CountingQueue(time.monotonic, jitter=lambda: 1.0)
    taking = {asyncio.ensure_future(queue.take()) for _ in range(8)}
    for key in (A, B, C):
        await asyncio.sleep(0.01)
        queue.polls = 0
        queue.add_after(key, 0.02)
        queue.add_after(D, 60.0)
        done, taking = await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
        assert [one.result() for one in done] == [key]
        assert queue.polls == 1
    queue.shut_down()
    ended = await asyncio.gather(*taking, return_exceptions=True)
    assert all(isinstance(one, ShutDown) for one in ended)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_idle_worker_sleeps_until_the_next_key_is_due(make_loop):
    reads = 0

    def clock() -> float:
        nonlocal reads
        reads += 1
        return time.monotonic()

    async def wait_for_each() -> None:
        queue = WorkQueue(clock, jitter=lambda: 1.0)
        for number in range(20):
            queue.add_after(A, 0.0103 + 0.0001 * number)
            assert await queue.take() == A
            queue.done(A)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(wait_for_each())
    assert reads <= 20 * 12


async def test_a_waiting_worker_is_released_by_the_shutdown_of_the_queue(queue):
    taking = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    queue.shut_down()
    with pytest.raises(ShutDown):
        await taking


KEYS = st.sampled_from([Key("ns", str(number)) for number in range(4)])


class QueueMachine(RuleBasedStateMachine):
    """Any order of calls: one worker a key, each wish followed by a run, the urgent first."""

    taken = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.queue = WorkQueue(self.clock, jitter=lambda: 1.0)
        self.working: dict[Key, QueuePriority] = {}
        self.wished: dict[Key, QueuePriority] = {}  # wishes that no run has begun after
        self.indulged = False
        self.delayed: dict[Key, tuple[float, QueuePriority]] = {}

    @rule(key=KEYS, priority=st.sampled_from(QueuePriority))
    def add(self, key: Key, priority: QueuePriority) -> None:
        self.queue.add(key, priority)
        self.wish(key, priority)

    @rule(key=KEYS, seconds=st.floats(0, 100), priority=st.sampled_from(QueuePriority))
    def add_after(self, key: Key, seconds: float, priority: QueuePriority) -> None:
        self.queue.add_after(key, seconds, priority)
        self.delay(key, seconds, priority)

    @rule(key=KEYS | taken)
    def retry(self, key: Key) -> None:
        seconds = self.queue.retry(key)
        self.delay(key, seconds, self.working.get(key, QueuePriority.BACKGROUND))

    @rule(seconds=st.floats(0, 200))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(target=taken)
    def poll(self):
        key = self.queue.poll()
        self.move_due()
        if key is None:
            assert self.wished.keys() <= self.working.keys(), "a wish is lost"
            return multiple()
        assert key not in self.working, "two workers have one key"
        assert key in self.wished, "nobody wished for this run"
        free = [priority for one, priority in self.wished.items() if one not in self.working]
        overtook = self.wished[key] > min(free)
        assert not (overtook and self.indulged), "less urgent keys overtook twice in a row"
        self.indulged = overtook
        self.working[key] = self.wished.pop(key)
        self.delayed.pop(key, None)
        return key

    @rule(key=consumes(taken))
    def done(self, key: Key) -> None:
        self.queue.done(key)
        del self.working[key]

    @precondition(lambda self: self.delayed)
    @rule()
    def next_due_is_never_later_than_the_earliest_wish(self) -> None:
        due = self.queue.next_due()
        assert due is not None
        assert due <= min(due for due, _ in self.delayed.values())

    @invariant()
    def working_is_known(self) -> None:
        assert self.queue.working == self.working.keys()

    def wish(self, key: Key, priority: QueuePriority) -> None:
        self.wished[key] = min(priority, self.wished.get(key, priority))

    def delay(self, key: Key, seconds: float, priority: QueuePriority) -> None:
        due = self.clock.now + seconds
        known = self.delayed.get(key, (due, priority))
        self.delayed[key] = (min(due, known[0]), min(priority, known[1]))

    def move_due(self) -> None:
        for key, (due, priority) in list(self.delayed.items()):
            if due <= self.clock.now:
                self.wish(key, priority)
                del self.delayed[key]


TestQueueMachine = QueueMachine.TestCase
