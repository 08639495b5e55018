"""Sends requests through the official client and turns its failures into ours.

The client's generated models are left aside: bodies stay dictionaries, so a field that this
version of the client doesn't know is neither lost nor refused.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient
from prometheus_client import Counter, Histogram

from sluicegate.kube.errors import (
    AnswerTooLarge,
    KubeError,
    TimedOut,
    TooManyRequests,
    Transient,
    Unauthorized,
    from_response,
)
from sluicegate.kube.pages import parse
from sluicegate.kube.patience import Patience
from sluicegate.spans import no_spans

if TYPE_CHECKING:
    from collections.abc import Callable

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
UNAUTHORIZED = 401


class Login(Protocol):
    """Makes the client's configuration, anew each time the credentials were refused."""

    async def __call__(self) -> Configuration:
        """Return host, certificate authority and credentials."""


@dataclass(eq=False, slots=True)
class Pool:
    """Connections under one set of credentials; closed when nobody uses a retired one."""

    client: ApiClient
    users: int = 0
    retired: bool = False

    async def close_if_done(self) -> None:
        """Close it, once its credentials were refused and its last request has ended."""
        if self.retired and not self.users:
            await self.client.close()  # type: ignore[no-untyped-call]


class Transport:
    """One pool of connections to the API server.

    Attributes
    ----------
    patience
        What the API server asked for by a 429; requests in its time fail without being sent.
    """

    def __init__(
        self,
        login: Login,
        spans: Spans = no_spans,
        *,
        on_return: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Nothing is opened yet; `on_return` is told how long the API server was silent."""
        self._login = login
        self._spans = spans
        self._on_return = on_return
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self._answered_at = float("-inf")
        self.patience = Patience()

    async def send(self, request: Request) -> Body:
        """Return the answer's object; every failure is a KubeError.

        A refused token may have been rotated between two reads of its file, so the next
        request logs in anew. Only a read is that next request: a write's time is what the
        lease was checked for.
        """
        return parse_object(request, await self.fetch(request))

    async def fetch(self, request: Request, *, most: int | None = None) -> bytes:
        """Return the answer's text, as `send` does; AnswerTooLarge above so many bytes."""
        try:
            return await self._attempt(request, most)
        except Unauthorized:
            if request.method != "GET":
                raise
            return await self._attempt(request, most)

    def silence(self) -> float:
        """Return the seconds since the API server last answered as one that works."""
        return time.monotonic() - self._answered_at

    async def close(self) -> None:
        """Close the pool, whoever uses it; the next request opens another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.client.close()  # type: ignore[no-untyped-call]

    async def _attempt(self, request: Request, most: int | None) -> bytes:
        if left := self.patience.left:
            asked = f"{request.title}: not sent, the API server wants to be left alone"
            raise TooManyRequests(asked, retry_after=left)
        described = {"http.request.method": request.method, "url.path": request.path}
        with self._spans(request.verb, described) as span:
            status, body, headers = await self._counted(request, most)
            span.set("http.response.status_code", status)
            if status // 100 != 2:  # noqa: PLR2004  # an HTTP status is its own name
                error = from_response(request.title, status, body, headers)
                self._take_in(error)
                raise error
            self._hear()
            return body

    def _take_in(self, error: KubeError) -> None:
        if isinstance(error, TooManyRequests):
            self.patience.ask(error.retry_after)
        elif not isinstance(error, Transient | Unauthorized):
            self._hear()

    def _hear(self) -> None:
        silence, self._answered_at = self.silence(), time.monotonic()
        self._on_return(silence)

    async def _counted(
        self, request: Request, most: int | None
    ) -> tuple[int, bytes, dict[str, str]]:
        code, sent = "<error>", time.monotonic()
        try:
            async with asyncio.timeout(request.seconds):
                answer = await self._exchange(request, most)
            code = str(answer[0])
        except TimeoutError as error:
            raise TimedOut(f"{request.title}: no answer in {request.seconds} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{request.title}: {type(error).__name__}: {error}") from error
        finally:
            REQUESTS.labels(code=code, method=request.method, verb=request.verb).inc()
            REQUEST_TIME.labels(verb=request.verb).observe(time.monotonic() - sent)
        return answer

    async def _exchange(
        self, request: Request, most: int | None
    ) -> tuple[int, bytes, dict[str, str]]:
        pool = await self._open()
        pool.users += 1
        try:
            answer = await exchange(pool.client, request, most)
            if answer[0] == UNAUTHORIZED:
                self._retire(pool)
            return answer
        finally:
            pool.users -= 1
            await pool.close_if_done()

    def _retire(self, pool: Pool) -> None:
        """Let the next request log in anew; those under way keep their connections."""
        pool.retired = True
        if self._pool is pool:
            self._pool = None

    async def _open(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = Pool(ApiClient(await self._login()))
            return self._pool


async def exchange(
    client: ApiClient, request: Request, most: int | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of the answer; AnswerTooLarge above so many bytes."""
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
    body = await response.read() if most is None else await read(response.response, most)
    if body is None:
        raise AnswerTooLarge(f"{request.title}: the answer has more than {most} bytes")
    return response.status, body, dict(response.headers)


async def read(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """Return the body of an answer; None, and the connection is closed, if it has more bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            return None
    return bytes(body)


def parse_object(request: Request, body: bytes) -> Body:
    """Return the JSON object of a 2xx answer."""
    try:
        answer = parse(body.decode())
    except ValueError as error:
        raise Transient(f"{request.title}: the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise KubeError(f"{request.title}: the answer is not an object")
    return answer
