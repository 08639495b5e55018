"""What the harness sees of an API server's watches."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.kube import events

STATUS = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 429}
ADDED = {"type": "ADDED", "object": {"metadata": {"name": "one"}}}
ERROR = {"type": "ERROR", "object": STATUS | {"code": 410}}


async def told(status: int, *pieces: bytes) -> list[tuple[str, Any]]:
    """Return the events of a watch with this response."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        session.get(server.make_url("/")) as found,
    ):
        return [event async for event in events(found)]


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


@pytest.mark.parametrize(
    ("status", "pieces", "expected"),
    [
        (200, [line(ADDED), line(ADDED)], 2),
        (200, [line(ADDED)[:10], line(ADDED)[10:]], 1),
        (200, [line(ADDED), line(ERROR), line(ADDED)], 1),
        (429, [line(STATUS)], 0),
    ],
    ids=["two events", "one in two pieces", "an error ends it", "refused"],
)
def test_a_benchmark_watch_yields_events_until_it_ends_or_none_if_refused(status, pieces, expected):
    assert asyncio.run(told(status, *pieces)) == [("ADDED", ADDED["object"])] * expected
