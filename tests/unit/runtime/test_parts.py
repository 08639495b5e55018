"""Caches, limiter, gate, workers, recorder and health, each by itself."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from yarl import URL

from sluicegate.kube import errors
from sluicegate.kube.backpressure import Backpressure
from sluicegate.kube.resources import CONFIG_MAPS, DATA_PRODUCTS, JOBS, Key
from sluicegate.runtime import event_recorder
from sluicegate.runtime.cache import Cache, Change
from sluicegate.runtime.event_recorder import EventRecorder, EventSubject, Note, render_event
from sluicegate.runtime.health import Health, LagMonitor, Limits
from sluicegate.runtime.interfaces import (
    Done,
    InvalidSpec,
    QueuePriority,
    Record,
    RequeueAfter,
    Watched,
)
from sluicegate.runtime.metrics import EVENTS_DROPPED, NAME, TERMINAL_ERRORS
from sluicegate.runtime.rate_limiter import TokenBucket
from sluicegate.runtime.watch_liveness import Watches, watching_session
from sluicegate.runtime.workers import TURN_SECONDS, Workers
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.runtime.write_fence import WriteFence
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.manual_clock import ManualClock

# Promised, so written as numbers here.
SLOW_RETRY = 60.0
LONGEST_NOTE = 1024
MARGIN_SECONDS = 5.0

A, B = Key("shop", "a"), Key("shop", "b")
PRODUCT = Key("shop", "product")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


# ---- caches -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Child(Record):
    value: str


def project(body: dict) -> Child | None:
    meta = body["metadata"]
    if "value" not in body:
        return None
    return Child(
        key=Key(meta["namespace"], meta["name"]),
        parent=Key("shop", body.get("parent", "product")),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        urgent=body.get("urgent"),
        value=body["value"],
    )


def body(key: Key, version: int, value: str | None = "x", **more: object) -> dict:
    meta = {"namespace": key.namespace, "name": key.name, "resourceVersion": str(version)}
    meta["uid"] = str(more.pop("uid", f"uid-{key.name}"))
    return {"metadata": meta, **({} if value is None else {"value": value}), **more}


@pytest.fixture
def cache() -> Cache:
    return Cache(Watched(CONFIG_MAPS, project))


def test_a_new_or_changed_object_requeues_its_product(cache):
    assert cache.observe(body(A, 1)) == Change(PRODUCT, QueuePriority.NORMAL)
    assert cache.observe(body(A, 2, "y")) == Change(PRODUCT, QueuePriority.NORMAL)
    assert [child.value for child in cache.children(PRODUCT)] == ["y"]


def test_a_change_of_an_ignored_field_updates_the_version_and_requeues_nothing(cache):
    cache.observe(body(A, 1))
    assert cache.observe(body(A, 2)) is None
    assert cache.get(A).version == 2


def test_an_older_state_that_arrives_late_is_ignored(cache):
    cache.observe(body(A, 5, "new"))
    assert cache.observe(body(A, 4, "old")) is None
    assert cache.get(A).value == "new"


def test_a_change_of_an_urgent_field_requeues_with_urgent_priority(cache):
    assert cache.observe(body(A, 1, urgent=1)).priority is QueuePriority.URGENT
    assert cache.observe(body(A, 2, "y", urgent=1)).priority is QueuePriority.NORMAL
    assert cache.observe(body(A, 3, "y", urgent=2)).priority is QueuePriority.URGENT


def test_a_deletion_requeues_once_and_a_late_deletion_of_a_former_object_does_not(cache):
    cache.observe(body(A, 1, uid="first"))
    cache.observe(body(A, 3, uid="second"))
    assert cache.forget(body(A, 2, uid="first")) is None
    assert cache.forget(body(A, 4, uid="second")) == Change(PRODUCT, QueuePriority.NORMAL)
    assert cache.forget(body(A, 4, uid="second")) is None
    assert not cache.children(PRODUCT)


def test_an_iteration_over_children_yields_those_present_at_its_start(cache):
    for key in (A, B):
        cache.observe(body(key, 1))

    met = []
    for child in cache.children(PRODUCT):
        met.append(child.key)
        cache.forget(body(child.key, 2))

    assert met == [A, B]
    assert not cache.children(PRODUCT)


def test_an_object_that_changes_its_product_is_removed_from_the_former_product(cache):
    cache.observe(body(A, 1))
    cache.observe(body(A, 2, parent="other"))
    assert not cache.children(PRODUCT)
    assert len(cache.children(Key("shop", "other"))) == 1


def test_an_object_that_loses_our_label_is_dropped(cache):
    cache.observe(body(A, 1))
    assert cache.observe(body(A, 2, None)) == Change(PRODUCT, QueuePriority.NORMAL)
    assert len(cache) == 0


def test_a_list_drops_missing_objects_and_counts_dropped_and_kept_ones(cache):
    ghosts = "sluicegate_cache_ghosts_total"
    before = sample(ghosts)
    cache.observe(body(A, 1))
    cache.observe(body(B, 2))
    with cache.listing() as listing:
        assert list(listing.add(body(A, 1))) == []
        assert list(listing.finish(10)) == [Change(PRODUCT, QueuePriority.NORMAL)]
    assert list(cache) == [A]
    assert (sample(ghosts), sample("sluicegate_cache_objects")) == (before + 1, 1)


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"resource": CONFIG_MAPS.qualified}) or 0.0


def test_a_list_does_not_drop_an_object_created_after_it(cache):
    with cache.listing() as listing:
        cache.observe(body(B, 11))
        assert list(listing.finish(10)) == []
    assert list(cache) == [B]


def test_a_list_does_not_restore_an_object_deleted_during_the_request(cache):
    cache.observe(body(A, 1))
    with cache.listing() as listing:
        cache.forget(body(A, 12))
        assert list(listing.add(body(A, 1))) == []
        assert list(listing.finish(10)) == []
    assert len(cache) == 0


def test_a_list_of_one_namespace_does_not_drop_objects_of_others(cache):
    elsewhere = Key("elsewhere", "a")
    cache.observe(body(elsewhere, 1))
    with cache.listing("shop") as listing:
        assert list(listing.finish(10)) == []
    assert list(cache) == [elsewhere]


def test_an_unreadable_object_does_not_hide_other_objects(caplog):
    broken = Cache(Watched(CONFIG_MAPS, lambda given: project({**given, "value": given["v"]})))
    assert broken.observe(body(A, 1)) is None
    assert broken.observe(body(B, 2, v="y")) is not None
    assert "a bug" in caplog.text


# ---- limiter and gate -------------------------------------------------------------------


def test_a_token_bucket_grants_its_burst_at_once_and_then_its_rate(clock):
    bucket = TokenBucket(clock, rate=10, burst=3)
    assert [bucket.reserve() for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    clock.now += 10
    assert [bucket.reserve() for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_a_token_bucket_grants_a_try_only_if_a_token_is_available(clock):
    bucket = TokenBucket(clock, rate=1, burst=1)
    assert [bucket.try_take(), bucket.try_take()] == [True, False]
    clock.now += 1
    assert bucket.try_take()


@dataclass
class HeldUntil:
    valid_until: float


async def test_a_write_is_allowed_while_enough_of_the_lease_is_left(clock):
    lease = HeldUntil(clock.now + MARGIN_SECONDS + 0.1)
    gate = WriteFence(TokenBucket(clock, rate=1, burst=5), lease, clock)
    await gate.admit()
    clock.now += 0.2
    with pytest.raises(errors.WriteFenced):
        await gate.admit()


async def test_the_write_gate_checks_the_lease_after_the_wait_for_the_budget(clock):
    lease = HeldUntil(clock.now + MARGIN_SECONDS + 0.1)
    gate = WriteFence(TokenBucket(clock, rate=100, burst=1), lease, clock)
    await gate.admit()
    waiting = asyncio.ensure_future(gate.admit())
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.now += 0.2  # while it waits, the lease runs out
    with pytest.raises(errors.WriteFenced):
        await waiting


# ---- workers ----------------------------------------------------------------------------


class Scripted:
    """A reconciler that returns or raises what the test sets."""

    def __init__(self, outcome: Done | RequeueAfter | Exception) -> None:
        self.outcome = outcome
        self.called = asyncio.Event()

    async def reconcile(self, _: Key) -> Done | RequeueAfter:
        self.called.set()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def reconciled(clock: ManualClock, outcome: Done | RequeueAfter | Exception) -> float | None:
    """Return seconds until the key is requeued after one such outcome; None for never."""
    queue = WorkQueue(clock, jitter=lambda: 1.0)
    queue.add(A)
    scripted = Scripted(outcome)
    running = asyncio.ensure_future(Workers(queue, scripted, count=2).run())
    await scripted.called.wait()
    queue.shut_down()
    await running
    due = queue.next_due()
    return None if due is None else due - clock.now


async def test_only_an_invalid_spec_counts_as_a_terminal_error(clock):
    counter = TERMINAL_ERRORS.labels(NAME)._value
    before = counter.get()
    await reconciled(clock, errors.Conflict("changed"))
    await reconciled(clock, Done())
    assert counter.get() == before
    await reconciled(clock, InvalidSpec("spec.slos is wrong"))
    assert counter.get() == before + 1


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (Done(), None),
        (RequeueAfter(30), 30),
        (InvalidSpec("spec.slos is wrong"), None),
        (errors.Conflict("changed"), 1),
        (errors.Transient("503"), 1),
        (errors.Forbidden("no"), 1),
        (errors.TooManyRequests("slow down", retry_after=9), 9),
        (errors.WriteFenced("no lease"), 1),
        (ZeroDivisionError(), SLOW_RETRY),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_the_outcome_of_a_reconcile_decides_when_the_key_is_requeued(clock, outcome, seconds):
    assert await reconciled(clock, outcome) == seconds


TERMINATING = "unable to create new content in namespace shop because it is being terminated"


@pytest.mark.parametrize(
    ("message", "level"), [(TERMINATING, "INFO"), ("exceeded quota: few", "WARNING")]
)
async def test_a_write_into_a_namespace_that_is_being_deleted_is_no_warning(
    clock, caplog, message, level
):
    caplog.set_level("INFO")
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "message": message}).encode()
    await reconciled(clock, errors.from_response("create a", 403, body, {}))
    assert [record.levelname for record in caplog.records if message in record.message] == [level]


async def test_thousands_of_idle_keys_do_not_delay_other_keys(clock):
    turn, seen = 0, []

    class FromCaches:
        async def reconcile(self, _: Key) -> Done:
            seen.append(turn)
            ends = time.perf_counter() + TURN_SECONDS / 3
            while time.perf_counter() < ends:
                pass
            return Done()

    async def others() -> None:
        nonlocal turn
        while len(seen) < 100:
            turn += 1
            await asyncio.sleep(0)
        queue.shut_down()

    queue = WorkQueue(clock, jitter=lambda: 1.0)
    for number in range(100):
        queue.add(Key("shop", f"product-{number}"))
    async with asyncio.timeout(30):
        await asyncio.gather(Workers(queue, FromCaches(), count=8).run(), others())
    most = max(seen.count(one) for one in set(seen))
    assert most <= 4, "so many were reconciled in one turn of the loop"


async def test_the_duration_of_running_reconciles_is_exported_only_while_any_runs(clock):
    begun, finish = asyncio.Event(), asyncio.Event()

    class Slow:
        async def reconcile(self, _: Key) -> Done:
            begun.set()
            await finish.wait()
            return Done()

    def exported() -> list[float | None]:
        workers.export()
        names = ("workqueue_longest_running_processor_seconds", "workqueue_unfinished_work_seconds")
        return [
            *(REGISTRY.get_sample_value(name, {"name": NAME}) for name in names),
            REGISTRY.get_sample_value("controller_runtime_active_workers", {"controller": NAME}),
        ]

    queue = WorkQueue(clock, jitter=lambda: 1.0)
    workers = Workers(queue, Slow(), count=1, clock=clock)
    assert exported() == [0.0, 0.0, 0]
    queue.add(A)
    running = asyncio.create_task(workers.run())
    await begun.wait()
    clock.now += 7.0
    assert exported() == [7.0, 7.0, 1]
    finish.set()
    queue.shut_down()
    await running
    assert exported() == [0.0, 0.0, 0]


async def test_running_reconciles_complete_on_shutdown(clock):
    begun, finish = asyncio.Event(), asyncio.Event()

    class Slow:
        finished = False

        async def reconcile(self, _: Key) -> Done:
            begun.set()
            await finish.wait()
            self.finished = True
            return Done()

    slow, queue = Slow(), WorkQueue(clock, jitter=lambda: 1.0)
    workers = Workers(queue, slow, count=1)
    running = asyncio.ensure_future(workers.run())
    queue.add(A)
    queue.add(B)
    await begun.wait()
    queue.shut_down()
    finish.set()
    await workers.idle()
    await running
    assert slow.finished
    assert len(queue) == 1  # B was not begun


# ---- events, health, watches, logs ------------------------------------------------------

SUBJECT = EventSubject(DATA_PRODUCTS, A, "uid")


def test_an_event_stays_within_the_api_servers_limits():
    note = Note(SUBJECT, "Promoted", "Promote", "x" * 5000)
    event = render_event(note, "i" * 500, 1, event_time=datetime.now(UTC))
    assert len(event["note"].encode()) == LONGEST_NOTE
    assert len(event["reportingInstance"]) == 128
    assert event["regarding"]["uid"] == "uid"


async def test_an_event_beyond_the_event_queue_limit_is_dropped_and_counted(clock, monkeypatch):
    assert event_recorder.QUEUE_LENGTH == 5000
    monkeypatch.setattr(event_recorder, "QUEUE_LENGTH", 50)
    dropped = EVENTS_DROPPED.labels("queue")._value
    before = dropped.get()
    async with ApiStandIn() as server:
        recorder = EventRecorder(server.api, clock, instance_name="test")
        for number in range(50 + 3):
            subject = EventSubject(DATA_PRODUCTS, A, f"uid-{number}")
            recorder.record(Note(subject, "Promoted", "Promote", ""))
        assert dropped.get() == before + 3
        await recorder.flush()
    assert len(server.objects) == 50


@pytest.fixture
def gaps() -> list:
    return []


@pytest.fixture
def watches(clock, gaps) -> Watches:
    return Watches([CONFIG_MAPS, JOBS], clock, gaps.append)


def test_the_initial_list_of_a_watch_triggers_our_own_list(watches, gaps):
    first = URL("https://x/api/v1/configmaps?limit=1")
    watches.requested(first.update_query(watch="true"))
    assert gaps == []
    watches.requested(first)
    assert gaps == [CONFIG_MAPS]


async def test_kopf_receives_only_the_resource_version_of_a_list(watches):
    async with ApiStandIn() as server:
        for key in (A, B):
            meta = {"namespace": key.namespace, "name": key.name}
            server.keep(CONFIG_MAPS, {"metadata": meta, "data": {"key": "x" * 1_000_000}})
        async with watching_session(server.configuration, watches, Backpressure()) as session:
            url = f"{server.configuration.host}{CONFIG_MAPS.path()}"
            answer = await (await session.get(url, params={"limit": "1"})).json()
    version = answer["metadata"]["resourceVersion"]
    assert answer == {"items": [], "metadata": {"resourceVersion": version}}
    assert version.isdecimal()


async def test_a_forbidden_list_is_repeated_only_after_a_pause(watches):
    async with ApiStandIn() as server:
        server.refused.add(CONFIG_MAPS.path())
        async with watching_session(server.configuration, watches, Backpressure()) as session:
            url = f"{server.configuration.host}{CONFIG_MAPS.path()}"
            assert (await session.get(url, params={"limit": "1"})).status == 403
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await session.get(url, params={"limit": "1"})
    assert len(server.sent) == 1
    assert CONFIG_MAPS in watches.ages(), "a watch that was never allowed doesn't hang"


def test_requests_for_other_kinds_record_no_watch(watches, gaps):
    watches.requested(URL("https://x/api/v1/namespaces"))
    assert watches.ages() == {}


def test_a_list_request_does_not_reset_the_age_of_the_watch(watches, clock):
    watches.mark_begun([CONFIG_MAPS])
    clock.now += 7
    watches.requested(URL("https://x/api/v1/configmaps?limit=500"))
    assert watches.ages() == {CONFIG_MAPS: 7}
    watches.requested(URL("https://x/api/v1/configmaps?watch=true"))
    assert watches.ages() == {CONFIG_MAPS: 0}


async def test_a_silent_watch_is_a_problem_only_while_the_api_server_answers(clock, watches):
    silence = [0.0]
    health = Health(
        LagMonitor(), watches, Limits(), api_silence=lambda: silence[0], is_primed=asyncio.Event()
    )
    watches.mark_begun([CONFIG_MAPS, JOBS])
    clock.now += Limits().watch_age
    assert health.alive().well
    watches.alive(JOBS)
    clock.now += 1
    assert health.alive().problems == (
        "the watch of configmaps has received no event or bookmark for 601 s (at most 600 s)",
    )
    silence[0] = 300.0
    assert health.alive().well


async def test_a_replica_is_ready_once_its_caches_are_primed_until_it_stops(watches):
    primed = asyncio.Event()
    health = Health(LagMonitor(), watches, Limits(), api_silence=lambda: 0.0, is_primed=primed)
    assert not health.ready().well
    primed.set()
    assert health.ready().well
    health.stopping = True
    assert not health.ready().well
