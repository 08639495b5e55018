"""Events for changes of conditions, and of children by other clients. Pure.

Decisions have events of their own; these are for other changes: a refused spec, lost pods, a first
version that fails. Each is emitted once, as status has the last report.
"""

from collections.abc import Iterator
from typing import Final

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.status import Condition, DataProductStatus
from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation

_HAS_EVENT_OF_DECISION: Final = frozenset({Reason.MODEL_REJECTED, Reason.API_CHANGED})
_NAMES_ITS_CAUSE: Final = frozenset({Reason.APPLY_REFUSED, Reason.NAME_CONFLICT})
"""Reasons with whose message the cause changes; in those of others, numbers do."""
_EMITTED_AT_ONCE: Final = frozenset({Reason.PODS_NOT_READY, Reason.NAME_CONFLICT})


def new_condition_events(
    previous_status: DataProductStatus, next_status: DataProductStatus
) -> Iterator[EventNote]:
    """Yield the events of conditions that are new in the written status and have no event of a decision."""
    yield from _ended_probation(previous_status, next_status)
    stalled_before, now = (
        find_condition(status.conditions, Type.STALLED) for status in (previous_status, next_status)
    )
    if (
        now is not None
        and now.reason not in _HAS_EVENT_OF_DECISION
        and _differs_in_meaning(stalled_before, now)
    ):
        yield EventNote(now.reason, "Stall", now.message, warning=True)
    stalled_before, now = (
        find_condition(status.conditions, Type.METRICS_AVAILABLE)
        for status in (previous_status, next_status)
    )
    if (
        now is not None
        and now.reason == Reason.FEEDBACK_SECRET_UNUSABLE
        and _differs_in_meaning(stalled_before, now)
    ):
        yield EventNote(now.reason, "Measure", now.message, warning=True)
    stalled_before, now = (
        find_condition(status.conditions, Type.MARKETS_MET)
        for status in (previous_status, next_status)
    )
    if (
        now is not None
        and now.reason == Reason.MARKET_MISSED
        and _differs_in_meaning(stalled_before, now)
    ):
        yield EventNote(now.reason, "Measure", now.message, warning=True)
    stalled_before, now = (
        find_condition(status.conditions, Type.READY) for status in (previous_status, next_status)
    )
    if now is None or next_status.stable is None:
        return
    if now.status == "True" and previous_status.stable is not None:
        if stalled_before is not None and stalled_before.status != "True":
            yield EventNote(Reason.SERVING, "Serve", now.message)
        return
    first = previous_status.stable is None and now.reason == Reason.ROUTE_NOT_ACCEPTED
    if (first or now.reason in _EMITTED_AT_ONCE) and _differs_in_meaning(stalled_before, now):
        yield EventNote(now.reason, "Serve", now.message, warning=True)


def _ended_probation(
    previous_status: DataProductStatus, next_status: DataProductStatus
) -> Iterator[EventNote]:
    """Yield the event of a probation that ended while its version is still stable, without a rollback."""
    probation, stable = previous_status.probation, next_status.stable
    if probation is None or next_status.probation is not None or stable is None:
        return
    before, is_replaced = previous_status.stable, next_status.carried_out
    if before is None or before.release != stable.release or is_replaced:
        return
    text = f"the probation of {probation.version} is over; it is compared with {probation.against} no longer"
    yield EventNote(EventReason.PROBATION_ENDED, "Promote", text)


def reverted_scale(observation: Observation, plan: Plan) -> Iterator[EventNote]:
    """Yield the event about replicas of stable that another client changed and this pass reverts.

    The scale subresource owns the number of pods until the operator writes it again, so the event is
    emitted once; without autoscaling in the spec it is a person, or an autoscaler that isn't ours.
    """
    stable, serving = plan.status.stable, observation.product.spec.serving
    live = None if stable is None else observation.live.get(stable.revision)
    if stable is None or live is None or not live.scaled or serving.autoscaling is not None:
        return
    desired = plan.allocation.replicas(stable.revision)
    if desired == live.replicas:
        return
    text = (
        f"another client scaled {stable.version} to {live.replicas} pods; it is scaled back to"
        f" {desired}, as the spec asks for: edit spec.serving.replicas to change it"
    )
    yield EventNote(EventReason.SCALE_REVERTED, "Scale", text, warning=True)


def _differs_in_meaning(condition_before: Condition | None, now: Condition) -> bool:
    if condition_before is None or (condition_before.status, condition_before.reason) != (
        now.status,
        now.reason,
    ):
        return True
    return now.reason in _NAMES_ITS_CAUSE and condition_before.message != now.message


def true_of(events: tuple[EventNote, ...], status: DataProductStatus) -> Iterator[EventNote]:
    """Yield the events of a plan, without Serving for a first version that receives no requests."""
    ready = find_condition(status.conditions, Type.READY)
    serves = ready is not None and ready.status == "True"
    return (event for event in events if serves or event.reason != Reason.SERVING)
