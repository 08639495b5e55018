"""Half-sent headers on a real connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from sluicegate_service.connections import HeaderDeadline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WHOLE = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done", "more_body": False})


@contextlib.asynccontextmanager
async def connected(seconds: float) -> AsyncIterator[tuple[asyncio.StreamReader, Any, Any]]:
    """Yield a connection to a server whose headers may take `seconds`, and the server's side of it."""
    protocol = type("Quick", (HeaderDeadline,), {"header_seconds": seconds})
    config = uvicorn.Config(
        answer, http=protocol, log_config=None, lifespan="off", timeout_keep_alive=3900
    )
    config.load()
    state = uvicorn.server.ServerState()
    accepted: list[Any] = []

    def accept() -> Any:
        accepted.append(protocol(config=config, server_state=state, app_state={}))
        return accepted[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer, accepted
    finally:
        writer.close()
        server.close()


@pytest.mark.parametrize("sent", [b"", WHOLE[:-2], WHOLE + WHOLE[:-2]])
async def test_a_connection_without_a_whole_header_is_closed(sent: bytes):
    async with connected(seconds=0.05) as (reader, writer, _):
        writer.write(sent)
        answered = await reader.read()
    assert answered.count(b"200 OK") == sent.count(WHOLE)


async def test_a_connection_with_a_complete_header_stays_open_for_the_gateway():
    async with connected(seconds=60) as (reader, writer, accepted):
        for _ in range(2):
            writer.write(WHOLE)
            assert b"200 OK" in await reader.readuntil(b"done")
            assert not accepted[0].waits_for_header
