"""Listens for an aiohttp server with a bounded number of connections, each with deadlines.

Any pod of the cluster can open connections and send nothing, half a request, or read no answer. Each
connection costs a descriptor, and without descriptors the process reaches neither the API server nor
its own files. So a client has seconds to send a request and to read the answer, and when there are
too many connections the one that has been idle for longest is closed: a probe is answered at once,
however many idle connections there are.

With a certificate a connection is counted, and has its deadline, from the time that it is accepted: the
event loop's own servers report a connection only after its TLS handshake, which a client need not end.
"""

import asyncio
import os
import resource
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web
from typing_extensions import override

from sluicegate.runtime.serving_certificate import ServingCertificate
from sluicegate.runtime.tasks import end_tasks

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
    header : time from the connection to the end of the first request's header, a TLS handshake included.
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


Connected = asyncio.BaseTransport | asyncio.Task[None]
"""A connection: its transport, or its TLS handshake."""


class ClientConnections:
    """The open connections of one server."""

    def __init__(self, connection_bounds: Bounds) -> None:
        self.bounds = connection_bounds
        self._max_connections = min(
            connection_bounds.connections,
            max(_MIN_CONNECTIONS, raise_descriptor_limit() // _DESCRIPTOR_DIVISOR),
        )
        self._idle: OrderedDict[Connected, Callable[[], object]] = OrderedDict()
        """Connections without a request in progress, each with what closes it; the first has been idle for
        longest.
        """
        self._busy: dict[Connected, Callable[[], object]] = {}

    @property
    def accepted_at_once(self) -> int:
        """Return the number of connections that the event loop accepts before others are closed for them.

        A closed one has its descriptor for some turns of the loop yet.
        """
        return max(self._max_connections // 4, 1)

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._idle) + len(self._busy)

    def opened(self, connected: Connected, close: Callable[[], object]) -> None:
        """Add a connection, and close others until the limit is met."""
        self._idle[connected] = close
        while len(self) > self._max_connections and self._idle:
            _, close_oldest = self._idle.popitem(last=False)
            close_oldest()

    def active(self, transport: asyncio.BaseTransport) -> None:
        """Record that a client has sent data."""
        if transport in self._idle:
            self._idle.move_to_end(transport)

    def closed(self, connected: Connected) -> None:
        """Remove a closed connection."""
        self._idle.pop(connected, None)
        self._busy.pop(connected, None)

    async def end_handshakes(self) -> None:
        """Close the connections that are in their TLS handshake."""
        await end_tasks([one for one in self._idle if isinstance(one, asyncio.Task)])

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
    """One connection, which forwards data to aiohttp's protocol, and is closed after its deadline.

    The deadline of the request header begins with the construction.
    """

    def __init__(self, http_protocol: asyncio.Protocol, connections: ClientConnections) -> None:
        self._protocol = http_protocol
        self._connections = connections
        self._accepted_at = asyncio.get_running_loop().time()
        self.handshake: asyncio.Task[None] | None = None
        """What counts for this connection until it is made."""
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Add the connection, and close it if the request header isn't there in time."""
        self._transport = cast("asyncio.Transport", transport)
        elapsed = asyncio.get_running_loop().time() - self._accepted_at
        self._deadline = self._abort_after(self._connections.bounds.header - elapsed)
        self._protocol.connection_made(transport)
        if self.handshake is not None:
            self._connections.closed(self.handshake)
        self._connections.opened(self._transport, self._transport.abort)

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


class TlsHandshake(asyncio.Protocol):
    """The TLS handshake of an accepted connection, which counts as idle and has the deadline of a header.

    The socket passes to a transport of its own, because the loop makes one that is known before the
    handshake only for plain connections.
    """

    def __init__(
        self, connection: ClientConnection, connections: ClientConnections, context: ssl.SSLContext
    ) -> None:
        self._connection = connection
        self._connections = connections
        self._context = context
        self._socket: socket.socket | None = None
        """The client's, until the handshake begins."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, with the socket of the plain connection, of which nothing is read.

        Without a descriptor for it the connection is closed: it would be neither counted nor have a deadline.
        """
        try:
            self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError:
            cast("asyncio.Transport", transport).abort()
            return
        self._socket.settimeout(0)
        # asyncio's TLS takes an answer of any size at once, and reports nothing while the client reads none.
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            unread_milliseconds = round(1000 * self._connections.bounds.unread)
            self._socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unread_milliseconds
            )
        cast("asyncio.Transport", transport).abort()
        task = asyncio.get_running_loop().create_task(self._shake_hands())
        task.add_done_callback(self._ended)
        self._connection.handshake = task
        self._connections.opened(task, task.cancel)

    async def _shake_hands(self) -> None:
        client_socket, self._socket = self._socket, None
        assert client_socket is not None
        bounds = self._connections.bounds
        # A client that doesn't end the handshake, or ends it with an error, needs no line in the log.
        with suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._connection, client_socket, ssl=self._context,
                ssl_handshake_timeout=bounds.header, ssl_shutdown_timeout=bounds.unread,
            )  # fmt: skip

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.closed(task)
        if self._socket is not None:  # cancelled before it began
            self._socket.close()


class BoundedSite(web.BaseSite):
    """A place where a runner listens, with bounds; over TLS with a certificate.

    The middleware of `connections` must be one of the application's.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        connections: ClientConnections,
        *,
        certificate: ServingCertificate | None = None,
    ) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port
        self._connections = connections
        self._certificate = certificate

    @property
    @override
    def name(self) -> str:
        """Return the address."""
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{self._host or '0.0.0.0'}:{self._port}"  # noqa: S104  # a name

    @override
    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self._accept,
            self._host or None,
            self._port,
            backlog=self._connections.accepted_at_once,
        )
        for listening_socket in self._server.sockets:
            # The kernel keeps more: a client that finds no place tries again only after a second.
            with socket.socket(fileno=os.dup(listening_socket.fileno())) as duplicate_socket:
                duplicate_socket.listen(self._backlog)

    @override
    async def stop(self) -> None:
        """Stop listening, and close connections that no request can follow yet."""
        await super().stop()
        await self._connections.end_handshakes()

    def _accept(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        server = self._runner.server
        assert server is not None
        connection = ClientConnection(server(), self._connections)
        if self._certificate is None:
            return connection
        return TlsHandshake(connection, self._connections, self._certificate.context())
