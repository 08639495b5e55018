"""Errors of queries to Prometheus.

Exceptions of libraries are converted here once. The operator treats each of these as "cannot
measure": never as zero, never as good.
"""


class PrometheusError(Exception):
    """No usable answer to a query."""


class PrometheusUnavailable(PrometheusError):  # noqa: N818  # the reason people see
    """Prometheus didn't answer: refused, timed out, 5xx, or too many requests. A retry may succeed."""


class PartialAnswer(PrometheusUnavailable):
    """Prometheus answered with warnings: some of the data is missing, so no count is valid."""


class MalformedAnswer(PrometheusUnavailable):
    """The answer isn't that of a working Prometheus: not JSON, the wrong type, too large.

    Or it has a row that can't be read, or more bytes than are read into memory: then the query is
    the cause, see `QueryRejected`.

    Attributes
    ----------
    oversized
        Whether the answer is too large: that of a smaller query may fit.
    """

    def __init__(self, text: str, *, is_oversized: bool = False) -> None:
        super().__init__(text)
        self.oversized = is_oversized


class QueryRejected(PrometheusError):  # noqa: N818  # says what happened, as the others do
    """Prometheus refuses the query (4xx): wrong address, wrong credentials, or conflicting series.

    If it answers other queries, the series of this one are the cause.
    """
