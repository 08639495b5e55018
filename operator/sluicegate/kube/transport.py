"""Sends requests to the API server and turns its failures into ours."""

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
from prometheus_client import Counter, Histogram

from sluicegate.kube.backpressure import Patience
from sluicegate.kube.errors import (
    KubeError,
    TimedOut,
    TooManyRequests,
    Transient,
    Unauthorized,
    from_response,
)
from sluicegate.kube.pages import parse_object
from sluicegate.kube.requests import ApiRequest
from sluicegate.spans import Spans, no_spans

Body = dict[str, Any]

REQUESTS = Counter(
    "rest_client_requests_total",
    "Requests to the API server by status, HTTP method and verb.",
    ["code", "method", "verb"],
)
REQUEST_TIME = Histogram(
    "rest_client_request_duration_seconds",
    "Duration of a request to the API server.",
    ["verb"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 3, 10, 30),
)


class Wire(Protocol):
    """Carries requests to the API server and brings its answers."""

    async def exchange(
        self, request: ApiRequest, most: int | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Return status, body and headers of the answer; AnswerTooLarge above so many bytes."""

    async def close(self) -> None:
        """Close what is open."""


class Transport:
    """The way to the API server.

    Attributes
    ----------
    patience
        What the API server asked for by a 429; requests in its time fail without being sent.
    """

    def __init__(
        self,
        wire: Wire,
        spans: Spans = no_spans,
        *,
        on_return: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing yet; `on_return` is called with the API server's seconds of silence."""
        self._wire = wire
        self._spans = spans
        self._on_return = on_return
        self._answered_at = float("-inf")
        self._dated = ("", 0.0)
        self._clock = clock
        self.patience = Patience(clock)

    async def send(self, request: ApiRequest) -> Body:
        """Return the answer's object; every failure is a KubeError.

        A refused token may have been rotated between two reads of its file, so the next
        request logs in again. Only a read repeats: the lease was checked for the time of a write.
        """
        return parse_object(request.title, await self.fetch(request))

    async def fetch(self, request: ApiRequest, *, most: int | None = None) -> bytes:
        """Return the answer's text, as `send` does; AnswerTooLarge above so many bytes."""
        try:
            return await self._attempt(request, most)
        except Unauthorized:
            if request.method != "GET":
                raise
            return await self._attempt(request, most)

    def silence(self) -> float:
        """Return the seconds since the API server last answered as one that works."""
        return self._clock() - self._answered_at

    def server_time(self) -> float | None:
        """Return the API server's time in seconds since 1970; None before an answer has a Date."""
        date, at = self._dated
        try:
            return parsedate_to_datetime(date).timestamp() + self._clock() - at
        except ValueError:
            return None

    async def close(self) -> None:
        """Close all connections, also during requests; the next request opens new ones."""
        await self._wire.close()

    async def _attempt(self, request: ApiRequest, most: int | None) -> bytes:
        if left := self.patience.left:
            asked = f"{request.title}: not sent, as the API server asked its clients to back off"
            raise TooManyRequests(asked, retry_after=left)
        described = {"http.request.method": request.method, "url.path": request.path}
        with self._spans(request.verb, described) as span:
            status, body, headers = await self._counted(request, most)
            span.set("http.response.status_code", status)
            if date := headers.get("Date"):
                self._dated = (date, self._clock())
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
        silence, self._answered_at = self.silence(), self._clock()
        self._on_return(silence)

    async def _counted(
        self, request: ApiRequest, most: int | None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        code, sent = "<error>", self._clock()
        try:
            async with asyncio.timeout(request.seconds):
                answer = await self._wire.exchange(request, most)
            code = str(answer[0])
        except TimeoutError as error:
            raise TimedOut(f"{request.title}: no answer in {request.seconds} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{request.title}: {type(error).__name__}: {error}") from error
        finally:
            REQUESTS.labels(code=code, method=request.method, verb=request.verb).inc()
            REQUEST_TIME.labels(verb=request.verb).observe(self._clock() - sent)
        return answer
