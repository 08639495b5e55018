"""Metrics of the operator's queries to Prometheus."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusError,
    QueryRejected,
)

QUERIES: Final = Counter(
    "sluicegate_prometheus_queries_total", "Queries to Prometheus by result.", ["result"]
)
QUERY_TIME: Final = Histogram(
    "sluicegate_prometheus_query_duration_seconds",
    "Duration of a query, including the wait for a free connection and the retry.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60),
)
RETENTION_SHORT: Final = Gauge(
    "sluicegate_prometheus_retention_short",
    "1 if the retention of Prometheus is shorter than the windows of decisions.",
)
ROWS_SKIPPED: Final = Counter(
    "sluicegate_prometheus_rows_skipped_total",
    "Rows without a readable number; the blocks of their products are unknown.",
)

ANSWERED: Final = "answered"
ABANDONED: Final = "abandoned"
"""Result of a query that was ended because its fetch as a whole took too long."""
_RESULTS: Final = {
    QueryRejected: "rejected",
    PartialAnswer: "partial",
    MalformedAnswer: "malformed",
}
for _result in (ANSWERED, ABANDONED, "unavailable", *_RESULTS.values()):
    QUERIES.labels(_result)  # a counter that only exists after the first failure has no rate


def result_of(error: PrometheusError) -> str:
    """Return the label by which a failed query is counted."""
    return _RESULTS.get(type(error), "unavailable")
