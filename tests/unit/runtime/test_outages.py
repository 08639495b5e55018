"""What the operator's parts do when the API server is away, each by itself on loopback."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Never

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sluicegate.handlers import EndlessBackoff, NothingRemembered, Pace
from sluicegate.kube import errors, requests
from sluicegate.kube.backpressure import Patience
from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime import watch_liveness as watches_module
from sluicegate.runtime import watch_supervisor
from sluicegate.runtime.health import Health, Limits, Pulse
from sluicegate.runtime.tasks import end
from sluicegate.runtime.watch_liveness import Watches, watching_session
from sluicegate.runtime.workers import Workers
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.runtime.write_fence import OpenGate
from tests.support.virtual.event_loop import run_virtually

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
READ = requests.get(CONFIG_MAPS, A)
WRITE = requests.patch(CONFIG_MAPS, A, {}, manager="test")


class ApiServer:
    """Answers what it is told to, in turn; the last answer stays."""

    def __init__(self) -> None:
        self.answers: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.tokens: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return await answer(request)

    def says(self, status: int, **headers: str) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            if status == 429:
                return web.Response(text=TOO_MANY, status=status, headers=named)
            return web.json_response({}, status=status, headers=named)

        self.answers.append(answer)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    made = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class Logins:
    """Each login gives the next token."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = 0

    async def __call__(self) -> Configuration:
        self.count += 1
        configuration = Configuration(host=self.url)
        configuration.api_key = {"BearerToken": f"token-{self.count}"}
        return configuration


@pytest.fixture
def logins(server) -> Logins:
    return Logins(server.url)


@pytest.fixture
async def transport(logins) -> AsyncIterator[Transport]:
    opened = Transport(Connections(logins))
    yield opened
    await opened.close()


# ---- patience ---------------------------------------------------------------------------


async def test_after_a_429_no_request_is_sent_before_its_time(server, transport):
    server.says(429, retry_after="30")  # a proxy may write it so
    server.says(200)
    with pytest.raises(errors.TooManyRequests, match=r"429: Too many requests, try later\.\Z"):
        await transport.send(WRITE)
    with pytest.raises(errors.TooManyRequests) as caught:
        await transport.send(READ)
    assert len(server.tokens) == 1
    assert 20 < caught.value.retry_after <= 30


async def test_reads_and_writes_of_the_port_wait_until_they_are_welcome(server, transport):
    api = KubeApi(transport, OpenGate(), field_manager="test")
    server.says(429, Retry_After="0.2")
    server.says(200)
    began = time.monotonic()
    with pytest.raises(errors.TooManyRequests):
        await api.get(CONFIG_MAPS, A)
    await asyncio.gather(api.get(CONFIG_MAPS, A), api.patch(CONFIG_MAPS, A, {}))
    assert time.monotonic() - began >= 0.2


# ---- credentials ------------------------------------------------------------------------


async def test_a_read_whose_token_is_refused_logs_in_anew_at_once(server, transport):
    server.says(401)
    server.says(200)
    await transport.send(READ)
    assert server.tokens == ["token-1", "token-2"]


async def test_a_write_whose_token_is_refused_is_not_sent_again(server, transport):
    server.says(401)
    server.says(200)
    with pytest.raises(errors.Unauthorized):
        await transport.send(WRITE)
    await transport.send(WRITE)
    assert server.tokens == ["token-1", "token-2"]


async def test_after_a_watch_whose_token_is_refused_the_next_one_logs_in_anew(server, logins):
    async def two(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"first\nsecond\n")

    server.says(401)
    server.answers.append(two)
    wire = Connections(logins)
    watch = requests.watch(CONFIG_MAPS, namespace="shop", version="1", seconds=60)
    with pytest.raises(errors.Unauthorized):
        [line async for line in wire.lines(watch)]
    assert [line async for line in wire.lines(watch)] == [b"first", b"second"]
    assert server.tokens == ["token-1", "token-2"]
    await wire.close()


async def test_a_refused_token_disturbs_no_request_that_is_under_way(server, transport):
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        under_way.set()
        await go_on.wait()
        return web.json_response({"slow": True})

    server.answers.append(slow)
    server.says(401)
    server.says(200)
    first = asyncio.create_task(transport.send(READ))
    await under_way.wait()
    await transport.send(READ)
    go_on.set()
    assert await first == {"slow": True}


async def test_many_requests_with_a_refused_token_log_in_once(server, transport, logins):
    together = asyncio.Barrier(5)

    async def refuse(_: web.Request) -> web.StreamResponse:
        await together.wait()
        return web.json_response({}, status=401)

    server.answers += [refuse] * 5
    server.says(200)
    await asyncio.gather(*(transport.send(READ) for _ in range(5)))
    assert logins.count == 2


async def test_kopf_keeps_nothing_of_the_objects_it_has_seen():
    memories = NothingRemembered()
    for uid in "ab":
        await memories.recall({"metadata": {"uid": uid}}, noticed_by_listing=True)
    assert list(memories.iter_all_memories()) == []
    await memories.forget({"metadata": {"uid": "a"}})


def test_logins_that_follow_one_another_are_held_back_and_the_first_is_not():
    async def passes() -> list[float]:
        pace, clock = Pace(30.0), asyncio.get_running_loop().time
        began, found = clock(), []
        for _ in range(2):
            await pace.wait()
            found.append(clock() - began)
        return found

    assert run_virtually(passes()) == pytest.approx([0.0, 30.0], abs=0.1)


def test_kopf_never_waits_longer_than_the_longest_backoff():
    pauses = [pause for pause, _ in zip(EndlessBackoff(), range(20), strict=False)]
    assert max(pauses) <= LONGEST_BACKOFF


# ---- silence and return -----------------------------------------------------------------


async def test_a_return_is_told_with_the_length_of_the_silence(server, logins):
    silences: list[float] = []
    transport = Transport(Connections(logins), on_return=silences.append)
    server.says(200)
    await transport.send(READ)
    await transport.send(READ)
    await transport.close()
    assert silences[0] == float("inf")
    assert silences[1] < 60


# ---- watches ----------------------------------------------------------------------------


async def test_watches_that_are_renewed_end_as_if_the_connection_broke(server, logins):
    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    server.answers.append(watch)
    watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
    session = watching_session(await logins(), watches, Patience())
    async with session, session.get(f"{server.url}/api/v1/configmaps?watch=true") as response:
        reading = asyncio.create_task(response.content.read())
        await asyncio.sleep(0)
        watches.renew()
        with pytest.raises(aiohttp.ClientConnectionError):
            await reading


async def test_a_watch_that_is_swallowed_is_given_up_before_its_first_event(
    server, logins, monkeypatch
):
    async def swallow(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(watches_module, "ANSWER_SECONDS", 0.1)
    server.answers.append(swallow)
    watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
    async with watching_session(await logins(), watches, Patience()) as session:
        with pytest.raises(TimeoutError):
            await session.get(f"{server.url}/api/v1/configmaps?watch=true")


@pytest.mark.parametrize("query", ["limit=1", "watch=true"])
async def test_a_429_to_a_list_or_watch_is_known_to_all_and_read_as_plain_text(
    server, logins, query
):
    """Kopf repeats what is refused in text; another error would end all watches."""
    patience = Patience()
    server.says(429, Retry_After="30")
    watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
    async with watching_session(await logins(), watches, patience) as session:
        response = await session.get(f"{server.url}/api/v1/configmaps?{query}")
        with pytest.raises(aiohttp.ContentTypeError):
            await response.json()
        assert await response.text() == TOO_MANY
    assert patience.left > 20


async def test_watches_that_end_at_once_again_and_again_grow_old(server, transport, monkeypatch):
    async def discovery(_: web.Request) -> web.StreamResponse:
        return web.json_response({"resources": [{"name": CONFIG_MAPS.plural}]})

    server.answers.append(discovery)
    monkeypatch.setattr(watch_supervisor, "PAUSE_SECONDS", 0)
    now, old = [1000.0], asyncio.Event()
    watches = Watches([CONFIG_MAPS], lambda: now[0], lambda _: None)

    async def watch(kinds: Iterable[Resource]) -> None:
        watches.begun(kinds)
        now[0] += 70
        if now[0] > 1000 + Limits().watch_age:
            old.set()
            await asyncio.Event().wait()
        raise RuntimeError("forbidden")

    supervisor = watch_supervisor.Supervisor(
        KubeApi(transport, OpenGate(), field_manager="test"),
        [CONFIG_MAPS],
        watch,
        on_missing=lambda _: None,
        jitter=lambda: 1.0,
    )
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(old.wait(), 30)
    await end([running])
    health = Health(Pulse(), watches, Limits(), api_silence=lambda: 0.0, primed=asyncio.Event())
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
async def test_what_goes_away_by_itself_is_tried_again_soon_however_long_it_lasts(error, longest):
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
