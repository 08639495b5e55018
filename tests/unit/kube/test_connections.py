"""One pool of connections: when it logs in again, what it closes and when, and what it sends."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from sluicegate.kube import connections
from sluicegate.kube.connections import Connections, split_lines
from sluicegate.kube.errors import AnswerTooLarge, Forbidden, KubeError, Transient, Unauthorized
from sluicegate.kube.requests import ApiRequest
from tests.support.apiserver.api_stand_in import AUTHORITY


def read(status: int, *, wait: bool = False, size: int = 0) -> ApiRequest:
    """Return a request that is answered with this status, once the server may, in so many bytes."""
    query = (("size", str(size)),)
    return ApiRequest("get", "GET", f"/{status}/wait" if wait else f"/{status}", query)


@pytest.fixture
async def opened(monkeypatch):
    """Yield the pool.

    How often it logged in and which clients it closed; the server and what it was sent.
    """
    seen = SimpleNamespace(logins=0, closed=[], asked=[], go=asyncio.Event(), left=asyncio.Event())

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.asked.append((request, await request.text()))
        status, *wait = request.path.strip("/").split("/")
        if wait == ["endless"]:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"line\n")
                    await asyncio.sleep(0.001)
            finally:
                seen.left.set()
        if wait:
            await seen.go.wait()
        text = "x" * int(request.query["size"])
        # A proxy may write the header so.
        return web.Response(status=int(status), text=text, headers={"retry-after": "7"})

    class Client(ApiClient):
        async def close(self):
            seen.closed.append(self)
            await super().close()

    async def login() -> Configuration:
        seen.logins += 1
        await asyncio.sleep(0)  # meanwhile others may want to
        made = Configuration(host=str(server.make_url("")).rstrip("/"), ssl_ca_cert=str(AUTHORITY))
        made.api_key["BearerToken"] = f"Bearer {seen.logins}"
        return made

    monkeypatch.setattr(connections, "ApiClient", Client)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        seen.wire = Connections(login)
        yield seen
        seen.go.set()
        await seen.wire.close()


async def lines(wire: Connections, request: ApiRequest) -> list[bytes]:
    return [line async for line in wire.lines(request)]


@pytest.mark.parametrize("streamed", [False, True])
async def test_refused_credentials_are_replaced_and_the_old_connections_end_with_their_last_request(
    opened, streamed
):
    wire = opened.wire
    slow = asyncio.create_task(wire.exchange(read(200, wait=True)))
    while not opened.asked:  # noqa: ASYNC110 - what arrives at the server is no event
        await asyncio.sleep(0.001)
    if streamed:
        with pytest.raises(Unauthorized):
            await lines(wire, read(401))
    else:
        assert (await wire.exchange(read(401)))[0] == 401
    assert (opened.logins, opened.closed) == (1, [])
    assert (await wire.exchange(read(200)))[0] == 200
    assert (opened.logins, opened.closed) == (2, [])
    opened.go.set()
    assert (await slow)[0] == 200
    (first,) = opened.closed
    tokens = [request.headers["Authorization"] for request, _ in opened.asked]
    assert tokens == ["Bearer 1", "Bearer 1", "Bearer 2"]
    await wire.close()
    assert [one is first for one in opened.closed] == [True, False]
    await wire.close()
    assert len(opened.closed) == 2
    await wire.exchange(read(200))
    assert opened.logins == 3


async def test_concurrent_requests_with_refused_credentials_log_in_once(opened):
    async def refused_and_again() -> int:
        await opened.wire.exchange(read(401, wait=True))
        return (await opened.wire.exchange(read(200)))[0]

    sending = [asyncio.create_task(refused_and_again()) for _ in range(5)]
    while len(opened.asked) < 5:  # noqa: ASYNC110 - the same
        await asyncio.sleep(0.001)
    opened.go.set()
    assert await asyncio.gather(*sending) == [200] * 5
    assert (opened.logins, len(opened.closed)) == (2, 1)


async def test_a_late_401_for_former_credentials_keeps_the_new_ones(opened):
    late = asyncio.create_task(opened.wire.exchange(read(401, wait=True)))
    while not opened.asked:  # noqa: ASYNC110 - the same
        await asyncio.sleep(0.001)
    await opened.wire.exchange(read(401))
    await opened.wire.exchange(read(200))
    opened.go.set()
    assert (await late)[0] == 401
    await opened.wire.exchange(read(200))
    assert opened.logins == 2


@pytest.mark.parametrize(
    ("status", "error"), [(201, KubeError), (403, Forbidden), (500, Transient)]
)
async def test_another_failure_changes_no_credentials(opened, status, error):
    found, body, headers = await opened.wire.exchange(read(status, size=3))
    assert (found, body, headers["Retry-After"]) == (status, b"xxx", "7")
    with pytest.raises(error, match=rf"get /{status}: {status}: xxx"):
        await lines(opened.wire, read(status, size=3))
    await opened.wire.exchange(read(200))
    assert (opened.logins, opened.closed) == (1, [])


async def test_a_response_above_the_size_limit_raises_an_error(opened):
    assert (await opened.wire.exchange(read(200, size=10), 10))[1] == b"x" * 10
    with pytest.raises(AnswerTooLarge, match="get /200: the answer has more than 10 bytes"):
        await opened.wire.exchange(read(200, size=11), 10)
    assert (await opened.wire.exchange(read(200, size=11)))[1] == b"x" * 11


async def test_a_request_is_sent_unchanged_with_all_headers(opened):
    groups = (("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    request = ApiRequest(
        "apply", "PATCH", "/200", (("size", "0"),), {"a": 1}, "application/apply-patch+yaml",
        headers=groups,
    )  # fmt: skip
    await opened.wire.exchange(request)
    ((sent, text),) = opened.asked
    assert (sent.method, sent.path_qs, json.loads(text)) == ("PATCH", "/200?size=0", {"a": 1})
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml"
    assert sent.headers["User-Agent"] == "sluicegate"
    assert sent.headers.getall("Impersonate-Group") == ["a", "b"]


async def test_an_endless_response_is_closed_when_its_reader_stops(opened):
    reading = opened.wire.lines(ApiRequest("watch", "GET", "/200/endless"))
    assert await anext(reading) == b"line"
    await reading.aclose()
    async with asyncio.timeout(20):
        await opened.left.wait()


async def test_an_unreachable_server_is_a_transient_error_of_a_watch():
    async def login() -> Configuration:
        return Configuration(host="http://127.0.0.1:9", ssl_ca_cert=str(AUTHORITY))

    wire = Connections(login)
    with pytest.raises(Transient, match="get /200: ClientConnectorError: "):
        await lines(wire, read(200))
    with pytest.raises(aiohttp.ClientError):
        await wire.exchange(read(200))
    await wire.close()


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([b"a", b"b\nc", b"d" * 70_000, b"\n\ne"], [b"ab", b"c" + b"d" * 70_000]),
        ([b"a\nb\n", b"c\n"], [b"a", b"b", b"c"]),
        ([b"\n"], []),
        ([], []),
    ],
)
async def test_a_stream_yields_complete_lines_and_drops_an_incomplete_last_line(chunks, found):
    async def arriving():
        for chunk in chunks:
            yield chunk

    assert [line async for line in split_lines(arriving())] == found
