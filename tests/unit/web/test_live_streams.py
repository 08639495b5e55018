"""Server-sent events of the page of a product, over real HTTP."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from sluicegate.runtime.bounded_site import BoundedSite, Bounds, ClientConnections
from sluicegate.web.authorization import Authorizer
from sluicegate.web.identity import AnonymousLogin
from sluicegate.web.live_streams import MAX_STREAMS_OF_READER, LiveStreams
from sluicegate.web.rendering import Pages
from sluicegate.web.request_handling import RequestHandling, add_security_headers
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.portfolio.products import document
from tests.support.portfolio.served import NOW, store_of

PATH = "/products/pricing/pricing/live"


def product(version: str):
    body = document()
    body["metadata"]["resourceVersion"] = version
    return body


@asynccontextmanager
async def streaming(allowed=None, clock=lambda: NOW, **bounds):
    """A server of streams with the bounds of the page's server, its store, its rights, and its address."""
    store = store_of([product("1")])
    rights = AccessReviews(allowed if allowed is not None else {"ana": {""}})
    handling = RequestHandling(
        store, Pages(clock), login=AnonymousLogin("ana", ()),
        authorizer=Authorizer(rights.transport(), store.namespaces, clock),
    )  # fmt: skip
    app = web.Application()
    app.on_response_prepare.append(add_security_headers)
    LiveStreams(handling, heartbeat_seconds=0.05).add_to(app)
    connections = ClientConnections(Bounds(**bounds))
    app.middlewares.append(connections.middleware)
    runner = web.AppRunner(app, shutdown_timeout=30)
    await runner.setup()
    await BoundedSite(runner, "127.0.0.1", 0, connections).start()
    async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
        try:
            yield client, store, runner, rights
        finally:
            await runner.cleanup()


async def event(answer) -> str:
    """The version in the next event; empty at the end of the stream."""
    async with asyncio.timeout(30):
        async for line in answer.content:
            if line.startswith(b"data: "):
                return line.decode().removeprefix("data: ").strip()
    return ""


async def test_a_stream_sends_changes_of_its_product_to_each_reader_and_no_others():
    async with (
        streaming() as (client, store, _, _),
        client.get(PATH) as one,
        client.get(PATH) as two,
    ):
        assert (one.status, one.content_type) == (200, "text/event-stream")
        assert "script-src 'self'" in one.headers["Content-Security-Policy"]
        assert [await event(one), await event(two)] == ["1", "1"]
        store.products.observe(document("another", "pricing"))
        store.products.observe(product("2"))
        assert [await event(one), await event(two)] == ["2", "2"]


async def test_a_stream_outlives_the_deadline_of_a_request_by_its_heartbeats():
    async with streaming(request=0.2) as (client, store, _, _), client.get(PATH) as stream:
        assert await event(stream) == "1"
        async with asyncio.timeout(30):
            beats = 0
            while beats < 10:
                beats += await stream.content.readline() == b": alive\n"
        store.products.observe(product("2"))
        assert await event(stream) == "2"


async def test_a_stream_beyond_the_limit_of_its_reader_is_refused_until_another_is_closed():
    async with streaming() as (client, _, _, _):
        streams = [await client.get(PATH) for _ in range(MAX_STREAMS_OF_READER)]
        async with client.get(PATH) as refused:
            assert refused.status == 429
            assert (
                f"{MAX_STREAMS_OF_READER} pages of ana are live already: close one"
                in await refused.text()
            )
            assert refused.headers["Retry-After"] == "60"
        streams[0].close()
        for _ in range(1500):  # the server learns of it by its next heartbeat
            again = await client.get(PATH)
            if again.status == 200:
                break
            await asyncio.sleep(0.02)
        assert again.status == 200
        for stream in (again, *streams[1:]):
            stream.close()


@pytest.mark.parametrize("path", ["/products/pricing/none/live", "/products/other/pricing/live"])
async def test_a_stream_of_a_product_that_the_reader_cannot_see_is_not_found(path):
    async with streaming() as (client, *_), client.get(path) as answer:
        assert answer.status == 404


async def test_a_stream_ends_when_its_reader_loses_access():
    times = [NOW]
    async with (
        streaming(clock=lambda: times[0]) as (client, _, _, rights),
        client.get(PATH) as stream,
    ):
        assert await event(stream) == "1"
        rights.may.clear()
        times[0] += 3600
        assert await event(stream) == ""


async def test_a_stream_ends_when_its_product_is_deleted():
    async with streaming() as (client, store, *_), client.get(PATH) as stream:
        assert await event(stream) == "1"
        store.products.listed(set(), "")
        assert await event(stream) == ""
        assert await event(stream) == ""


async def test_the_shutdown_of_the_page_ends_its_streams_at_once():
    async with streaming() as (client, _, runner, _), client.get(PATH) as stream:
        assert await event(stream) == "1"
        async with asyncio.timeout(
            10
        ):  # a third of the time in which the server waits for requests
            await runner.cleanup()
        assert await event(stream) == ""
