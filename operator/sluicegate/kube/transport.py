"""Sends requests through the official client and turns its failures into ours.

The client's generated models are left aside: bodies stay dictionaries, so a field that this
version of the client doesn't know is neither lost nor refused.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient
from prometheus_client import Counter, Histogram

from sluicegate.kube.errors import KubeError, TimedOut, Transient, Unauthorized, from_response
from sluicegate.spans import no_spans

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

    from sluicegate.kube.requests import Request
    from sluicegate.spans import Spans

Body = dict[str, Any]

REQUESTS = Counter(
    "rest_client_requests_total",
    "Requests to the API server by status, HTTP method and verb.",
    ["code", "method", "verb"],
)
REQUEST_TIME = Histogram(
    "rest_client_request_duration_seconds",
    "Time from sending a request to the API server to its answer.",
    ["verb"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 3, 10, 30),
)

USER_AGENT = "sluicegate"


class Login(Protocol):
    """Makes the client's configuration, anew each time the credentials were refused."""

    async def __call__(self) -> Configuration:
        """Return host, certificate authority and credentials."""


class Transport:
    """One pool of connections to the API server.

    Attributes
    ----------
    answered_at
        Monotonic time of the last answer of any status; the API server was reachable then.
    """

    def __init__(self, login: Login, spans: Spans = no_spans) -> None:
        self._login = login
        self._spans = spans
        self._client: ApiClient | None = None
        self._opening = asyncio.Lock()
        self.answered_at = float("-inf")

    async def send(self, request: Request) -> Body:
        """Return the answer's object; every failure is a KubeError.

        A refused token may have been rotated between two reads of its file, so the next
        request logs in anew. Only a read is that next request: a write's time is what the
        lease was checked for.
        """
        try:
            return await self._attempt(request)
        except Unauthorized:
            await self.close()
            if request.method != "GET":
                raise
            return await self._attempt(request)

    def silence(self) -> float:
        """Return the seconds since the API server's last answer."""
        return time.monotonic() - self.answered_at

    async def close(self) -> None:
        """Close the pool; the next request opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    async def _attempt(self, request: Request) -> Body:
        described = {"http.request.method": request.method, "url.path": request.path}
        with self._spans(request.verb, described) as span:
            status, body, headers = await self._counted(request)
            span.set("http.response.status_code", status)
            self.answered_at = time.monotonic()
            if status // 100 != 2:  # noqa: PLR2004  # an HTTP status is its own name
                raise from_response(request.title, status, body, headers)
            return parse_object(request, body)

    async def _counted(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        code, sent = "<error>", time.monotonic()
        try:
            async with asyncio.timeout(request.seconds):
                answer = await self._exchange(request)
            code = str(answer[0])
        except TimeoutError as error:
            raise TimedOut(f"{request.title}: no answer in {request.seconds} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{request.title}: {type(error).__name__}: {error}") from error
        finally:
            REQUESTS.labels(code=code, method=request.method, verb=request.verb).inc()
            REQUEST_TIME.labels(verb=request.verb).observe(time.monotonic() - sent)
        return answer

    async def _exchange(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        client = await self._open()
        headers = {"Content-Type": request.content_type, "User-Agent": USER_AGENT}
        await client.update_params_for_auth(
            headers, [], ["BearerToken"], request.path, request.method, None
        )
        response = await client.rest_client.request(  # type: ignore[no-untyped-call]
            request.method,
            client.configuration.host + request.target,
            headers=headers,
            body=request.body,
            _request_timeout=aiohttp.ClientTimeout(total=request.seconds),
        )
        return response.status, await response.read(), dict(response.headers)

    async def _open(self) -> ApiClient:
        async with self._opening:
            if self._client is None:
                self._client = ApiClient(await self._login())
            return self._client


def parse_object(request: Request, body: bytes) -> Body:
    """Return the JSON object of a 2xx answer."""
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise Transient(f"{request.title}: the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise KubeError(f"{request.title}: the answer is not an object")
    return answer
