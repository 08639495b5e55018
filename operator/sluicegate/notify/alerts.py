"""States of products as alerts of Alertmanager's API v2. Pure.

An Alertmanager drops alerts that are not posted again, and groups and silences them by its own
routing. So it gets no messages: open states are posted repeatedly, each until it ends.
"""

from collections.abc import Iterator
from typing import Any, Final

from sluicegate.api.base import rfc3339
from sluicegate.api.status import DataProductStatus
from sluicegate.notify.catalogue import Kind
from sluicegate.notify.cursor import Cursor
from sluicegate.notify.transitions import Origin, Transition, transitions_between
from sluicegate.notify.wording import command_of, heading_of, now_of, plain_text

POST_SECONDS: Final = 60
"""Seconds between two posts of the open states."""
HOLD_SECONDS: Final = 240
"""Seconds for which an alert lasts that isn't posted again: some posts may fail."""
STATES: Final = frozenset(
    {
        Kind.DEGRADED, Kind.STALLED, Kind.METRICS_LOST, Kind.DEPENDENCY_DEGRADED,
        Kind.DEPENDENT_DEGRADED,
        Kind.APPROVAL_REQUESTED, Kind.RETRAINING_SUSPENDED, Kind.RETRAINING_REFUSED,
        Kind.UNREADY, Kind.ROLLOUT_HELD, Kind.REQUEST_WAITS,
    }
)  # fmt: skip
"""Transitions that begin a state."""

Alert = dict[str, Any]
Labels = tuple[tuple[str, str], ...]


def open_states(cursor: Cursor, status: DataProductStatus, origin: Origin) -> Iterator[Transition]:
    """Return the open states of a product: the transitions from a product without any."""
    all_transitions = transitions_between(cursor.without_levels(), cursor, status, origin)
    return (transition for transition in all_transitions if transition.kind in STATES)


def alert_of(transition: Transition, cluster: str, portfolio: str, now: float) -> Alert:
    """Return an open state as an alert that lasts while it is posted."""
    origin = transition.origin
    labels = {
        "alertname": "Sluicegate" + "".join(word.title() for word in transition.kind.split(".")),
        "cluster": cluster,
        "namespace": origin.namespace,
        "product": origin.name,
        "owner": origin.owner,
        "priority": origin.priority,
        "urgency": transition.urgency,
        "reason": transition.reason,
    }
    actions = (("now", now_of(transition)), ("command", command_of(transition)))
    alert: Alert = {
        "labels": {name: plain_text(value) for name, value in labels.items() if value},
        "annotations": {
            "summary": heading_of(transition),
            "description": plain_text(transition.message, lines=True),
            **{name: text for name, text in actions if text},
        },
        "startsAt": rfc3339(min(transition.time or int(now), int(now))),
        "endsAt": rfc3339(int(now) + HOLD_SECONDS),
    }
    if portfolio:
        alert["generatorURL"] = f"{portfolio.rstrip('/')}/products/{origin.path}"
    return alert


def ended_alert(alert: Alert, now: float) -> Alert:
    """Return the same alert with its end."""
    return {**alert, "endsAt": rfc3339(int(now))}


def identity(alert: Alert) -> Labels:
    """Return the labels by which Alertmanager identifies an alert."""
    return tuple(sorted(alert["labels"].items()))
