"""Findings about a stable version whose containers crash repeatedly. Pure.

While it lasts Ready doesn't follow each restart, or two writes of status would follow each of them.
"""

from sluicegate.api.base import rfc3339
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding, Truth
from sluicegate.reconcile.live.pods import pods_of_revision
from sluicegate.reconcile.live.restarts import Restarts
from sluicegate.reconcile.observe.observation import Observation


def restarting_text(
    observation: Observation, status: DataProductStatus, kind: Type
) -> Finding | None:
    """Return the text of a condition on restarting pods; None without any.

    It ends with a change of spec.serving once the pods of the new template have replaced the others.
    """
    stable = status.stable
    if stable is None:
        return None
    pods = pods_of_revision(observation.pods, stable.revision)
    all_restarts = [
        restart for pod in pods if (restart := pod.restarts) and restart.is_ongoing(observation.now)
    ]
    if not all_restarts:
        return None
    most_restarted = max(all_restarts, key=lambda restarts: restarts.count)
    text = (
        f"{stable.version}: the containers of {len(all_restarts)} of its {len(pods)} pods end again and"
        f" again. Container {most_restarted.container} was restarted {most_restarted.count} times, most recently at"
        f" {rfc3339(most_restarted.ended_at)}: it {_end(observation, most_restarted)}"
    )
    condition_status: Truth = "False" if kind is Type.READY else "True"
    return Finding(kind, condition_status, Reason.PODS_RESTARTING, text)


def _end(observation: Observation, worst: Restarts) -> str:
    """Return the end of the last run, and the way out."""
    if not worst.out_of_memory:
        log = "its log before the restart (kubectl logs --previous) has the cause"
        return f"{worst.words}; {log}: correct spec.model or spec.serving, or roll back"
    limit = observation.product.spec.serving.resources.limits.get("memory")
    limit = f" ({limit})" if limit else ""
    return (
        f"was killed at its memory limit{limit}; raise the memory limit in spec.serving.resources"
    )
