"""Metrics of the runtime, under the names that dashboards for controllers use.

Names and labels are controller-runtime's where it has the concept; others start with `sluicegate_`.
No label names a product: their number is bounded by kinds and results.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from typing_extensions import override

from sluicegate.runtime.workqueue import QueueObserver

# Series of creation times would double the number of series without use.
disable_created_metrics()  # type: ignore[no-untyped-call]

NAME = "dataproduct"
"""Label of the controller and of the queue: there is one of each."""

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

LONG_SECONDS = (*SECONDS, 120, 300, 600, 1800)
"""Buckets for waiting times: a background key waits for minutes while thousands of products are created."""

QUEUE_DEPTH = Gauge("workqueue_depth", "Keys that wait for a worker.", ["name"])
QUEUE_ADDS = Counter("workqueue_adds_total", "Keys added to the queue.", ["name"])
QUEUE_RETRIES = Counter("workqueue_retries_total", "Keys added again after a failure.", ["name"])
QUEUE_WAIT = Histogram(
    "workqueue_queue_duration_seconds",
    "Seconds from adding a key until a worker takes it.",
    ["name"],
    buckets=LONG_SECONDS,
)
WORK_TIME = Histogram(
    "workqueue_work_duration_seconds",
    "Seconds that a worker takes to process a key.",
    ["name"],
    buckets=SECONDS,
)

RECONCILE_COUNTER = Counter(
    "controller_runtime_reconcile_total", "Reconciles by result.", ["controller", "result"]
)
RECONCILE_ERRORS = Counter(
    "controller_runtime_reconcile_errors_total",
    "Reconciles that failed and are retried.",
    ["controller"],
)
TERMINAL_ERRORS = Counter(
    "controller_runtime_terminal_reconcile_errors_total",
    "Reconciles of an invalid spec, which are not retried.",
    ["controller"],
)
RECONCILE_BUGS = Counter(
    "controller_runtime_reconcile_panics_total",
    "Reconciles that failed on a bug of the operator.",
    ["controller"],
)
RECONCILE_TIME = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "Duration of a reconcile.",
    ["controller"],
    buckets=SECONDS,
)
UNFINISHED_WORK = Gauge(
    "workqueue_unfinished_work_seconds",
    "Total seconds of work in progress that has not finished yet.",
    ["name"],
)
LONGEST_WORK = Gauge(
    "workqueue_longest_running_processor_seconds",
    "Seconds for which the longest-running worker has been processing its key.",
    ["name"],
)

ACTIVE_WORKERS = Gauge(
    "controller_runtime_active_workers", "Workers that are reconciling.", ["controller"]
)
MAX_WORKERS = Gauge(
    "controller_runtime_max_concurrent_reconciles",
    "Maximum number of concurrent reconciles.",
    ["controller"],
)

LEADING_GAUGE = Gauge(
    "leader_election_master_status", "1 while this replica leads, else 0.", ["name"]
)
FENCED_WRITES = Counter(
    "sluicegate_writes_fenced_total", "Writes refused because the lease was about to expire."
)

LOOP_LAG = Histogram(
    "sluicegate_event_loop_lag_seconds",
    "Delay of the event loop's timers.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 1, 2.5, 5),
)
WATCH_AGE = Gauge(
    "sluicegate_watch_age_seconds",
    "Seconds since the last event or bookmark on the watch of this resource.",
    ["resource"],
)
EVALUATION_TIME = Histogram(
    "sluicegate_evaluation_duration_seconds",
    "Duration of reading the newly completed blocks of one length for all products.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
EVALUATION_LATENESS = Gauge(
    "sluicegate_evaluation_lateness_seconds",
    "Seconds by which the next complete block is overdue; 0 while it is not due.",
)
BACKFILLING_PRODUCTS = Gauge(
    "sluicegate_backfill_pending_products",
    "Products whose earlier blocks are still being read back.",
)
CACHED_OBJECTS = Gauge("sluicegate_cache_objects", "Objects in the cache.", ["resource"])
VANISHED_OBJECTS = Counter(
    "sluicegate_cache_ghosts_total",
    "Deletions that the watch missed and a resync found.",
    ["resource"],
)
REFUSED_LISTS = Gauge(
    "sluicegate_refused_lists",
    "Namespaces in which the API server forbids listing this resource; the log names them.",
    ["resource"],
)
EVENTS_SENT = Counter(
    "sluicegate_events_sent_total", "Events sent to the API server, by result.", ["result"]
)
EVENTS_DROPPED = Counter(
    "sluicegate_events_dropped_total", "Events that were dropped, by cause.", ["cause"]
)

for _result in ("success", "requeue_after", "invalid", "error"):
    RECONCILE_COUNTER.labels(
        NAME, _result
    )  # a counter that only exists after the first failure has no rate
for _counter in (RECONCILE_ERRORS, TERMINAL_ERRORS, RECONCILE_BUGS, QUEUE_ADDS, QUEUE_RETRIES):
    _counter.labels(NAME)


class QueueMetrics(QueueObserver):
    """Metrics of the queue."""

    @override
    def added(self, depth: int) -> None:
        """Count a key that became ready."""
        QUEUE_ADDS.labels(NAME).inc()
        QUEUE_DEPTH.labels(NAME).set(depth)

    @override
    def taken(self, depth: int, waited: float) -> None:
        """Observe the waiting time of a key."""
        QUEUE_DEPTH.labels(NAME).set(depth)
        QUEUE_WAIT.labels(NAME).observe(waited)

    @override
    def retried(self) -> None:
        """Count a retry."""
        QUEUE_RETRIES.labels(NAME).inc()
