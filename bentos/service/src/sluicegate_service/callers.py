"""Requests by caller, of a product whose operator names its consumers.

A consumer that is called with the library sends its name (`upstreams`), others may send the same header.
The names are those of `SLUICEGATE_CONSUMERS`, and `other` for all requests beside them, so there are two
series for each consumer and two more, whatever callers send. The header is what the caller says of
itself: it is not authenticated.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from sluicegate_service.answer_status import is_counted, is_good, watch_answer
from sluicegate_service.environment import CONSUMER_REQUESTS_METRIC
from sluicegate_service.version_marks import CONSUMER_HEADER

if TYPE_CHECKING:
    from sluicegate_service.paths import Application, Receive, Scope, Send

OTHER: Final = "other"
"""Caller of a request without the name of a listed consumer."""
GOOD: Final = "good"
BAD: Final = "bad"
_HEADER: Final = CONSUMER_HEADER.encode()


@cache
def consumer_requests(registry: CollectorRegistry = REGISTRY) -> Counter:
    """Return the counter family, the same one for each call."""
    return Counter(
        CONSUMER_REQUESTS_METRIC,
        "Requests by the name that their caller sends, which is not authenticated.",
        ["consumer", "outcome"],
        registry=registry,
    )


class CallerCounts:
    """An ASGI application that counts the answers of another one by caller.

    `counted` are the paths of the API without /feedback. An answer is bad from 500 on, as for
    availability.
    """

    def __init__(
        self,
        application: Application,
        consumers: frozenset[str],
        *,
        counted: frozenset[str],
        counter: Counter | None = None,
    ) -> None:
        self._application = application
        self._consumers = {name.encode(): name for name in consumers}
        self._counted = counted
        self._counter = counter or consumer_requests()
        for name in (*sorted(consumers), OTHER):
            for outcome in (GOOD, BAD):  # otherwise a rate would miss the first requests
                self._counter.labels(consumer=name, outcome=outcome)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count the answer once it is complete."""
        if scope["type"] != "http" or scope["path"] not in self._counted:
            await self._application(scope, receive, send)
            return
        caller = self._caller(scope)

        def count(status: int, _seconds: float) -> None:
            if is_counted(status):
                outcome = GOOD if is_good(status) else BAD
                self._counter.labels(consumer=caller, outcome=outcome).inc()

        await watch_answer(self._application, scope, receive, send, count=count)

    def _caller(self, scope: Scope) -> str:
        names = {value for name, value in scope["headers"] if name == _HEADER}
        # Two different names are none: either choice could be wrong.
        return self._consumers.get(names.pop(), OTHER) if len(names) == 1 else OTHER
