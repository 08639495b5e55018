"""States that last, as alerts of Alertmanager's API v2. Pure.

An Alertmanager forgets alerts that nobody posts again, and its own routing groups and silences them.
So it isn't sent messages: the states that are open are posted again and again, each until it ends.
"""

from collections.abc import Iterator
from typing import Any, Final

from sluicegate.api.base import rfc3339
from sluicegate.api.status import DataProductStatus
from sluicegate.notify.catalogue import Kind
from sluicegate.notify.cursor import Cursor
from sluicegate.notify.transitions import Origin, Transition, transitions
from sluicegate.notify.wording import heading, plain

POST_SECONDS: Final = 60
"""Between two posts of what is open."""
HOLD_SECONDS: Final = 240
"""How long an alert lasts that isn't posted again: some posts may fail."""
STATES: Final = frozenset(
    {
        Kind.DEGRADED, Kind.STALLED, Kind.METRICS_LOST, Kind.DEPENDENCY_DEGRADED,
        Kind.APPROVAL_REQUESTED, Kind.RETRAINING_SUSPENDED, Kind.RETRAINING_REFUSED,
        Kind.UNREADY, Kind.ROLLOUT_HELD, Kind.REQUEST_WAITS,
    }
)  # fmt: skip
"""Transitions that begin a state."""

Alert = dict[str, Any]
Labels = tuple[tuple[str, str], ...]


def open_states(cursor: Cursor, status: DataProductStatus, origin: Origin) -> Iterator[Transition]:
    """The states of a product that are open: what would be sent of it at first sight."""
    found = transitions(cursor.without_levels(), cursor, status, origin)
    return (one for one in found if one.kind in STATES)


def alert_of(one: Transition, cluster: str, portfolio: str, now: float) -> Alert:
    """An open state as an alert that lasts until it isn't posted any more."""
    origin = one.origin
    labels = {
        "alertname": "Sluicegate" + "".join(word.title() for word in one.kind.split(".")),
        "cluster": cluster,
        "namespace": origin.namespace,
        "product": origin.name,
        "owner": origin.owner,
        "priority": origin.priority,
        "urgency": one.urgency,
        "reason": one.reason,
    }
    alert: Alert = {
        "labels": {name: plain(value) for name, value in labels.items() if value},
        "annotations": {"summary": heading(one), "description": plain(one.message, lines=True)},
        "startsAt": rfc3339(min(one.time or int(now), int(now))),
        "endsAt": rfc3339(int(now) + HOLD_SECONDS),
    }
    if portfolio:
        alert["generatorURL"] = f"{portfolio.rstrip('/')}/products/{origin.path}"
    return alert


def ended(alert: Alert, now: float) -> Alert:
    """The same alert, over."""
    return {**alert, "endsAt": rfc3339(int(now))}


def identity(alert: Alert) -> Labels:
    """What makes an alert the same one for Alertmanager."""
    return tuple(sorted(alert["labels"].items()))
