"""When lists are made: at once, after a failure, on request, and each interval; on virtual time."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.event_loop import run_virtually, virtual_loop, virtually
from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import CONFIG_MAPS, SERVICES, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime.cache import Caches
from sluicegate.runtime.interfaces import Record, Watched
from sluicegate.runtime.resync import Resync
from sluicegate.runtime.tasks import end_tasks
from sluicegate.runtime.unreadable_namespaces import Refusals
from sluicegate.runtime.write_fence import OpenGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sluicegate.kube.requests import ApiRequest


def project(body) -> Record:
    key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
    return Record(key=key, parent=key, uid="u", version=int(body["metadata"]["resourceVersion"]))


class Lists:
    """Plays the API server, which answers in no time: when it was asked for what, and what it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.status: Callable[[float], int] = lambda _: 200
        self.names: list[str] = []

    async def exchange(self, request: ApiRequest, most: int | None = None):
        now = virtual_loop().time()
        self.asked.append((now, request.path.rpartition("/")[2]))
        status = self.status(now)
        meta = {"namespace": "shop", "uid": "u", "resourceVersion": "5"}
        items = [{"metadata": {**meta, "name": name}} for name in self.names]
        body = {"metadata": {"resourceVersion": "7"}, "items": items}
        return status, json.dumps(body if status == 200 else {}).encode(), {}

    async def close(self) -> None:
        """Nothing is open."""

    def times(self, plural: str = "configmaps") -> list[float]:
        """Return the seconds at which a kind was asked for."""
        return [round(at, 2) for at, name in self.asked if name == plural]


def resync_of(lists: Lists, **changes) -> Resync:
    settings = {
        "interval": 300.0,
        "jitter": lambda: 0.5,
        "refusals": Refusals(lambda: 0.0),
    } | changes
    api = KubeApi(Transport(lists, clock=virtual_loop().time), OpenGate(), field_manager="test")
    caches = Caches([Watched(CONFIG_MAPS, project), Watched(SERVICES, project)])
    return Resync(api, caches, settings.pop("on_change", lambda _: None), **settings)


@asynccontextmanager
async def running(resync: Resync) -> AsyncIterator[None]:
    task = asyncio.create_task(resync.run())
    try:
        yield
    finally:
        await end_tasks([task])


def times_of(seconds: float, **changes) -> list[float]:
    """Return when a kind is listed while nothing happens."""

    async def story() -> list[float]:
        lists = Lists()
        async with running(resync_of(lists, **changes)):
            await asyncio.sleep(seconds)
        assert lists.times("services") == lists.times()
        return lists.times()

    return run_virtually(story())


@pytest.mark.parametrize(("jitter", "interval"), [(0.0, 240.0), (0.5, 300.0), (1.0, 360.0)])
def test_a_resync_lists_all_kinds_after_half_a_minute_and_then_every_interval(jitter, interval):
    expected = [30.0 + number * interval for number in range(4)]
    assert times_of(1200, jitter=lambda: jitter)[:4] == pytest.approx(expected, abs=0.02)
    assert times_of(25, interval=10.0) == pytest.approx([10.0, 20.0], abs=0.02)


@pytest.mark.timeout(30)  # a list that is put off indefinitely is asked for without an end
def test_a_busy_operator_delays_a_resync_by_at_most_one_interval():
    def busy_until(moment: float) -> Callable[[], bool]:
        return lambda: virtual_loop().time() < moment

    # It is asked each sixtieth of an interval whether a list is welcome.
    assert times_of(340, is_busy=busy_until(101.0)) == pytest.approx([105.0], abs=0.02)
    assert times_of(640, is_busy=busy_until(9e9)) == pytest.approx([330.0], abs=0.02)
    assert times_of(940, is_busy=busy_until(9e9)) == pytest.approx([330.0, 930.0], abs=0.02)


@virtually
async def test_a_kind_with_a_watch_gap_is_listed_two_seconds_later():
    lists = Lists()
    resync = resync_of(lists)
    async with running(resync):
        await asyncio.sleep(10)
        for _ in range(2):
            resync.request(CONFIG_MAPS)
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        assert lists.times() == pytest.approx([12.0], abs=0.02)
        assert lists.times("services") == []


@pytest.mark.parametrize(
    ("jitter", "times"),
    [(1.0, [0, 1, 3, 7, 15, 25, 35]), (0.0, [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5])],
)
@virtually
async def test_failed_initial_lists_are_retried_at_least_every_ten_seconds(jitter, times):
    lists = Lists()
    lists.status = lambda now: 500 if now < 34 else 200
    resync = resync_of(lists, jitter=lambda: jitter)
    priming = asyncio.create_task(resync.prime())
    await asyncio.sleep(times[-1] - 0.5)
    assert not resync.primed.is_set()
    assert lists.times() == pytest.approx(times[:-1], abs=0.05)
    await asyncio.wait_for(priming, 60)
    assert lists.times()[: len(times)] == pytest.approx(times, abs=0.05)


@virtually
async def test_a_refused_initial_list_of_all_namespaces_is_retried_until_it_succeeds():
    lists = Lists()
    lists.status = lambda now: 403 if now < 20 else 200
    resync = resync_of(lists, jitter=lambda: 1.0)
    priming = asyncio.create_task(resync.prime())
    await asyncio.sleep(20)
    assert not resync.primed.is_set()
    await asyncio.wait_for(priming, 20)
    assert lists.times() == pytest.approx([0, 1, 3, 7, 15, 31], abs=0.05)


@virtually
async def test_a_recovered_api_server_triggers_a_resync_of_all_kinds_at_once():
    lists = Lists()
    lists.status = lambda now: 500 if now < 16 else 200
    resync = resync_of(lists, jitter=lambda: 1.0)
    priming = asyncio.create_task(resync.prime())
    await asyncio.sleep(17)
    assert lists.times()[-1] == pytest.approx(15, abs=0.05)
    resync.after_outage()
    await asyncio.wait_for(priming, 1)
    async with running(resync):
        await asyncio.sleep(5)
    assert lists.times()[-2:] == pytest.approx([17, 19], abs=0.05)


@virtually
async def test_a_refused_list_of_a_namespace_is_retried_at_most_every_minute():
    lists = Lists()
    lists.status = lambda now: 403
    resync = resync_of(lists, namespaces=["shop"], jitter=lambda: 1.0, interval=9e9)
    await resync.prime()
    async with running(resync):
        await asyncio.sleep(200)
    expected = [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert lists.times() == pytest.approx(expected, abs=0.05)


@virtually
async def test_a_kind_that_is_no_longer_served_is_listed_until_it_is_served_again():
    lists, changed, loop = Lists(), set(), virtual_loop()
    lists.names = ["a"]
    lists.status = lambda now: 404 if 20 < now < 60 else 200
    resync = resync_of(lists, interval=9e9, on_change=lambda _: changed.add(round(loop.time())))
    await resync.prime()
    async with running(resync):
        await asyncio.sleep(100)
    assert lists.times() == pytest.approx([0, 30, 31, 33, 37, 45, 55, 65], abs=0.05)
    assert changed == {0, 30, 65}, "it is known, gone, and back"
