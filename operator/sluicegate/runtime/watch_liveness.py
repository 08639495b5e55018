"""When each resource's watch last received an event or bookmark, and whether it had a gap.

Kopf doesn't expose its streams, but its requests go through a session of the operator's. A watch
is renewed every few minutes, so one that hasn't been for long is dead even if the connection
looks alive. Kopf begins each watch by a list, of which it is given only the state that the list
shows: what came before is for the caches' own list, which reads objects one at a time.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import aiohttp
from kubernetes.aio.client import Configuration
from typing_extensions import override
from yarl import URL

from sluicegate.kube.backpressure import Backpressure
from sluicegate.kube.credentials import bearer_of, tls_of
from sluicegate.kube.errors import retry_after
from sluicegate.kube.pages import Page
from sluicegate.kube.resources import Resource
from sluicegate.kube.transport import REQUESTS
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.metrics import WATCH_AGE

RENEWAL_SECONDS = 300
"""Seconds after which the server ends a watch, and Kopf opens it again."""

ANSWER_SECONDS = 10.0
"""How long an answer may take to begin. The API server begins a watch's at once, and Kopf itself
would wait for one that was swallowed as long as for an event: more than a minute."""

REFUSED_SECONDS = 30.0
"""Between requests for what is forbidden, e.g. as the namespace is gone: Kopf would ask each few
seconds, for each kind."""

HTTP_OK = 200
HTTP_FORBIDDEN = 403
HTTP_TOO_MANY_REQUESTS = 429


class Watches:
    """The state of all watches; `on_gap` is called with each kind that must be listed again."""

    def __init__(
        self, resources: Iterable[Resource], clock: Clock, on_gap: Callable[[Resource], None]
    ) -> None:
        self._clock = clock
        self._on_gap = on_gap
        self._by_end = {f"/{one.plural}": one for one in resources}
        self._alive_at: dict[Resource, float] = {}
        self._listed: set[Resource] = set()
        self._open: WeakSet[aiohttp.ClientResponse] = WeakSet()

    def begun(self, resources: Iterable[Resource]) -> None:
        """Take in that these kinds, and no others, are being watched from now on.

        One that was watched before goes on ageing, or watches that end again and again would
        never be old. One that never gives a sign ages from here.
        """
        now = self._clock()
        self._alive_at = {one: self._alive_at.get(one, now) for one in resources}

    def alive(self, resource: Resource) -> None:
        """Record that a watch began, or received an event or bookmark."""
        self._alive_at[resource] = self._clock()

    def opened(self, response: aiohttp.ClientResponse) -> None:
        """Take in the stream of a watch."""
        self._open.add(response)

    def renew(self) -> None:
        """Close all streams, so that Kopf opens them again and continues.

        After an outage it is unknown which of them still work.
        """
        for response in list(self._open):
            response.close()
        self._open.clear()

    def ages(self) -> dict[Resource, float]:
        """Return the seconds since the last event or bookmark, of each kind that is served."""
        now = self._clock()
        return {resource: now - at for resource, at in self._alive_at.items()}

    def export(self) -> None:
        """Bring the metrics up to date; a kind that isn't served has no age."""
        WATCH_AGE.clear()
        for resource, age in self.ages().items():
            WATCH_AGE.labels(resource.qualified).set(age)

    def refused(self, url: URL) -> None:
        """Take in that a request was forbidden: what was never allowed isn't a watch that hangs."""
        resource = self._by_end.get(url.path[url.path.rfind("/") :])
        if resource is not None and resource not in self._listed:
            self.alive(resource)

    def requested(self, url: URL) -> None:
        """Take in that the API server answered a list or watch request with success."""
        resource = self._by_end.get(url.path[url.path.rfind("/") :])
        if resource is None:
            return
        if "watch" in url.query:
            self.alive(resource)
            return
        # No event: each restart begins with a list, whatever becomes of the watch.
        self._on_gap(resource)
        self._listed.add(resource)


class Beginning(aiohttp.ClientResponse):
    """An answer to Kopf; of a list it says only where the watch is to begin."""

    @override
    async def json(self, **how: Any) -> Any:
        """Return the parsed answer: a list without its objects, and as if it had one page.

        A refusal stays as it is: a 429 of the API server is plain text, which Kopf expects.
        """
        if not self.ok or "limit" not in self.url.query:
            return await super().json(**how)
        page = Page((await self.read()).decode(errors="replace"))
        return {"items": [], "metadata": {"resourceVersion": page.resource_version}}


class Bounds:
    """When a request of Kopf's is sent, and how long its answer may take to begin."""

    def __init__(self, backpressure: Backpressure) -> None:
        self._backpressure = backpressure
        self._refused_until: dict[str, float] = {}
        """By path, on the monotonic clock."""

    async def __call__(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request when its time has come."""
        path = request.url.path
        # Kopf's own time-out may come before, but its next request waits here as well.
        await asyncio.sleep(max(0.0, self._refused_until.get(path, 0.0) - time.monotonic()))
        await self._backpressure.wait()
        async with asyncio.timeout(ANSWER_SECONDS):
            response = await send(request)
        if response.status == HTTP_TOO_MANY_REQUESTS:
            self._backpressure.pause_for(retry_after({}, response.headers))
        if response.status == HTTP_FORBIDDEN:
            self._refused_until[path] = time.monotonic() + REFUSED_SECONDS
        return response


def watching_session(
    configuration: Configuration, watches: Watches, backpressure: Backpressure
) -> aiohttp.ClientSession:
    """Return a session for Kopf: our credentials on each request, each answer noticed."""

    async def authorize(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        if bearer := await bearer_of(configuration):
            params.headers["Authorization"] = bearer

    async def notice(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        status = params.response.status
        REQUESTS.labels(code=str(status), method=params.method, verb=verb_of(params.url)).inc()
        if status == HTTP_FORBIDDEN:
            watches.refused(params.url)
        if status == HTTP_OK:
            watches.requested(params.url)
            if "watch" in params.url.query:
                watches.opened(params.response)

    async def count(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        REQUESTS.labels(code="<error>", method=params.method, verb=verb_of(params.url)).inc()

    trace = aiohttp.TraceConfig()
    trace.on_request_exception.append(count)
    trace.on_request_start.append(authorize)
    trace.on_request_end.append(notice)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls_of(configuration)),
        proxy=configuration.proxy,
        trace_configs=[trace],
        middlewares=[Bounds(backpressure)],
        response_class=Beginning,
    )


def verb_of(url: URL) -> str:
    """What Kopf's request is called in metrics."""
    if "watch" in url.query:
        return "watch"
    return "list" if "limit" in url.query else "get"
