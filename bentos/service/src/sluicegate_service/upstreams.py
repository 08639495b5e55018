"""Calls to other products, each request of this one with a draw of its own for each of them.

    PRICING = Upstream("pricing", namespace="pricing")
    session = PRICING.watch(requests.Session())     # or a client of httpx, aiohttp or BentoML

While a canary of the upstream runs, its route maps the draw to a version, so all calls of a request
get answers of the same version, repeated and parallel ones too. The version is part of the
request's tokens, and this product's outcomes are counted by it. docs/adr/0028 has the reasons.

Calls outside of a request, and to products that the operator doesn't name (`SLUICEGATE_UPSTREAMS`),
have no draw. All calls have the name of this product, by which the upstream counts its callers.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sluicegate_service.environment import NAMESPACE, PRODUCT
from sluicegate_service.traces import traces
from sluicegate_service.upstream_outcomes import Met
from sluicegate_service.version_marks import (
    CONSUMER_HEADER,
    MARK_HEADER,
    UpstreamVersion,
    read_mark,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate_service.paths import Application, Receive, Scope, Send
    from sluicegate_service.upstream_outcomes import UpstreamOutcomes

Client = TypeVar("Client")
DRAW_HEADER: Final = "sluicegate-draw"
"""It has the upstream, so that a draw for one product is none for another on the same host."""
DRAW_BITS: Final = 7
"""Binary digits of a draw: the route splits requests in steps of 1/128."""
AGE_HEADER: Final = "age"
"""Answers from a cache have it: their version follows no draw."""


@dataclass(slots=True)
class Calls:
    """The upstreams that one request calls.

    It is closed with the request: a task that goes on has no draw any more.
    """

    outcomes: UpstreamOutcomes
    _draws: dict[str, dict[str, str]] = field(default_factory=dict)
    _answers: dict[str, set[UpstreamVersion]] = field(default_factory=dict)
    _is_open: bool = True

    def headers(self, upstream: str) -> dict[str, str]:
        """Return the headers of a draw, the same for each call of an upstream; else none."""
        if not self._is_open or upstream not in self.outcomes.upstreams:
            return {}
        self._answers.setdefault(upstream, set())
        return self._draws.setdefault(upstream, secrets.choice(_DRAWS) | {DRAW_HEADER: upstream})

    def answered(self, version: UpstreamVersion) -> None:
        """Note the version of an answer."""
        if self._is_open and version.upstream in self._answers:
            self._answers[version.upstream].add(version)
            self.outcomes.meet(version)

    def versions(self) -> tuple[UpstreamVersion, ...]:
        """Return the version of each upstream whose canary runs, if all answers were of one."""
        return tuple(
            version
            for upstream, versions in tuple(self._answers.items())
            if len(versions) == 1 and self.outcomes.is_running(upstream)
            for version in versions
        )

    def close(self) -> None:
        """Count the request by the versions that it met."""
        self._is_open = False
        for upstream, versions in tuple(self._answers.items()):
            met = (Met.UNMARKED, Met.ONE)[len(versions)] if len(versions) <= 1 else Met.MIXED
            self.outcomes.count_request(upstream, met)


current_calls: ContextVar[Calls | None] = ContextVar("current_calls", default=None)
"""Calls of the current request; None outside of requests to the API."""


def current_versions() -> tuple[UpstreamVersion, ...]:
    """Return the versions of upstreams that count for the current request."""
    calls = current_calls.get()
    return calls.versions() if calls is not None else ()


def draw_headers(draw: int) -> dict[str, str]:
    """Return the binary prefixes of a draw, each of which a route can match exactly."""
    digits = f"{draw:0{DRAW_BITS}b}"
    return {f"{DRAW_HEADER}-{length}": digits[:length] for length in range(1, DRAW_BITS + 1)}


_DRAWS: Final = tuple(map(draw_headers, range(2**DRAW_BITS)))


class Upstream:
    """A product that this one calls, and that `dependsOn` names.

    Parameters
    ----------
    namespace : of the upstream; that of this product if it is left out.
    """

    def __init__(self, name: str, namespace: str = "") -> None:
        own_namespace = os.environ.get(NAMESPACE, "local")
        self.name = f"{namespace or own_namespace}/{name}"
        self._consumer = {CONSUMER_HEADER: f"{own_namespace}/{os.environ.get(PRODUCT, 'local')}"}

    def headers(self) -> dict[str, str]:
        """Return headers for a call: the name of this product, draw and trace of the current request."""
        calls = current_calls.get()
        drawn = calls.headers(self.name) if calls is not None else {}
        return drawn | self._consumer | traces.headers()

    def answered(self, headers: Mapping[str, str]) -> None:
        """Note the version of an answer, by its headers, whose names are in any case."""
        calls = current_calls.get()
        if calls is None or AGE_HEADER in headers:
            return
        version = read_mark(headers.get(MARK_HEADER))
        if version is not None and version.upstream == self.name:
            calls.answered(version)

    def watch(self, client: Client) -> Client:
        """Let a client's calls have the headers, and return the client.

        It is a session of requests or aiohttp, a client of httpx, or one of BentoML.

        Raises
        ------
        TypeError
            The client is another one.
        """
        for name, types, watch in _WATCHED:
            module = sys.modules.get(name)
            if module is not None and isinstance(
                client, tuple(getattr(module, kind) for kind in types)
            ):
                watch(self, client)
                return client
        raise TypeError(
            f"{type(client).__name__} can't be watched: add headers() to each call, and pass the"
            " headers of each answer to answered()"
        )


def _watch_requests(upstream: Upstream, session: Any) -> None:
    send = session.send

    def sending(request: Any, **options: Any) -> Any:
        request.headers.update(upstream.headers())
        response = send(request, **options)
        upstream.answered(response.headers)
        return response

    session.send = sending


def _watch_httpx(upstream: Upstream, client: Any) -> None:
    def asked(request: Any) -> None:
        request.headers.update(upstream.headers())

    def answered(response: Any) -> None:
        upstream.answered(response.headers)

    client.event_hooks["request"].append(asked)
    client.event_hooks["response"].append(answered)


def _watch_async_httpx(upstream: Upstream, client: Any) -> None:
    async def asked(request: Any) -> None:
        request.headers.update(upstream.headers())

    async def answered(response: Any) -> None:
        upstream.answered(response.headers)

    client.event_hooks["request"].append(asked)
    client.event_hooks["response"].append(answered)


def _watch_aiohttp(upstream: Upstream, session: Any) -> None:
    import aiohttp  # noqa: PLC0415 - the session is one of it

    async def asked(_session: object, _context: object, parameters: Any) -> None:
        parameters.headers.update(upstream.headers())

    async def answered(_session: object, _context: object, parameters: Any) -> None:
        upstream.answered(parameters.response.headers)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(asked)
    trace.on_request_end.append(answered)
    trace.freeze()
    session.trace_configs.append(trace)


def _watch_bentoml(upstream: Upstream, client: Any) -> None:
    upstream.watch(client.client)


_WATCHED: Final = (
    ("requests", ("Session",), _watch_requests),
    ("httpx", ("Client",), _watch_httpx),
    ("httpx", ("AsyncClient",), _watch_async_httpx),
    ("aiohttp", ("ClientSession",), _watch_aiohttp),
    ("bentoml", ("SyncHTTPClient", "AsyncHTTPClient"), _watch_bentoml),
)
"""Modules of clients, their types, and the function that watches one."""


@dataclass(slots=True)
class CountedCalls:
    """An ASGI application whose requests have calls that are counted.

    Attributes
    ----------
    paths : of the API, without /feedback; mirrored requests have others, so their calls don't count.
    """

    application: Application
    paths: frozenset[str]
    outcomes: UpstreamOutcomes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count the request by the versions that its calls met."""
        if scope["type"] != "http" or scope["path"] not in self.paths:
            await self.application(scope, receive, send)
            return
        calls = Calls(self.outcomes)
        token = current_calls.set(calls)
        try:
            await self.application(scope, receive, send)
        finally:
            current_calls.reset(token)
            calls.close()
