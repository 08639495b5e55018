"""Queries to Prometheus as coroutines: prometheus-api-client in worker threads, bounded.

The library is synchronous, so each worker thread has a client and a session of its own, and
there are only as many threads as queries may be under way. A query that isn't answered in
time is given up by the caller at once; its thread follows when the socket times out.
"""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusError,
    PrometheusUnavailable,
)
from sluicegate.prometheus.metrics import ABANDONED, ANSWERED, QUERIES, QUERY_TIME, result_of
from sluicegate.prometheus.session import QuerySession
from sluicegate.spans import no_spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sluicegate.prometheus.endpoint import Endpoint
    from sluicegate.spans import Spans, Value

T = TypeVar("T")
Matrix = list[dict[str, Any]]
"""Rows of a range query as JSON has them: `{"metric": {…}, "values": [[time, "value"], …]}`."""

_PAUSE: Final = 0.1
"""Seconds before the one retry, at least; twice that at most."""
_GRACE: Final = 0.5
"""Seconds beyond the time-out for an answer that is already being parsed."""


class Prometheus:
    """One Prometheus server; use it as an async context manager.

    `asked` counts the queries sent, for the operator's own metrics and for tests that hold
    the number of queries independent of the number of products.
    """

    def __init__(self, endpoint: Endpoint, spans: Spans = no_spans) -> None:
        self.endpoint = endpoint
        self._spans = spans
        self.asked = 0
        self._local = threading.local()
        self._clients: list[PrometheusConnect] = []
        self._threads = ThreadPoolExecutor(endpoint.concurrency, thread_name_prefix="prometheus")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Accept no more queries; threads that wait for an answer end at their time-out."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.close()

    async def query_range(
        self, text: str, *, start: int, end: int, step: int, parse: Callable[[Matrix], T]
    ) -> T:
        """The values of `text` at start, start + step … end, as `parse` makes of the rows.

        `parse` runs in the worker thread too: thousands of rows would hold up the event loop.

        Raises
        ------
        PrometheusError
            No complete answer in time; which one says why.
        """
        self.asked += 1

        def ask() -> T:
            return parse(self._ask(text, start, end, step))

        described: dict[str, Value] = {
            "db.system": "prometheus",
            "db.query.text": text,
            "sluicegate.step": step,
        }
        result, sent = ABANDONED, monotonic()
        try:
            with self._spans("query", described):
                answer = await self._answer(ask)
            result = ANSWERED
        except PrometheusError as error:
            result = result_of(error)
            raise
        finally:
            QUERIES.labels(result).inc()
            QUERY_TIME.observe(monotonic() - sent)
        return answer

    async def _answer(self, ask: Callable[[], T]) -> T:
        answer = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        seconds = self.endpoint.timeout_seconds
        try:
            return await asyncio.wait_for(answer, seconds + _GRACE)
        except TimeoutError as error:
            raise PrometheusUnavailable(f"Prometheus didn't answer within {seconds:g} s") from error

    def _ask(self, text: str, start: int, end: int, step: int) -> Matrix:
        deadline = monotonic() + self.endpoint.timeout_seconds
        try:
            return self._send(text, start, end, step)
        except (PartialAnswer, MalformedAnswer):
            raise
        except PrometheusUnavailable:
            pause = _PAUSE * (1 + random.random())
            # A connection that the server had closed in the meantime fails at once, and an
            # overloaded server fails late: only the first is worth asking again.
            if deadline - monotonic() < self.endpoint.timeout_seconds / 2 + pause:
                raise
            sleep(pause)
            return self._send(text, start, end, step, seconds=deadline - monotonic())

    def _send(
        self, text: str, start: int, end: int, step: int, *, seconds: float | None = None
    ) -> Matrix:
        seconds = seconds or self.endpoint.timeout_seconds
        client = self._client()
        rows = client.custom_query_range(
            query=text,
            start_time=datetime.fromtimestamp(start, UTC),
            end_time=datetime.fromtimestamp(end, UTC),
            step=str(step),
            # Seconds as a bare number: Prometheus reads neither "20.0s" nor "1.5s" as a duration.
            params={"timeout": f"{seconds:.3f}"},
            timeout=seconds,
        )
        return check_rows(rows)

    def _client(self) -> PrometheusConnect:
        """The client of the thread that calls."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = PrometheusConnect(
                url=self.endpoint.url.rstrip("/"),
                session=QuerySession(self.endpoint),
                retry=Retry(total=0),
                method="POST",
            )
            self._local.client = client
            self._clients.append(client)
        return client


def check_rows(rows: list[Any]) -> Matrix:
    """`rows`, if each has labels and values."""
    for row in rows:
        if not isinstance(row, dict) or not row.keys() >= {"metric", "values"}:
            raise MalformedAnswer(f"a row without metric and values: {row!r:.200}")
    return rows
