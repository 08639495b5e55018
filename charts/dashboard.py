"""The Grafana dashboard of the operator.

    python -m charts.dashboard > charts/sluicegate/files/dashboard.json

The chart ships the JSON in a ConfigMap; a test compares it with what this prints, parses each
expression, and looks each metric up in what the operator exposes.
"""
# ruff: noqa: INP001 - a script beside the chart that it writes for, not a package

from __future__ import annotations

import sys
from typing import Final

from charts.grafana import Board, Panel, Rows, Variable, render

OPERATOR: Final = 'job=~"$job"'
PRODUCT: Final = f'{OPERATOR},namespace=~"$namespace",product=~"$product"'


def rate(metric: str, by: str, match: str = "") -> str:
    """A counter's rate."""
    inside = ",".join(part for part in (OPERATOR, match) if part)
    return f"sum by ({by}) (rate({metric}{{{inside}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """A quantile of a histogram."""
    labels = ", ".join(part for part in (by, "le") if part)
    rates = f"rate({histogram}_bucket{{{OPERATOR}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({labels}) ({rates}))"


ROWS: Final[Rows] = (
    ("Products", (
        Panel("Products by state",
              (("{{state}}", f"sum by (state) (sluicegate_products{{{OPERATOR}}})"),)),
        Panel("Longest degraded, by remedy",
              (("{{remedy}}", f"max by (remedy) (sluicegate_degraded_longest_seconds{{{OPERATOR}}})"),),
              "s", text="None: a person must act (SluicegateDegradedWithoutRemedy)."),
        Panel("Stalled, by reason",
              (("{{reason}}", f"sum by (reason) (sluicegate_products_stalled{{{OPERATOR}}})"),)),
        Panel("Candidates by phase",
              (("{{phase}}", f"sum by (phase) (sluicegate_candidates{{{OPERATOR}}})"),
               ("most overdue (s)", f"max(sluicegate_candidate_overdue_seconds{{{OPERATOR}}})"))),
        Panel("Retrainings",
              (("{{state}}", f"sum by (state) (sluicegate_retrainings{{{OPERATOR}}})"),)),
        Panel("Ready and all products",
              (("ready", f"sum(sluicegate_products_ready{{{OPERATOR}}})"),
               ("all", f"sum(sluicegate_products{{{OPERATOR}}})"))),
    )),
    ("Products by name: those of highest priority, up to SLUICEGATE_PRODUCT_METRICS", (
        Panel("State", (("{{namespace}}/{{product}}", f"max by (namespace, product) (sluicegate_product_state{{{PRODUCT}}})"),),
              kind="state-timeline", states=True, width=12),
        Panel("Error budget remaining, the 20 lowest",
              (("{{namespace}}/{{product}} {{slo}}",
                f"bottomk(20, max by (namespace, product, slo) (sluicegate_product_error_budget_remaining{{{PRODUCT}}}))"),),
              "percentunit", width=12),
        Panel("Weight of the candidate",
              (("{{namespace}}/{{product}}",
                f"max by (namespace, product) (sluicegate_product_canary_weight{{{PRODUCT}}}) > 0"),),
              "percent"),
        Panel("Versions with pods",
              (("{{namespace}}/{{product}}",
                f"max by (namespace, product) (sluicegate_product_versions{{{PRODUCT}}}) > 1"),)),
        Panel("Promotions",
              (("{{namespace}}/{{product}}",
                f"changes(sluicegate_product_promoted_timestamp_seconds{{{PRODUCT}}}[$__rate_interval]) > 0"),)),
        Panel("Products without metrics by name",
              (("products", f"sum(sluicegate_product_metrics_left_out{{{OPERATOR}}})"),),
              kind="stat", width=4),
        Panel("Age of the stable version, the 20 oldest",
              (("{{namespace}}/{{product}}",
                f"topk(20, time() - max by (namespace, product) (sluicegate_product_promoted_timestamp_seconds{{{PRODUCT}}}))"),),
              "s", kind="bargauge", width=20),
    )),
    ("Reconciling", (
        Panel("Leader",
              (("{{instance}}", f"leader_election_master_status{{{OPERATOR}}}"),),
              kind="state-timeline", text="Exactly one replica is at 1."),
        Panel("Reconciles by result",
              (("{{result}}", rate("controller_runtime_reconcile_total", "result")),), "ops"),
        Panel("Errors and bugs",
              (("errors", rate("controller_runtime_reconcile_errors_total", "job")),
               ("bugs", rate("controller_runtime_reconcile_panics_total", "job"))), "ops"),
        Panel("Duration of a reconcile",
              (("p50", quantile(0.5, "controller_runtime_reconcile_time_seconds")),
               ("p99", quantile(0.99, "controller_runtime_reconcile_time_seconds"))), "s"),
        Panel("Wait for a worker",
              (("p50", quantile(0.5, "workqueue_queue_duration_seconds")),
               ("p99", quantile(0.99, "workqueue_queue_duration_seconds"))), "s"),
        Panel("Queue",
              (("depth {{instance}}", f"workqueue_depth{{{OPERATOR}}}"),
               ("added", rate("workqueue_adds_total", "job")),
               ("retried", rate("workqueue_retries_total", "job")))),
        Panel("Workers",
              (("busy", f"sum(controller_runtime_active_workers{{{OPERATOR}}})"),
               ("maximum", f"max(controller_runtime_max_concurrent_reconciles{{{OPERATOR}}})"))),
        Panel("Work in progress",
              (("longest {{instance}}", f"workqueue_longest_running_processor_seconds{{{OPERATOR}}}"),
               ("total {{instance}}", f"workqueue_unfinished_work_seconds{{{OPERATOR}}}")), "s"),
        Panel("Duration of work, p99", (("p99", quantile(0.99, "workqueue_work_duration_seconds")),), "s"),
    )),
    ("API server", (
        Panel("Requests by verb and status",
              (("{{verb}} {{code}}", rate("rest_client_requests_total", "verb, code")),), "reqps"),
        Panel("Writes by kind and verb",
              (("{{verb}} {{resource}}", rate("sluicegate_writes_total", "verb, resource")),), "wps"),
        Panel("Duration of a request, p99",
              (("{{verb}}", quantile(0.99, "rest_client_request_duration_seconds", "verb")),), "s"),
        Panel("Writes refused because the lease was about to expire",
              (("refused", rate("sluicegate_writes_fenced_total", "job")),), "ops"),
        Panel("Events",
              (("{{result}}", rate("sluicegate_events_sent_total", "result")),
               ("dropped: {{cause}}", rate("sluicegate_events_dropped_total", "cause"))), "ops"),
        Panel("Deletions that the watch missed",
              (("{{resource}}", rate("sluicegate_cache_ghosts_total", "resource")),), "ops"),
    )),
    ("Prometheus", (
        Panel("Queries by result",
              (("{{result}}", rate("sluicegate_prometheus_queries_total", "result")),), "reqps"),
        Panel("Duration of a query",
              (("p50", quantile(0.5, "sluicegate_prometheus_query_duration_seconds")),
               ("p99", quantile(0.99, "sluicegate_prometheus_query_duration_seconds"))), "s"),
        Panel("Duration of an evaluation, p99",
              (("p99", quantile(0.99, "sluicegate_evaluation_duration_seconds")),), "s"),
        Panel("Lateness of the newest block",
              (("{{instance}}", f"sluicegate_evaluation_lateness_seconds{{{OPERATOR}}}"),), "s"),
        Panel("Products whose earlier blocks are still being read",
              (("{{instance}}", f"sluicegate_backfill_pending_products{{{OPERATOR}}}"),)),
    )),
    ("Process", (
        Panel("Delay of the event loop's timers",
              (("p50 {{instance}}", quantile(0.5, "sluicegate_event_loop_lag_seconds", "instance")),
               ("p99 {{instance}}", quantile(0.99, "sluicegate_event_loop_lag_seconds", "instance"))),
              "s"),
        Panel("Time since the last event of each watch",
              (("{{resource}} {{instance}}", f"sluicegate_watch_age_seconds{{{OPERATOR}}}"),), "s",
              text="Each is renewed every 300 s; /healthz fails at SLUICEGATE_HEALTH_WATCH_AGE_SECONDS."),
        Panel("Objects in the caches",
              (("{{resource}}", f"max by (resource) (sluicegate_cache_objects{{{OPERATOR}}})"),)),
        Panel("Memory", (("{{instance}}", f"process_resident_memory_bytes{{{OPERATOR}}}"),), "bytes"),
        Panel("CPU", (("{{instance}}", rate("process_cpu_seconds_total", "instance")),), "percentunit"),
        Panel("Open files", (("{{instance}}", f"process_open_fds{{{OPERATOR}}}"),)),
    )),
)  # fmt: skip


BOARD: Final = Board(
    uid="sluicegate",
    title="Sluicegate",
    rows=ROWS,
    variables=(
        Variable("job", "leader_election_master_status"),
        Variable("namespace", "sluicegate_product_state"),
        Variable("product", 'sluicegate_product_state{namespace=~"$namespace"}'),
    ),
)


if __name__ == "__main__":
    sys.stdout.write(render(BOARD))
