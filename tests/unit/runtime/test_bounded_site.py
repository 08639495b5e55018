"""A server with bounds: clients that send or read nothing cost others nothing."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from aiohttp.http_exceptions import BadHttpMessage

from sluicegate.runtime import http_server
from sluicegate.runtime.bounded_site import BoundedSite, Bounds, ClientConnections
from sluicegate.runtime.logs import is_fault_of_this_side
from sluicegate.web import server as page

HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
PATIENT = 30.0
"""Seconds that a test waits for what takes a fraction of one."""


async def healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def read_body(request: web.Request) -> web.Response:
    return web.Response(text=await request.text())


async def large(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * 50_000_000)


@asynccontextmanager
async def listening(**bounds: float):
    """Yield the port of a server with these bounds, and its connections."""
    connections = ClientConnections(Bounds(**bounds))
    app = web.Application(middlewares=[connections.middleware])
    app.router.add_get("/healthz", healthz)
    app.router.add_post("/body", read_body)
    app.router.add_get("/large", large)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await BoundedSite(runner, "127.0.0.1", 0, connections).start()
    try:
        yield runner.addresses[0][1], connections
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sending(port: int, data: bytes, many: int = 1):
    """Yield clients that have sent this, and nothing since."""
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(many)]
    for _, writer in clients:
        writer.write(data)
    try:
        yield [reader for reader, _ in clients]
    finally:
        for _, writer in clients:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENT)
    except ConnectionError:
        return b""


async def until(condition) -> None:
    async with asyncio.timeout(PATIENT):
        while not condition():  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.01)


async def probe(port: int) -> int:
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        return answer.status


@pytest.mark.parametrize("data", [b"", HALF], ids=["nothing", "half a header"])
async def test_a_connection_without_a_whole_header_is_closed_at_its_deadline(data):
    async with listening(header=0.2) as (port, _), sending(port, data, 5) as readers:
        assert [await ended(reader) for reader in readers] == [b""] * 5


async def test_a_header_that_arrives_byte_by_byte_doesn_t_extend_its_deadline():
    async with listening(header=0.5) as (port, connections):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = 0
        while len(connections) or not sent:
            writer.write(
                HALF[sent % len(HALF) : sent % len(HALF) + 1] if sent < len(HALF) else b"x"
            )
            sent += 1
            await asyncio.sleep(0.02)
            assert sent < PATIENT / 0.02
        writer.close()


@pytest.mark.parametrize("data", [b"", HALF], ids=["nothing", "half a header"])
async def test_a_probe_is_answered_under_any_number_of_idle_connections(data):
    async with (
        listening(connections=20, header=600) as (port, connections),
        sending(port, data, 100),
    ):
        assert [await probe(port) for _ in range(10)] == [200] * 10
        assert len(connections) <= 20


async def test_a_request_in_progress_isn_t_closed_for_another_connection():
    request_started, response_allowed = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        request_started.set()
        await response_allowed.wait()
        return web.Response(text="done")

    async with AsyncExitStack() as stack:
        connections = ClientConnections(Bounds(connections=8))
        app = web.Application(middlewares=[connections.middleware])
        app.router.add_get("/", slow)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await BoundedSite(runner, "127.0.0.1", 0, connections).start()
        port = runner.addresses[0][1]
        session = await stack.enter_async_context(ClientSession())
        request = asyncio.ensure_future(session.get(f"http://127.0.0.1:{port}/"))
        await asyncio.wait_for(request_started.wait(), PATIENT)
        async with sending(port, HALF, 50):
            response_allowed.set()
            assert await (await request).text() == "done"


async def test_a_body_that_doesn_t_arrive_ends_its_request():
    async with listening(request=0.2) as (port, _):
        data = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
        async with sending(port, data) as (reader,):
            line = await asyncio.wait_for(reader.readline(), PATIENT)
            assert line.startswith(b"HTTP/1.1 503")


async def test_a_client_that_does_not_read_its_response_is_disconnected():
    request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    async with listening(unread=0.2) as (port, connections), sending(port, request):
        await until(lambda: len(connections) > 0)
        await until(lambda: len(connections) == 0)


def test_each_server_of_the_operator_has_bounds():
    for bounds, most in ((http_server.CONNECTION_BOUNDS, 64), (page.CONNECTION_BOUNDS, 512)):
        assert bounds.connections == most
        assert (bounds.header, bounds.request, bounds.unread) == (10, 60, 30)


def test_a_malformed_request_is_not_logged():
    for error, logged in ((BadHttpMessage("Bad status line"), False), (ValueError("a bug"), True)):
        record = logging.makeLogRecord({"exc_info": (type(error), error, None)})
        assert is_fault_of_this_side(record) is logged
    assert is_fault_of_this_side(logging.makeLogRecord({}))


@pytest.mark.timeout(120)
def test_a_process_with_few_file_descriptors_reserves_enough_for_itself():
    """Idle connections took all descriptors: no probe was answered, and each refusal was a line."""
    program = textwrap.dedent("""
        import asyncio, resource, sys
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
        from aiohttp import web
        from sluicegate.runtime.bounded_site import BoundedSite, Bounds, ClientConnections

        async def main():
            connections = ClientConnections(Bounds(header=600.0))
            app = web.Application(middlewares=[connections.middleware])
            async def healthz(_):
                with open("/dev/null"):
                    return web.Response(text="ok")
            app.router.add_get("/healthz", healthz)
            runner = web.AppRunner(app)
            await runner.setup()
            await BoundedSite(runner, "127.0.0.1", 0, connections).start()
            print(runner.addresses[0][1], flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

        asyncio.run(main())
        """)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None
        port = int(process.stdout.readline())

        async def flood() -> list[int]:
            async with sending(port, HALF, 300):
                return [await probe(port) for _ in range(5)]

        assert asyncio.run(flood()) == [200] * 5
        _, errors = process.communicate("", timeout=60)
    assert errors == ""
