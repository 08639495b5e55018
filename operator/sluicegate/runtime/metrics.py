"""The runtime's own metrics, under the names that dashboards for controllers already know.

controller-runtime's names and labels where it has the concept; ours start with `sluicegate_`.
No label ever names a product: their number is bounded by kinds and results.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from typing_extensions import override

from sluicegate.runtime.workqueue import QueueObserver

# They would double the series, and nobody asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]

NAME = "dataproduct"
"""The controller and the queue in labels: there is one of each."""

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

LONG_SECONDS = (*SECONDS, 120, 300, 600, 1800)
"""A key waits in the background while thousands of products begin."""

QUEUE_DEPTH = Gauge("workqueue_depth", "Keys that wait for a worker.", ["name"])
QUEUE_ADDS = Counter("workqueue_adds_total", "Keys added to the queue.", ["name"])
QUEUE_RETRIES = Counter("workqueue_retries_total", "Keys added again after a failure.", ["name"])
QUEUE_WAIT = Histogram(
    "workqueue_queue_duration_seconds",
    "From being added to a worker.",
    ["name"],
    buckets=LONG_SECONDS,
)
WORK_TIME = Histogram(
    "workqueue_work_duration_seconds", "Time that a worker takes.", ["name"], buckets=SECONDS
)

RECONCILES = Counter(
    "controller_runtime_reconcile_total", "Reconciles by result.", ["controller", "result"]
)
RECONCILE_ERRORS = Counter(
    "controller_runtime_reconcile_errors_total", "Reconciles that failed.", ["controller"]
)
TERMINAL_ERRORS = Counter(
    "controller_runtime_terminal_reconcile_errors_total",
    "Reconciles of a spec that can't be acted on until a person changes it.",
    ["controller"],
)
RECONCILE_BUGS = Counter(
    "controller_runtime_reconcile_panics_total", "Reconciles that met a bug.", ["controller"]
)
RECONCILE_TIME = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "Time of a reconcile.",
    ["controller"],
    buckets=SECONDS,
)
UNFINISHED_WORK = Gauge(
    "workqueue_unfinished_work_seconds",
    "How long the keys that workers have now have been worked on, in all.",
    ["name"],
)
LONGEST_WORK = Gauge(
    "workqueue_longest_running_processor_seconds",
    "How long the worker that works longest has been at its key.",
    ["name"],
)

ACTIVE_WORKERS = Gauge(
    "controller_runtime_active_workers", "Workers that reconcile now.", ["controller"]
)
MAX_WORKERS = Gauge(
    "controller_runtime_max_concurrent_reconciles", "Workers there are.", ["controller"]
)

LEADING = Gauge(
    "leader_election_master_status", "1 while this replica may write, else 0.", ["name"]
)
FENCED = Counter("sluicegate_writes_fenced_total", "Writes refused as the lease ran out.")

LOOP_LAG = Histogram(
    "sluicegate_event_loop_lag_seconds",
    "How much too late a timer fired.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 1, 2.5, 5),
)
WATCH_AGE = Gauge(
    "sluicegate_watch_age_seconds", "Since the last sign of life of a kind's watch.", ["resource"]
)
EVALUATION_TIME = Histogram(
    "sluicegate_evaluation_duration_seconds",
    "From asking Prometheus for newly settled blocks of one length to having them, spread included.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
EVALUATION_LATENESS = Gauge(
    "sluicegate_evaluation_lateness_seconds",
    "By how much the next complete block is overdue; 0 while it isn't due.",
)
BACKFILLING = Gauge(
    "sluicegate_backfill_pending_products", "Products whose past hasn't been read yet."
)
UNREADABLE = Gauge(
    "sluicegate_unreadable_products",
    "Products that Prometheus can't answer about, or with what is of no use; the log names them.",
)
CACHED = Gauge("sluicegate_cache_objects", "Objects that are kept.", ["resource"])
GHOSTS = Counter(
    "sluicegate_cache_ghosts_total", "Deletions that no watch told, found by resync.", ["resource"]
)
REFUSED_LISTS = Gauge(
    "sluicegate_refused_lists",
    "Namespaces in which the API server forbids to list a kind; the log names them.",
    ["resource"],
)
EVENTS_SENT = Counter("sluicegate_events_sent_total", "Events written.", ["result"])
EVENTS_DROPPED = Counter("sluicegate_events_dropped_total", "Events given up.", ["cause"])

for _result in ("success", "requeue_after", "invalid", "error"):
    RECONCILES.labels(NAME, _result)  # a counter that appears with its first failure has no rate
for _counter in (RECONCILE_ERRORS, TERMINAL_ERRORS, RECONCILE_BUGS, QUEUE_ADDS, QUEUE_RETRIES):
    _counter.labels(NAME)


class QueueMetrics(QueueObserver):
    """Counts what the queue does."""

    @override
    def added(self, depth: int) -> None:
        """Count a key that became ready."""
        QUEUE_ADDS.labels(NAME).inc()
        QUEUE_DEPTH.labels(NAME).set(depth)

    @override
    def taken(self, depth: int, waited: float) -> None:
        """Observe how long a key waited."""
        QUEUE_DEPTH.labels(NAME).set(depth)
        QUEUE_WAIT.labels(NAME).observe(waited)

    @override
    def retried(self) -> None:
        """Count a retry."""
        QUEUE_RETRIES.labels(NAME).inc()
