"""A reverse proxy before the real API server that injects configured faults at run time.

It ends TLS with a certificate of the cluster's authority and passes the bearer token on, so the
API server itself judges who calls. It lives in a thread with an event loop of its own; a test
calls it from its own thread. Every request is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never

import aiohttp
from aiohttp import web

from cluster.ports import free_ports
from tests.support.failures.faults import (
    EVERYTHING,
    WATCHES,
    Answer,
    ArrivedRequest,
    CutInLine,
    Delay,
    Fault,
    Hang,
    Requests,
    Rule,
    Silence,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from cluster.controlplane import ControlPlane

T = TypeVar("T")

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
GOODBYE_SECONDS = 10.0
NO_LIMIT = aiohttp.ClientTimeout(total=None)


@dataclass(eq=False, slots=True)
class Stream:
    """A watch that is open now."""

    arrived: ArrivedRequest
    request: web.Request
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False


class FaultProxy:
    """The proxy; use as a context. Faults are made by `broken` and `frozen`."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._rules: list[Rule] = []
        self._arrived: list[ArrivedRequest] = []
        self._streams: set[Stream] = set()
        self._late: set[asyncio.Task[Any]] = set()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")
        self._ports = free_ports(1)
        self._site: web.TCPSite | None = None

    def __enter__(self) -> Self:
        (self.port,) = self._ports.__enter__()
        authority = self._plane._settings.authority
        pair = authority.server(f"fault-proxy-{self.port}", ["127.0.0.1"])
        self._serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._serving.load_cert_chain(pair.certificate, pair.key)
        self._trusting = ssl.create_default_context(cafile=str(authority.certificate))
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._ports.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """Where clients find it; it stays the same."""
        return f"https://127.0.0.1:{self.port}"

    def matching(
        self, requests: Requests = EVERYTHING, *, since: float = 0.0
    ) -> list[ArrivedRequest]:
        """Return the matching requests so far, in the order of their arrival."""
        return [one for one in list(self._arrived) if one.at >= since and requests.match(one)]

    def start(self, fault: Fault, requests: Requests = EVERYTHING) -> Rule:
        """Begin a fault; the youngest one that matches a request counts."""
        rule = Rule(fault, requests)
        self._rules.insert(0, rule)
        if isinstance(fault, Silence | CutInLine):
            self._run(self._touch_open_streams(rule))
        return rule

    def end(self, rule: Rule) -> None:
        """End a fault; what hangs or is silent stays so, as it does in a real network."""
        self._rules.remove(rule)

    def restore(self) -> None:
        """End all faults that were started."""
        self._rules.clear()

    @contextlib.contextmanager
    def broken(self, fault: Fault, requests: Requests = EVERYTHING) -> Iterator[Rule]:
        """Yield a fault for the length of a block."""
        rule = self.start(fault, requests)
        try:
            yield rule
        finally:
            self.end(rule)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Accept connections without an answer, not even TLS, like a stopped process."""
        thawed = threading.Event()
        self._loop.call_soon_threadsafe(thawed.wait)
        try:
            yield
        finally:
            thawed.set()

    def cut(self, requests: Requests = WATCHES) -> None:
        """Break the connections of the open watches that match."""
        self._run(self._cut(requests))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=0, ssl=self._trusting, socket_factory=self._open_socket
        )
        self._client = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=NO_LIMIT
        )
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await self._listen()

    async def _stop(self) -> None:
        await self._close()
        await self._runner.cleanup()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # what hangs, and what comes late
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()
        await self._goodbye()

    async def _goodbye(self) -> None:
        """Run the loop until no socket is left; a cancelled one sends its close frame first."""
        sockets = list(self._sockets)
        async with asyncio.timeout(GOODBYE_SECONDS):
            await asyncio.sleep(0)  # accepted ones need no more than a turn of the loop
            while sockets:
                sockets = [one for one in sockets if one.fileno() >= 0]
                await asyncio.sleep(0.01)

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        opened = socket.socket(family, kind, protocol)
        self._sockets.add(opened)
        return opened

    async def _listen(self) -> None:
        self._site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, ssl_context=self._serving, reuse_address=True
        )
        await self._site.start()

    async def _close(self) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = None
        for connection in list(self._runner.server.connections if self._runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()

    async def _cut(self, requests: Requests) -> None:
        for stream in list(self._streams):
            if requests.match(stream.arrived):
                reset(stream.request)

    async def _touch_open_streams(self, rule: Rule) -> None:
        for stream in self._streams:
            if rule.take(stream.arrived):
                touch(stream, rule.fault)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        arrived = ArrivedRequest(
            time.monotonic(),
            request.method,
            request.path,
            dict(request.query),
            request.headers.get("User-Agent", ""),
        )
        self._arrived.append(arrived)
        fault = next((rule.fault for rule in list(self._rules) if rule.take(arrived)), None)
        try:
            response = await self._respond(request, arrived, fault)
        except aiohttp.ClientError:
            return reset(request)  # the API server itself is away
        arrived.answer = response.status
        return response

    async def _respond(
        self, request: web.Request, arrived: ArrivedRequest, fault: Fault | None
    ) -> web.StreamResponse:
        match fault:
            case None | Silence() | CutInLine():
                return await self._forward(request, arrived, fault)
            case Answer():
                return refusal(fault)
            case Hang():
                await asyncio.Event().wait()
                raise AssertionError("a hanging request goes on for ever")
            case Delay(seconds):
                return await self._forward_late(request, arrived, seconds)
            case _:
                assert_never(fault)

    async def _forward_late(
        self, request: web.Request, arrived: ArrivedRequest, seconds: float
    ) -> web.StreamResponse:
        body = await request.read()  # before the client can be gone

        async def later() -> web.StreamResponse:
            await asyncio.sleep(seconds)
            return await self._forward(request, arrived, None, body=body)

        task = asyncio.create_task(later())
        self._late.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # a client that is gone is no error of ours

    async def _forward(
        self,
        request: web.Request,
        arrived: ArrivedRequest,
        fault: Fault | None,
        body: bytes | None = None,
    ) -> web.StreamResponse:
        body = await request.read() if body is None else body
        async with self._client.request(
            request.method,
            self._plane.url + request.raw_path,
            headers={k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP},
            data=body or None,
            skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
        ) as upstream:
            headers = {k: v for k, v in upstream.headers.items() if k.lower() not in HOP_BY_HOP}
            arrived.answer = upstream.status
            if not arrived.watch or upstream.status >= 300:
                answer = await upstream.read()
                headers.pop("Content-Length", None)
                return web.Response(status=upstream.status, headers=headers, body=answer)
            response = web.StreamResponse(status=upstream.status, headers=headers)
            await response.prepare(request)
            stream = Stream(arrived, request)
            touch(stream, fault)
            await self._pump(upstream, response, stream)
            return response

    async def _pump(
        self, upstream: aiohttp.ClientResponse, response: web.StreamResponse, stream: Stream
    ) -> None:
        self._streams.add(stream)
        connection = upstream.connection
        try:
            async for chunk in upstream.content.iter_any():
                if stream.silent.is_set():
                    await asyncio.Event().wait()
                if stream.cut:
                    await response.write(chunk[: len(chunk) // 2])
                    reset(stream.request)
                await response.write(chunk)
            if stream.silent.is_set():
                await asyncio.Event().wait()
        finally:
            self._streams.discard(stream)
            if connection is not None and connection.transport is not None:
                connection.transport.abort()  # closing would wait for the other side's goodbye


def touch(stream: Stream, fault: Fault | None) -> None:
    """Let a fault of watches act on a stream."""
    if isinstance(fault, Silence):
        stream.silent.set()
    if isinstance(fault, CutInLine):
        stream.cut = True


def refusal(fault: Answer) -> web.Response:
    """Return a response with a Status object in the API server's form."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "a fault of the test",
        "code": fault.status,
    }
    return web.json_response(status, status=fault.status)


def reset(request: web.Request) -> web.StreamResponse:
    """Break the request's connection; what is returned isn't sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
