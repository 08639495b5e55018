"""Asynchronous queries to Prometheus: prometheus-api-client in a bounded number of worker threads.

The library is synchronous, so each worker thread has a client and a session of its own, and there
are only as many threads as queries in flight. After the timeout the caller stops waiting at once;
the thread ends when the socket times out.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self, TypeVar, cast
from weakref import WeakValueDictionary

from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusError,
    PrometheusUnavailable,
)
from sluicegate.prometheus.http_session import QuerySession, Reader
from sluicegate.prometheus.metrics import ABANDONED, ANSWERED, QUERIES, QUERY_TIME, result_of
from sluicegate.spans import Spans, Value, no_spans

T = TypeVar("T")

_RETRY_PAUSE_SECONDS: Final = 0.1
"""Least seconds before the one retry; twice that at most."""
_GRACE_SECONDS: Final = 0.5
"""Seconds beyond the timeout for an answer that is already being parsed."""
OWN_SECONDS: Final = 10.0
"""Timeout of a query that only one product needs."""


class _Question(NamedTuple):
    """A range query; times in seconds since 1970."""

    text: str
    start: int
    end: int
    step: int


class Prometheus:
    """Client of one Prometheus server; use it as an async context manager.

    `asked` is the number of queries sent, for the operator's own metrics, and for tests that the
    number of queries doesn't depend on the number of products.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        trace_spans: Spans = no_spans,
        *,
        open_session: Callable[[Endpoint], QuerySession] = QuerySession,
        clock: Callable[[], float] = time.monotonic,
        sleep_seconds: Callable[[float], None] = time.sleep,
    ) -> None:
        """Store the settings; `open_session` is called once in each worker thread, `sleep` blocks it."""
        self.endpoint = endpoint
        self._open_session = open_session
        self._clock, self._sleep = clock, sleep_seconds
        self._spans = trace_spans
        self.asked = 0
        self._local = threading.local()
        self._turn, self._urgent_turn = threading.Lock(), threading.Lock()
        self._others = asyncio.Semaphore(max(endpoint.concurrency - 1, 1))
        """Queries under way that aren't urgent: one place is left for those that are."""
        self._own = asyncio.Semaphore(max(endpoint.concurrency // 2, 1))
        """Of those, queries that only one product needs: others find a place beside them."""
        self._namespaces: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of those, one of a namespace at a time."""
        self._clients: list[PrometheusConnect] = []
        self._threads = ThreadPoolExecutor(endpoint.concurrency, thread_name_prefix="prometheus")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Accept no more queries; threads that wait for an answer end at their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.close()

    async def query_range(
        self,
        text: str,
        *,
        start: int,
        end: int,
        step: int,
        reader: Callable[[], Reader[T]],
        urgent: bool = False,
        own_of: str = "",
    ) -> T:
        """Query `text` at start, start + step … end; return the reader's result of the rows.

        Readers work in a worker thread, one at a time: thousands of rows would block the event
        loop, and those of several answers take too much memory. An urgent query doesn't wait for
        the answers or rows of others. `own_of` is the namespace of the only product that needs the
        query: it isn't urgent, waits for others of its namespace, and has a shorter timeout.

        Raises
        ------
        PrometheusError
            No complete answer in time; the type has the reason.
        """
        self.asked += 1
        seconds = self.endpoint.timeout_seconds
        if own_of:
            urgent, seconds = False, min(seconds, OWN_SECONDS)

        def ask_prometheus() -> T:
            client, session = self._of_this_thread()
            session.reader, session.turn = reader, self._urgent_turn if urgent else self._turn
            # The session has replaced the rows by the reader's result.
            return cast("T", self._ask(client, _Question(text, start, end, step), seconds))

        span_attributes: dict[str, Value] = {
            "db.system": "prometheus",
            "db.query.text": text,
            "sluicegate.step": step,
        }
        give_back = await self._place(is_urgent=urgent, own_of=own_of)
        result, send_time = ABANDONED, self._clock()
        try:
            with self._spans("query", span_attributes):
                awaited_answer = await self._answer(ask_prometheus, seconds, give_back)
            result = ANSWERED
        except PrometheusError as error:
            result = result_of(error)
            raise
        finally:
            QUERIES.labels(result).inc()
            QUERY_TIME.observe(self._clock() - send_time)
        return awaited_answer

    async def _place(self, *, is_urgent: bool, own_of: str) -> Callable[[], None]:
        """Wait for a free query slot; return the function that releases it."""
        query_queues: list[asyncio.Lock | asyncio.Semaphore] = [] if is_urgent else [self._others]
        if own_of:
            namespace_queue = self._namespaces.setdefault(own_of, asyncio.Lock())
            query_queues = [namespace_queue, self._own, self._others]
        with ExitStack() as acquired_queues:
            for queue in query_queues:
                await queue.acquire()
                acquired_queues.callback(queue.release)
            return acquired_queues.pop_all().close

    async def _answer(
        self, ask_prometheus: Callable[[], T], seconds: float, give_back: Callable[[], None]
    ) -> T:
        """Run a query in a worker thread, which frees its queue place even after the caller's timeout."""
        event_loop, has_begun = asyncio.get_running_loop(), False

        def ask_and_end() -> T:
            nonlocal has_begun
            has_begun = True
            try:
                return ask_prometheus()
            finally:
                with suppress(RuntimeError):  # the event loop is closed, and no query waits
                    event_loop.call_soon_threadsafe(give_back)

        awaited_answer = event_loop.run_in_executor(self._threads, ask_and_end)
        awaited_answer.add_done_callback(lambda _: None if has_begun else give_back())
        try:
            return await asyncio.wait_for(awaited_answer, seconds + _GRACE_SECONDS)
        except TimeoutError as error:
            raise PrometheusUnavailable(f"Prometheus didn't answer within {seconds:g} s") from error

    def _ask(self, client: PrometheusConnect, question: _Question, seconds: float) -> object:
        deadline = self._clock() + seconds
        try:
            return _send_query(client, question, seconds)
        except (PartialAnswer, MalformedAnswer):
            raise
        except PrometheusUnavailable:
            pause_seconds = _RETRY_PAUSE_SECONDS * (1 + random.random())
            # A connection that the server had closed in the meantime fails at once, and an
            # overloaded server fails late: only the first is retried.
            if deadline - self._clock() < seconds / 2 + pause_seconds:
                raise
            self._sleep(pause_seconds)
            return _send_query(client, question, deadline - self._clock())

    def _of_this_thread(self) -> tuple[PrometheusConnect, QuerySession]:
        """Return the calling thread's own client and session."""
        if not hasattr(self._local, "client"):
            self._local.session = self._open_session(self.endpoint)
            self._local.client = PrometheusConnect(
                url=self.endpoint.url.rstrip("/"),
                session=self._local.session,
                retry=Retry(total=0),
                method="POST",
            )
            self._clients.append(self._local.client)
        return self._local.client, self._local.session


def _send_query(client: PrometheusConnect, question: _Question, seconds: float) -> object:
    return client.custom_query_range(
        query=question.text,
        start_time=datetime.fromtimestamp(question.start, UTC),
        end_time=datetime.fromtimestamp(question.end, UTC),
        step=str(question.step),
        # Seconds as a bare number: Prometheus reads neither "20.0s" nor "1.5s" as a duration.
        params={"timeout": f"{seconds:.3f}"},
        timeout=seconds,
    )
