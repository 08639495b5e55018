"""Metrics of `sluicegate notify`, beside those of the runtime."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SENT_MESSAGES: Final = Counter(
    "sluicegate_notify_sent_total", "Messages that a sink accepted.", ["sink", "urgency"]
)
FAILED_ATTEMPTS: Final = Counter(
    "sluicegate_notify_failed_attempts_total",
    "Attempts that a sink did not accept; they are retried.",
    ["sink", "cause"],
)
DROPPED_MESSAGES: Final = Counter(
    "sluicegate_notify_dropped_total",
    "Messages that were not delivered: too old, refused by the sink, no room, or the sink was removed.",
    ["sink", "cause"],
)
FOLDED_TRANSITIONS: Final = Counter(
    "sluicegate_notify_folded_total", "Transitions that another message stands for."
)
TRANSITIONS: Final = Counter(
    "sluicegate_notify_transitions_total", "Transitions by type of the catalogue.", ["type"]
)
PENDING_MESSAGES: Final = Gauge(
    "sluicegate_notify_pending_messages", "Messages that a sink still has to accept."
)
OLDEST_MESSAGE_AGE: Final = Gauge(
    "sluicegate_notify_oldest_pending_seconds",
    "Age of the oldest message that the sink still has to accept.",
    ["sink"],
)
DELAY: Final = Histogram(
    "sluicegate_notify_delivery_delay_seconds",
    "Seconds from the decision to send a message until the sink accepted it.",
    ["sink"],
    buckets=(0.1, 1, 5, 30, 60, 300, 900, 3600, 14_400, 86_400),
)
ALERTS: Final = Gauge(
    "sluicegate_notify_open_alerts", "States that are posted to an Alertmanager.", ["sink"]
)
