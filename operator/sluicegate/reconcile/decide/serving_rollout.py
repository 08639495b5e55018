"""Progress of stable's pods towards spec.serving. Pure.

`spec.serving` is changed in place: a Deployment replaces its pods one by one, and if the new ones
don't start, the old ones keep serving. What an autoscaler does, or a pod that is evicted, is
no change of the spec.
"""

from sluicegate.api.base import rfc3339
from sluicegate.api.names import PREVIEW_HEADER
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding, Truth, find_condition
from sluicegate.reconcile.decide.layout import is_before_share, preview_end_time
from sluicegate.reconcile.live.pods import pods_of_revision, problem_of
from sluicegate.reconcile.observe.observation import Observation


def words_of(observation: Observation, revision: str) -> str:
    """Return why pods of a version aren't ready, from their reports or their Deployment; empty if unknown."""
    pod = problem_of(pods_of_revision(observation.pods, revision))
    if pod is not None:
        return pod.problem
    live = observation.live.get(revision)
    return live.refusal if live is not None else ""


def is_rolling(observation: Observation, status: DataProductStatus) -> bool:
    """Return whether stable's pods of the current spec aren't ready yet."""
    if status.stable is None or observation.product.status.stable is None:
        return False
    live = observation.live.get(status.stable.revision)
    if live is None or observation.changing:
        return observation.changing
    was_rolling = _was_rolling(observation)
    # Before the Deployment's controller has seen a change, it says what held before.
    is_rolling_now = live.rolling if live.current else was_rolling
    return is_rolling_now or (was_rolling and live.ready < live.replicas)


def is_stuck(observation: Observation, status: DataProductStatus) -> bool:
    """Return whether a rolling update exceeds its progress deadline; requires `is_rolling`."""
    if observation.changing or status.stable is None:
        return False
    live = observation.live.get(status.stable.revision)
    if live is not None and live.rolling and live.current:
        return live.deadline_exceeded
    conditions = observation.product.status.conditions
    stalled_condition = find_condition(conditions, Type.STALLED)
    if (
        stalled_condition is not None
        and stalled_condition.reason == Reason.PROGRESS_DEADLINE_EXCEEDED
    ):
        return True
    since = find_condition(conditions, Type.RECONCILING)
    deadline = observation.product.spec.serving.progress_deadline_seconds
    return since is not None and observation.now - since.last_transition_time > deadline


def rolling_text(observation: Observation, status: DataProductStatus, kind: Type) -> Finding:
    """Return the text of a condition on a rolling update; requires `is_rolling`."""
    assert status.stable is not None
    text = f"{status.stable.version} serves, but not yet with the pods that spec.serving asks for."
    reason = Reason.PROGRESSING
    if is_stuck(observation, status):
        reason = Reason.PROGRESS_DEADLINE_EXCEEDED
        text = (
            f"{status.stable.version} serves, but the pods that spec.serving asks for are not ready"
            " within progressDeadlineSeconds: correct spec.serving, or the cause that stops them."
        )
    words = words_of(observation, status.stable.revision)
    condition_status: Truth = "False" if kind is Type.READY else "True"
    return Finding(kind, condition_status, reason, f"{text} {words}".strip())


def _was_rolling(observation: Observation) -> bool:
    conditions = observation.product.status.conditions
    stalled_condition = find_condition(conditions, Type.STALLED)
    deadline_exceeded = (
        stalled_condition is not None
        and stalled_condition.reason == Reason.PROGRESS_DEADLINE_EXCEEDED
    )
    return deadline_exceeded or find_condition(conditions, Type.RECONCILING) is not None


def preview_wait_text(observation: Observation, status: DataProductStatus) -> str:
    """Return until when a candidate answers previews alone, and how to reach it; empty without a wait."""
    candidate, meta = status.candidate, observation.product.metadata
    end_time = preview_end_time(observation, status)
    if candidate is None or end_time is None or not is_before_share(observation, status):
        return ""
    live = observation.live.get(candidate.revision)
    verb = "answers" if live is not None and live.ready else "will answer, once a pod is ready,"
    return (
        f"{candidate.version} takes no traffic before {rfc3339(end_time)}"
        f" (rollout.preview.durationSeconds); it {verb} requests with the header"
        f" {PREVIEW_HEADER}: {meta.namespace}/{meta.name}."
    )
