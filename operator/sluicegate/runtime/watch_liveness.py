"""Liveness of watches: the time of the last event or bookmark of each kind, and gaps.

Kopf doesn't expose its streams, but its requests go through a session of the operator's. A watch is
renewed every few minutes, so one that hasn't been renewed for long is dead even if the connection
is open. Kopf begins each watch by a list, of which it gets only the resourceVersion: the objects
are listed for the caches separately, one object at a time.
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
"""Longest time until an answer begins. The API server answers a watch at once; Kopf itself would
wait for a lost one as long as for an event, more than a minute."""

REFUSED_SECONDS = 30.0
"""Seconds between requests for a forbidden kind, e.g. of a deleted namespace: Kopf would send one
every few seconds, for each kind."""

HTTP_OK = 200
HTTP_FORBIDDEN = 403
HTTP_TOO_MANY_REQUESTS = 429


class Watches:
    """State of all watches; `on_gap` is called with each kind that must be listed again."""

    def __init__(
        self, resources: Iterable[Resource], clock: Clock, on_gap: Callable[[Resource], None]
    ) -> None:
        self._clock = clock
        self._on_gap = on_gap
        self._by_end = {f"/{resource.plural}": resource for resource in resources}
        self._alive_at: dict[Resource, float] = {}
        self._listed_resources: set[Resource] = set()
        self._open: WeakSet[aiohttp.ClientResponse] = WeakSet()

    def mark_begun(self, resources: Iterable[Resource]) -> None:
        """Record the kinds that are being watched from now on.

        The age of a kind that was watched before continues, so that watches that end repeatedly
        become old. The age of a new one begins here.
        """
        now = self._clock()
        self._alive_at = {resource: self._alive_at.get(resource, now) for resource in resources}

    def alive(self, resource: Resource) -> None:
        """Record that a watch began, or received an event or bookmark."""
        self._alive_at[resource] = self._clock()

    def opened(self, response: aiohttp.ClientResponse) -> None:
        """Record the stream of a watch."""
        self._open.add(response)

    def renew(self) -> None:
        """Close all streams, so that Kopf opens them again and continues.

        After an outage, any of them may be dead.
        """
        for response in list(self._open):
            response.close()
        self._open.clear()

    def ages(self) -> dict[Resource, float]:
        """Return the seconds since the last event or bookmark, of each kind that is served."""
        now = self._clock()
        return {resource: now - alive_time for resource, alive_time in self._alive_at.items()}

    def export(self) -> None:
        """Update the metrics; a kind that isn't served has no age."""
        WATCH_AGE.clear()
        for resource, age in self.ages().items():
            WATCH_AGE.labels(resource.qualified).set(age)

    def refused(self, url: URL) -> None:
        """Record that a request was forbidden: a watch that was never allowed isn't dead."""
        resource = self._by_end.get(url.path[url.path.rfind("/") :])
        if resource is not None and resource not in self._listed_resources:
            self.alive(resource)

    def requested(self, url: URL) -> None:
        """Record that the API server answered a list or watch request with success."""
        resource = self._by_end.get(url.path[url.path.rfind("/") :])
        if resource is None:
            return
        if "watch" in url.query:
            self.alive(resource)
            return
        # This is no event: each restart begins with a list, also if the watch then fails.
        self._on_gap(resource)
        self._listed_resources.add(resource)


class WatchStart(aiohttp.ClientResponse):
    """An answer to Kopf; a list is reduced to the version at which the watch begins."""

    @override
    async def json(self, **json_options: Any) -> Any:
        """Return the parsed answer: a list without its objects, as if it had one page.

        A refusal is unchanged: a 429 of the API server is plain text, which Kopf expects.
        """
        if not self.ok or "limit" not in self.url.query:
            return await super().json(**json_options)
        page = Page((await self.read()).decode(errors="replace"))
        return {"items": [], "metadata": {"resourceVersion": page.resource_version}}


class RequestLimits:
    """Middleware for Kopf's requests: pauses of the API server, and a limit until an answer begins."""

    def __init__(self, api_backpressure: Backpressure) -> None:
        self._backpressure = api_backpressure
        self._refused_until: dict[str, float] = {}
        """By path, on the monotonic clock."""

    async def __call__(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request after the pause that the API server requested."""
        path = request.url.path
        # Kopf's own timeout may end the request before, but its next one waits here as well.
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
    configuration: Configuration, watches: Watches, api_backpressure: Backpressure
) -> aiohttp.ClientSession:
    """Return an HTTP session for Kopf, with the operator's credentials, which records the time of each answer."""

    async def authorize_request(
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

    trace_config = aiohttp.TraceConfig()
    trace_config.on_request_exception.append(count)
    trace_config.on_request_start.append(authorize_request)
    trace_config.on_request_end.append(notice)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls_of(configuration)),
        proxy=configuration.proxy,
        trace_configs=[trace_config],
        middlewares=[RequestLimits(api_backpressure)],
        response_class=WatchStart,
    )


def verb_of(url: URL) -> str:
    """Return the name of Kopf's request in metrics."""
    if "watch" in url.query:
        return "watch"
    return "list" if "limit" in url.query else "get"
