"""The transport to the API server, which converts its failures into `KubeError`."""

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
from prometheus_client import Counter, Histogram

from sluicegate.kube.backpressure import Backpressure
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
    """Carrier of requests and answers, such as `Connections`."""

    async def exchange(
        self, request: ApiRequest, max_bytes: int | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a request; return status, body and headers.

        AnswerTooLarge if the body has more than `max_bytes` bytes.
        """

    async def close(self) -> None:
        """Close all connections."""


class Transport:
    """Sender of requests to the API server, with spans, errors and backpressure.

    Attributes
    ----------
    backpressure
        The pause after a 429; requests during it fail without being sent.
    """

    def __init__(
        self,
        wire_client: Wire,
        trace_spans: Spans = no_spans,
        *,
        on_return: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the settings.

        `on_return` is called with the seconds without an answer when the API server answers again.
        """
        self._wire = wire_client
        self._spans = trace_spans
        self._on_return = on_return
        self._answered_at = float("-inf")
        self._dated = ("", 0.0)
        self._clock = clock
        self.backpressure = Backpressure(clock)

    async def send(self, request: ApiRequest) -> Body:
        """Send a request and return the object of its answer; every failure is a KubeError.

        A refused token may have been rotated between two reads of its file, so the next request
        logs in again. Only a read is repeated: the lease was checked for the time of one write.
        """
        return parse_object(request.title, await self.fetch(request))

    async def fetch(self, request: ApiRequest, *, max_bytes: int | None = None) -> bytes:
        """Send a request and return the text of its answer; AnswerTooLarge if it has more than `most` bytes."""
        try:
            return await self._attempt(request, max_bytes)
        except Unauthorized:
            if request.method != "GET":
                raise
            return await self._attempt(request, max_bytes)

    def silence(self) -> float:
        """Return the seconds since the last answer that shows a working API server."""
        return self._clock() - self._answered_at

    def server_time(self) -> float | None:
        """Return the API server's time in seconds since 1970; None before an answer with a Date."""
        date, received_at = self._dated
        try:
            return parsedate_to_datetime(date).timestamp() + self._clock() - received_at
        except ValueError:
            return None

    async def close(self) -> None:
        """Close all connections, also during requests; the next request opens new ones."""
        await self._wire.close()

    async def _attempt(self, request: ApiRequest, max_bytes: int | None) -> bytes:
        if pause_seconds := self.backpressure.left:
            message = f"{request.title}: not sent, as the API server asked its clients to back off"
            raise TooManyRequests(message, retry_after=pause_seconds)
        span_attributes = {"http.request.method": request.method, "url.path": request.path}
        with self._spans(request.verb, span_attributes) as trace_span:
            status, body, headers = await self._counted(request, max_bytes)
            trace_span.set("http.response.status_code", status)
            if date := headers.get("Date"):
                self._dated = (date, self._clock())
            if status // 100 != 2:  # noqa: PLR2004  # an HTTP status is its own name
                error = from_response(request.title, status, body, headers)
                self._take_in(error)
                raise error
            self._record_answer()
            return body

    def _take_in(self, error: KubeError) -> None:
        if isinstance(error, TooManyRequests):
            self.backpressure.pause_for(error.retry_after)
        elif not isinstance(error, Transient | Unauthorized):
            self._record_answer()

    def _record_answer(self) -> None:
        silence, self._answered_at = self.silence(), self._clock()
        self._on_return(silence)

    async def _counted(
        self, request: ApiRequest, max_bytes: int | None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        code, send_time = "<error>", self._clock()
        try:
            async with asyncio.timeout(request.seconds):
                api_answer = await self._wire.exchange(request, max_bytes)
            code = str(api_answer[0])
        except TimeoutError as error:
            raise TimedOut(f"{request.title}: no answer in {request.seconds} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{request.title}: {type(error).__name__}: {error}") from error
        finally:
            REQUESTS.labels(code=code, method=request.method, verb=request.verb).inc()
            REQUEST_TIME.labels(verb=request.verb).observe(self._clock() - send_time)
        return api_answer
