"""Who answers queries: a Prometheus, or nobody where none is configured."""

from collections.abc import Callable
from typing import Final, NoReturn, Protocol, TypeVar

from sluicegate.prometheus.errors import PrometheusUnavailable
from sluicegate.prometheus.http_session import Reader

T = TypeVar("T")

UNCONFIGURED: Final = "no Prometheus is configured: set SLUICEGATE_PROMETHEUS_URL"


class Source(Protocol):
    """Answers range queries."""

    async def query_range(
        self,
        text: str,
        *,
        start: int,
        end: int,
        step: int,
        reader: Callable[[], Reader[T]],
        urgent: bool = False,
    ) -> T:
        """See `Prometheus.query_range`."""
        ...


class NoSource:
    """Stands where Prometheus isn't configured: blocks pass, and each is known as not measured.

    So a product is reconciled as in an outage: a new model waits for a person to promote it, and
    status says what is missing.
    """

    async def query_range(self, *_: object, **__: object) -> NoReturn:
        """Raise PrometheusUnavailable, which says what to set."""
        raise PrometheusUnavailable(UNCONFIGURED)
