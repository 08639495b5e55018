"""The source of measurements: Prometheus, or none if none is configured."""

from collections.abc import Callable
from typing import Final, NoReturn, Protocol, TypeVar

from sluicegate.prometheus.errors import PrometheusUnavailable
from sluicegate.prometheus.http_session import Reader

T = TypeVar("T")

UNCONFIGURED_TEXT: Final = "no Prometheus is configured: set SLUICEGATE_PROMETHEUS_URL"


class Source(Protocol):
    """A source that answers range queries."""

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
        """Query a range; see `Prometheus.query_range`."""
        ...


class NoSource:
    """The source without a Prometheus: each block is complete, and without measurements.

    So a product is reconciled as in an outage of Prometheus: a new model waits for a person to
    promote it, and status has the reason.
    """

    async def query_range(self, *_: object, **__: object) -> NoReturn:
        """Raise PrometheusUnavailable with the setting that is missing."""
        raise PrometheusUnavailable(UNCONFIGURED_TEXT)
