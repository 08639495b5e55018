"""Server-sent events of the page of a product: a browser learns of each change, and loads the page again.

A stream has no content of the product: the page itself answers what the reader may see. All streams
are fed by the process's one watch of the products; a stream costs a connection and no request to the
API server. Their number is bounded, so that streams leave connections for pages.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Final

from aiohttp import web

from sluicegate.kube.resources import Key
from sluicegate.runtime.bounded_site import lift_deadline
from sluicegate.web.identity import TOO_MANY, AccessRefused
from sluicegate.web.request_handling import ReaderRequest, RequestHandling

MAX_STREAMS: Final = 128
MAX_STREAMS_OF_READER: Final = 16
"""Streams of one reader: tabs of one person, or all readers of a page without login."""
HEARTBEAT_SECONDS: Final = 15.0
"""Seconds between two comments, by which proxies keep the connection and a dead one is found."""
PAUSE_SECONDS: Final = 1.0
"""Least seconds between two events: a product that changes often is loaded once a second."""
RETRY_MILLISECONDS: Final = 5000


class LiveStreams:
    """Handlers of streams; `heartbeat_seconds` is in seconds."""

    def __init__(
        self, handling: RequestHandling, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self._handling = handling
        self._heartbeat = heartbeat_seconds
        self._readers: Counter[str] = Counter()
        self._open: set[asyncio.Event] = set()
        self._closing = False

    def add_to(self, app: web.Application) -> None:
        """Add the route, and end the streams when the application shuts down."""
        path = r"/products/{namespace:[^/]+}/{name:[^/.]+}/live"
        app.router.add_get(path, self._handling.handler(self.stream))
        app.on_shutdown.append(self._close)

    async def stream(self, request: ReaderRequest) -> web.StreamResponse:
        """Send an event for each change of a product, until the reader, or the process, ends it."""
        key = Key(request.match["namespace"], request.match["name"])
        if (key.namespace, key.name) not in request.portfolio.by_key:
            raise web.HTTPNotFound
        user = request.reader.user
        self._check_limits(user)
        change_event = asyncio.Event()
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream", "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )  # fmt: skip
        self._readers[user] += 1
        self._open.add(change_event)
        products = self._handling.store.products
        try:
            with products.listened(key, change_event.set), suppress(ConnectionResetError):
                lift_deadline()
                await response.prepare(request.raw)
                await response.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode())
                await self._send_events(request, key, change_event, response)
        finally:
            self._open.discard(change_event)
            self._readers -= Counter((user,))  # keeps no reader without a stream
        return response

    def _check_limits(self, user: str) -> None:
        """Refuse a stream beyond the bounds."""
        retry_header = {"Retry-After": "60"}
        if len(self._open) >= MAX_STREAMS:
            text = f"{MAX_STREAMS} pages are live already: this one is loaded again each minute"
            raise AccessRefused(TOO_MANY, text, retry_header)
        if self._readers[user] >= MAX_STREAMS_OF_READER:
            text = f"{MAX_STREAMS_OF_READER} pages of {user or 'you'} are live already: close one"
            raise AccessRefused(TOO_MANY, text, retry_header)

    async def _send_events(
        self,
        request: ReaderRequest,
        key: Key,
        change_event: asyncio.Event,
        response: web.StreamResponse,
    ) -> None:
        products = self._handling.store.products
        sent_text = ""
        while not self._closing and await self._handling.still_sees(request, key.namespace):
            version = products.version_of(key)
            change_event.clear()
            if version != sent_text:
                sent_text = version
                await response.write(f"event: changed\nid: {version}\ndata: {version}\n\n".encode())
                if not version:
                    return  # the product was deleted
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                await response.write(b": alive\n\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat):
                    await change_event.wait()

    async def _close(self, _: web.Application) -> None:
        self._closing = True
        for change_event in self._open:
            change_event.set()
