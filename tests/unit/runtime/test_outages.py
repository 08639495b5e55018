"""What Kopf, watches and workers do when the API server is away, each by itself."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Never

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from benchmarks.virtual.event_loop import run_virtually
from sluicegate.handlers import AllTasks, EndlessBackoff, LoginRateLimit, NoMemories
from sluicegate.kube import errors
from sluicegate.kube.backpressure import Backpressure
from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime import watch_liveness as watches_module
from sluicegate.runtime import watch_supervisor
from sluicegate.runtime.health import Health, LagMonitor, Limits
from sluicegate.runtime.tasks import end_tasks
from sluicegate.runtime.watch_liveness import Watches, watching_session
from sluicegate.runtime.workers import Workers
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.runtime.write_fence import OpenGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from sluicegate.kube.resources import Resource

# Promised, so written as numbers here.
LAST_RETRY = 300.0
SOON_RETRY = 20.0
CONFLICT_RETRY = 5.0
LONGEST_BACKOFF = 10.0

A = Key("shop", "a")
TOO_MANY = "Too many requests, try later.\n"


class ApiServer:
    """Answers each request as the test sets it."""

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
        self.configuration = Configuration()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    made = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


# ---- Kopf -------------------------------------------------------------------------------


async def test_kopf_keeps_no_memory_of_observed_objects():
    memories = NoMemories()
    for uid in "ab":
        await memories.recall({"metadata": {"uid": uid}}, noticed_by_listing=True)
    assert list(memories.iter_all_memories()) == []
    await memories.forget({"metadata": {"uid": "a"}})


async def test_kopf_ignores_every_task_including_later_ones():
    ignored = AllTasks()
    later = asyncio.create_task(asyncio.sleep(0))
    assert later in ignored
    assert set(ignored) == asyncio.all_tasks()
    assert len(ignored) == len(asyncio.all_tasks())
    assert "a name" not in ignored
    await later


def test_the_first_login_is_immediate_and_repeated_logins_are_delayed():
    async def passes() -> list[float]:
        pace, clock = LoginRateLimit(30.0), asyncio.get_running_loop().time
        began, found = clock(), []
        for _ in range(2):
            await pace.wait()
            found.append(clock() - began)
        return found

    assert run_virtually(passes()) == pytest.approx([0.0, 30.0], abs=0.1)


def test_kopf_never_waits_longer_than_the_longest_backoff():
    pauses = [pause for pause, _ in zip(EndlessBackoff(), range(20), strict=False)]
    assert max(pauses) <= LONGEST_BACKOFF


# ---- watches ----------------------------------------------------------------------------


async def test_a_renewed_watch_ends_with_a_connection_error(server):
    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    server.answer = watch
    watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
    session = watching_session(server.configuration, watches, Backpressure())
    async with (
        session,
        session.get(f"{server.configuration.host}/api/v1/configmaps?watch=true") as response,
    ):
        reading = asyncio.create_task(response.content.read())
        await asyncio.sleep(0)
        watches.renew()
        with pytest.raises(aiohttp.ClientConnectionError):
            await reading


async def test_a_watch_without_any_response_times_out(server, monkeypatch):
    async def swallow(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(watches_module, "ANSWER_SECONDS", 0.1)
    server.answer = swallow
    watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
    async with watching_session(server.configuration, watches, Backpressure()) as session:
        with pytest.raises(TimeoutError):
            await session.get(f"{server.configuration.host}/api/v1/configmaps?watch=true")


@pytest.mark.parametrize("query", ["limit=1", "watch=true"])
async def test_a_429_for_a_list_or_watch_delays_all_requests_and_is_returned_as_text(server, query):
    """Kopf repeats what is refused in text; another error would end all watches."""
    backpressure = Backpressure()

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(text=TOO_MANY, status=429, headers={"Retry-After": "30"})

    server.answer = refuse
    watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
    async with watching_session(server.configuration, watches, backpressure) as session:
        response = await session.get(f"{server.configuration.host}/api/v1/configmaps?{query}")
        with pytest.raises(aiohttp.ContentTypeError):
            await response.json()
        assert await response.text() == TOO_MANY
    assert backpressure.left > 20


async def test_the_age_of_a_watch_that_repeatedly_ends_at_once_grows(monkeypatch):
    class Discovery:
        async def exchange(self, request, most=None):
            return 200, json.dumps({"resources": [{"name": CONFIG_MAPS.plural}]}).encode(), {}

    monkeypatch.setattr(watch_supervisor, "PAUSE_SECONDS", 0)
    now, old = [1000.0], asyncio.Event()
    watches = Watches([CONFIG_MAPS], lambda: now[0], lambda _: None)

    async def watch(kinds: Iterable[Resource]) -> None:
        watches.mark_begun(kinds)
        now[0] += 70
        if now[0] > 1000 + Limits().watch_age:
            old.set()
            await asyncio.Event().wait()
        raise RuntimeError("forbidden")

    supervisor = watch_supervisor.Supervisor(
        KubeApi(Transport(Discovery()), OpenGate(), field_manager="test"),
        [CONFIG_MAPS],
        watch,
        on_missing=lambda _: None,
        jitter=lambda: 1.0,
    )
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(old.wait(), 30)
    await end_tasks([running])
    health = Health(
        LagMonitor(), watches, Limits(), api_silence=lambda: 0.0, is_primed=asyncio.Event()
    )
    (problem,) = health.alive().problems
    assert problem.startswith("the watch of configmaps has received no event or bookmark for")


# ---- retries ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "longest"),
    [
        (errors.Conflict("409"), CONFLICT_RETRY),
        (errors.NotFound("404"), SOON_RETRY),
        (errors.Transient("503"), SOON_RETRY),
        (errors.Unauthorized("401"), SOON_RETRY),
        (errors.WriteFenced("no lease"), SOON_RETRY),
        (errors.Forbidden("RBAC"), LAST_RETRY),
        (errors.Invalid("a rule"), LAST_RETRY),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_lasting_transient_error_is_still_retried_soon(error, longest):
    now = [0.0]
    queue = WorkQueue(lambda: now[0], jitter=lambda: 1.0)

    class Failing:
        calls = 0

        async def reconcile(self, key: Key) -> Never:
            self.calls += 1
            if self.calls == 12:
                queue.shut_down()
            else:
                queue.add(key)  # as if something happened to it each time
            raise error

    queue.add(A)
    await Workers(queue, Failing(), count=1).run()
    due = queue.next_due()
    assert due == longest
