"""Names of metrics and labels that queries read and rules record."""

from typing import Final

# Labels every series of a product's pods carries (target labels, set by relabelling).
NAMESPACE: Final = "namespace"
PRODUCT: Final = "product"
VERSION: Final = "version"
REVISION: Final = "revision"
PREDICTION_VERSION: Final = "prediction_version"
PREDICTION_REVISION: Final = "prediction_revision"
SHADOW_VERSION: Final = "shadow_version"
SHADOW_REVISION: Final = "shadow_revision"
TARGET: Final = ("namespace", "pod", "job", "instance", "product", "version", "revision")
"""A target while it belongs to one product and version: a pod's labels can change."""

# BentoML's own metrics.
REQUESTS: Final = "bentoml_service_request_total"
DURATION_BUCKETS: Final = "bentoml_service_request_duration_seconds_bucket"
ENDPOINT: Final = "endpoint"
CODE: Final = "http_response_code"
SERVICE: Final = "runner_name"
BOUND_LABEL: Final = "le"

# Metrics of the library that services import.
LABELLED_PREDICTIONS: Final = "sluicegate_predictions_labelled_total"
PAIRED_PREDICTIONS: Final = "sluicegate_predictions_paired_total"
INDICATOR_EVENTS: Final = "sluicegate_indicator_events_total"
MARKET_EVENTS: Final = "sluicegate_market_events_total"
UPSTREAM_OUTCOMES: Final = "sluicegate_upstream_outcomes_total"
UPSTREAM_EVENTS: Final = "sluicegate_upstream_events_total"
UPSTREAM_REQUESTS: Final = "sluicegate_upstream_requests_total"
CONSUMER_REQUESTS: Final = "sluicegate_consumer_requests_total"
CONSUMER: Final = "consumer"
UPSTREAM: Final = "upstream"
UPSTREAM_REVISION: Final = "upstream_revision"
RESULT: Final = "result"
MARKET: Final = "market"
OUTCOME: Final = "outcome"
AGE: Final = "age"
SHADOW_OUTCOME: Final = "shadow_outcome"
INDICATOR: Final = "indicator"

# Prometheus' own and the kubelet's.
SECRET_USABLE: Final = "sluicegate_feedback_secret_usable"  # noqa: S105 - a name
UP_METRIC: Final = "up"
POD: Final = "pod"
CPU_PERIODS: Final = "container_cpu_cfs_periods_total"
CPU_THROTTLED: Final = "container_cpu_cfs_throttled_periods_total"
CPU_USED: Final = "container_cpu_usage_seconds_total"
CPU_WAITED: Final = "container_pressure_cpu_waiting_seconds_total"
MEMORY_USED: Final = "container_memory_working_set_bytes"
MEMORY_LIMIT: Final = "container_spec_memory_limit_bytes"

# Labels that our queries add, so that one query can answer several questions.
PART_LABEL: Final = "sluicegate_part"
COUNTER: Final = "sluicegate_counter"
LAG: Final = "sluicegate_lag"
FACT_LABEL: Final = "sluicegate_fact"
BACKEND: Final = "sluicegate_backend"
