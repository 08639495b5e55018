"""Events of products, each with its line in the log."""

import logging
from collections.abc import Iterable
from typing import Any

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.status import FIELDS, DataProductStatus, LastHandled
from sluicegate.conditions import find_condition
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.report.condition_events import new_condition_events, true_of
from sluicegate.reconcile.routes.arbitration import RouteRefusal
from sluicegate.runtime.event_recorder import EventRecorder, EventSubject, Note
from sluicegate.runtime.logs import DECISIONS

logger = logging.getLogger(__name__)
decisions = logging.getLogger(DECISIONS)


def emit(recorder: EventRecorder, record: ProductRecord, events: Iterable[EventNote]) -> None:
    """Log the events of a product, and emit all but the quiet ones."""
    subject = EventSubject(DATA_PRODUCTS, record.key, record.uid)
    for event in events:
        severity: Any = "Warning" if event.warning else "Normal"
        if not event.log_only:
            recorder.record(Note(subject, event.reason, event.action, event.message, severity))
        logger.info("%s: %s", event.reason, event.message)


def emit_written(
    recorder: EventRecorder,
    record: ProductRecord,
    status_written: DataProductStatus,
    events: tuple[EventNote, ...],
) -> None:
    """Log the decision in a written status; emit its events and those of changed conditions.

    Parameters
    ----------
    record : the product before the write.
    """
    log_decision(record, status_written)
    condition_events = new_condition_events(record.status, status_written)
    emit(recorder, record, (*true_of(events, status_written), *condition_events))


def emit_refusal(
    recorder: EventRecorder, record: ProductRecord, other: object, refusal: RouteRefusal
) -> None:
    """Emit the event about a refused route on both products; `other` is the record of the route's owner."""
    reason = ConditionReason.ROUTE_SHADOWED
    emit(recorder, record, (EventNote(reason, "Route", refusal.message, warning=True),))
    if isinstance(other, ProductRecord):
        emit(recorder, other, (EventNote(reason, "Route", refusal.notice),))


def log_decision(record: ProductRecord, status_written: DataProductStatus) -> None:
    """Log a decision when it first appears in status, with the requests that it handled.

    The value of a request finds its author in the audit log of the API server.

    Parameters
    ----------
    record : the product before the write. written : its status now.
    """
    previous_status, decision = record.status, status_written.decision
    if decision is None or decision == previous_status.decision:
        return
    handled, handled_before = (
        status.last_handled or LastHandled() for status in (status_written, previous_status)
    )
    requests = {
        annotation: value
        for annotation in FIELDS
        if (value := handled.token(annotation)) != handled_before.token(annotation)
    }
    stable = status_written.stable.version if status_written.stable else ""
    candidate = status_written.candidate.version if status_written.candidate else ""
    details = {
        "uid": record.uid,
        "generation": record.generation,
        "decision": decision.to_dict(),
        "requests": requests,
        "stable": stable,
        "candidate": candidate,
    }
    decisions.info("%s: %s", decision.type, decision.reason, extra=details)


def is_new_refusal(recorded: DataProductStatus) -> bool:
    """Return whether a refusal is new, so that its event is emitted once."""
    ready = find_condition(recorded.conditions, ConditionType.READY)
    return ready is None or ready.reason != ConditionReason.ROUTE_SHADOWED


def unreadable(text: str) -> EventNote:
    """Return the event about a product's failing Prometheus queries."""
    message = (
        "Prometheus can't answer queries about this product: the operator leaves it out of them, and"
        " SLOs that need them are Unknown; fix what its pods expose at /metrics (for gateway, the"
        " gateway's request counter), or delete the pods; the operator retries within ten minutes:"
        f" {text}"
    )
    return EventNote(EventReason.UNREADABLE_SERIES, "Measure", message, warning=True)
