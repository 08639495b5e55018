"""Listens for an aiohttp server with a bounded number of connections, each with deadlines.

Any pod of the cluster can open connections and send nothing, half a request, or read no answer. Each
connection costs a descriptor, and without descriptors the process reaches neither the API server nor
its own files. So a client has seconds to send a request and to read the answer, and when there are
too many connections the one that has been idle for longest is closed: a probe is answered at once,
however many idle connections there are.
"""

import asyncio
import os
import resource
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web
from typing_extensions import override

_HEADER_END: Final = b"\r\n\r\n"
_HTTP_UNAVAILABLE: Final = 503
_DESCRIPTOR_DIVISOR: Final = 4
"""At most one of so many descriptors of the process is a connection of a client."""
_MIN_CONNECTIONS: Final = 8


_DEADLINE: ContextVar[asyncio.Timeout | None] = ContextVar("deadline of a request", default=None)


def lift_deadline() -> None:
    """Remove the time limit of the current request's answer; the client must still read it in time."""
    deadline = _DEADLINE.get()
    if deadline is not None:
        deadline.reschedule(None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a server; times are in seconds.

    Attributes
    ----------
    connections : most open connections.
    header : time from the connection to the end of the first request's header.
    request : time in which a request is read and its answer computed.
    unread : time for which a client may read nothing of an answer.
    """

    connections: int = 256
    header: float = 10.0
    request: float = 60.0
    unread: float = 30.0


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files, which some container runtimes leave low; return the hard one."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    return hard_limit


class ClientConnections:
    """The open connections of one server."""

    def __init__(self, connection_bounds: Bounds) -> None:
        self.bounds = connection_bounds
        self._max_connections = min(
            connection_bounds.connections,
            max(_MIN_CONNECTIONS, raise_descriptor_limit() // _DESCRIPTOR_DIVISOR),
        )
        self._idle: OrderedDict[asyncio.BaseTransport, ClientConnection] = OrderedDict()
        """ClientConnections without a request in progress; the first has been idle for longest."""
        self._busy: dict[asyncio.BaseTransport, ClientConnection] = {}

    @property
    def accepted_at_once(self) -> int:
        """Return the number of connections that the event loop accepts before others are closed for them.

        A closed one has its descriptor for some turns of the loop yet.
        """
        return max(self._max_connections // 4, 1)

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._idle) + len(self._busy)

    def opened(self, connection: "ClientConnection", transport: asyncio.Transport) -> None:
        """Add a connection, and close others until the limit is met."""
        self._idle[transport] = connection
        while len(self) > self._max_connections and self._idle:
            oldest_transport, _ = self._idle.popitem(last=False)
            cast("asyncio.Transport", oldest_transport).abort()

    def active(self, transport: asyncio.BaseTransport) -> None:
        """Record that a client has sent data."""
        if transport in self._idle:
            self._idle.move_to_end(transport)

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Remove a closed connection."""
        self._idle.pop(transport, None)
        self._busy.pop(transport, None)

    @web.middleware
    async def middleware(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer a request within its time limit; its connection is not closed meanwhile."""
        transport = request.transport
        if transport is not None and transport in self._idle:
            self._busy[transport] = self._idle.pop(transport)
        try:
            async with asyncio.timeout(self.bounds.request) as deadline:
                _DEADLINE.set(deadline)
                return await handler(request)
        except TimeoutError:
            if not deadline.expired():
                raise
            text = f"the request took more than {self.bounds.request:.0f} s\n"
            return web.Response(status=_HTTP_UNAVAILABLE, text=text)
        finally:
            if transport is not None and transport in self._busy:
                self._idle[transport] = self._busy.pop(transport)


class ClientConnection(asyncio.Protocol):
    """One connection, which forwards data to aiohttp's protocol, and is closed after its deadline."""

    def __init__(self, http_protocol: asyncio.Protocol, connections: ClientConnections) -> None:
        self._protocol = http_protocol
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of the request header."""
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = self._abort_after(self._connections.bounds.header)
        self._protocol.connection_made(transport)
        self._connections.opened(self, self._transport)

    @override
    def data_received(self, data: bytes) -> None:
        """Forward data; a complete header ends its deadline."""
        assert self._transport is not None
        self._connections.active(self._transport)
        if self._deadline is not None:
            received_bytes = self._received + data
            if _HEADER_END in received_bytes:
                self._deadline.cancel()
                self._deadline = None
            self._received = received_bytes[-len(_HEADER_END) + 1 :]
        self._protocol.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        """Pass the end of the client's data on."""
        return self._protocol.eof_received()

    @override
    def pause_writing(self) -> None:
        """Start the deadline for the client to read."""
        self._unread = self._abort_after(self._connections.bounds.unread)
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        """End the wait: the client reads."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._protocol.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Forward the end of the connection."""
        assert self._transport is not None
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        self._connections.closed(self._transport)
        self._protocol.connection_lost(exc)

    def _abort_after(self, seconds: float) -> asyncio.TimerHandle:
        assert self._transport is not None
        return asyncio.get_running_loop().call_later(seconds, self._transport.abort)


class BoundedSite(web.BaseSite):
    """A place where a runner listens, with bounds.

    The middleware of `connections` must be one of the application's.
    """

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, connections: ClientConnections
    ) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port
        self._connections = connections

    @property
    @override
    def name(self) -> str:
        """Return the address."""
        return f"http://{self._host or '0.0.0.0'}:{self._port}"  # noqa: S104  # a name

    @override
    async def start(self) -> None:
        """Listen."""
        await super().start()
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(server(), self._connections),
            self._host or None,
            self._port,
            backlog=self._connections.accepted_at_once,
        )
        for listening_socket in self._server.sockets:
            # The kernel keeps more: a client that finds no place tries again only after a second.
            with socket.socket(fileno=os.dup(listening_socket.fileno())) as duplicate_socket:
                duplicate_socket.listen(self._backlog)
