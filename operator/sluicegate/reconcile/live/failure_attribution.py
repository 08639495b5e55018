"""The cause if a candidate's pods don't serve: the candidate itself, or its surroundings.

A drained node, a full quota or a registry that is away say nothing of a model, so they end no
rollout for good. What a container did itself, or lacks, does.
"""

from typing import Final

from sluicegate.api.names import DecisionReason
from sluicegate.policy.model.observed import Failure
from sluicegate.reconcile.live.children import DeploymentRecord
from sluicegate.reconcile.live.pods import PodState, problem_of

GRACE_SECONDS: Final = 30
"""From the return of a candidate's traffic, as no pod was ready, until the cause is determined."""
CREATION_SECONDS: Final = 30
"""From a change of a Deployment until the ReplicaSet controller has created the pods for it."""


def attribution_of(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    stable: DeploymentRecord | None,
    *,
    grace_over: bool,
    overdue: bool = False,
) -> Failure:
    """Return the first cause that applies.

    Parameters
    ----------
    pods : the candidate's. stable : its Deployment; one that isn't ready either shares the cause.
    grace_over : pods that were ready, and can be, would be by now.
    overdue : pods have had the time that they may take to start.
    """
    return (
        _resource_failure(pods)
        or _stable_failure(stable)
        or _restart_failure(pods)
        or _external_failure(candidate, pods)
        or _crash_failure(pods)
        or _never_ready(candidate, pods, grace_over=grace_over, overdue=overdue)
    )


def _resource_failure(pods: tuple[PodState, ...]) -> Failure | None:
    """Return the cause if the pod needs something that no node has, or exceeds its own limit."""
    for pod in pods:
        if pod.unrecoverable and (pod.mismatch or pod.is_absent or not pod.crashed):
            return Failure(pod.reason, pod.problem)
    out_of_memory = any(pod.out_of_memory and not pod.outside for pod in pods)
    return _own_failure("it was killed at its memory limit") if out_of_memory else None


def _stable_failure(stable: DeploymentRecord | None) -> Failure | None:
    is_unhealthy = stable is None or stable.ready < stable.replicas
    return _cluster_failure("stable's pods aren't ready either") if is_unhealthy else None


def _restart_failure(pods: tuple[PodState, ...]) -> Failure | None:
    pod = problem_of(pod for pod in pods if pod.unrecoverable)
    return None if pod is None else _own_failure(pod.problem)


def _external_failure(
    candidate: DeploymentRecord | None, pods: tuple[PodState, ...]
) -> Failure | None:
    texts = [pod.problem for pod in pods if pod.outside]
    if candidate is not None and candidate.refusal:
        texts.append(candidate.refusal)
    return _cluster_failure(texts[0]) if texts else None


def _crash_failure(pods: tuple[PodState, ...]) -> Failure | None:
    pod = problem_of(pods)
    if pod is not None:
        return _own_failure(pod.problem)
    has_crashed = any(pod.crashed for pod in pods)
    return (
        _own_failure("a container of it ended with an error and was restarted")
        if has_crashed
        else None
    )


def _never_ready(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    *,
    grace_over: bool,
    overdue: bool,
) -> Failure:
    """Return the cause for pods without a reason: a pod that runs long enough without becoming ready.

    The replacement of an evicted pod starts again, which takes minutes for a large model.
    """
    if candidate is not None and candidate.ready > 0:
        return _cluster_failure("no pod was ready")
    unready_pods = [pod for pod in pods if not pod.ready]
    if pods and not unready_pods:  # as they were read before the Deployment changed
        return _cluster_failure(
            "its pods were ready until a moment ago; what ended that isn't known yet"
        )
    if not unready_pods or all(pod.waiting for pod in unready_pods):
        return _cluster_failure(
            "its containers don't start" if unready_pods else "its pods no longer exist"
        )
    if not overdue and all(pod.is_starting for pod in unready_pods):
        return _cluster_failure("its pods are starting")
    return (
        _own_failure("its pods run, and aren't ready")
        if grace_over
        else _cluster_failure("no pod is ready")
    )


def traffic_failure(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    stable: DeploymentRecord | None,
) -> Failure | None:
    """Return why a candidate with traffic must be rolled back; None while it serves.

    None of its pods is ready, or one is being killed for what it does itself.
    """
    attribution = attribution_of(candidate, pods, stable, grace_over=False)
    is_failing = any(pod.out_of_memory or (pod.unrecoverable and not pod.ready) for pod in pods)
    has_no_ready_pod = candidate is None or candidate.ready == 0
    return attribution if has_no_ready_pod or (is_failing and attribution.own) else None


def is_down(
    stable: DeploymentRecord | None, pods: tuple[PodState, ...], *, now: int, deadline_seconds: int
) -> bool:
    """Return whether no pod of the stable version is ready or will be soon.

    Parameters
    ----------
    pods : stable's. now : in seconds. deadline_seconds : how long pods may take to become ready, in seconds.
    """
    if stable is None or stable.ready or not stable.replicas:
        return False
    return any(pod.unrecoverable for pod in pods) or now - stable.moved_at >= deadline_seconds


def lacks_pods(
    stable: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    *,
    now: int,
    deadline_seconds: int,
) -> bool:
    """Return whether fewer pods of the stable version are ready than before its last scale-up.

    Pods that a scale-up adds take their time to start, and the others answer as before.

    Parameters
    ----------
    pods : stable's. now : in seconds. deadline_seconds : how long pods may take to become ready, in seconds.
    """
    if stable is None:
        return True
    if not stable.ready:
        return stable.replicas > 0
    # Evicted pods remain for days, and deleted ones until they end: others replace them.
    active_pods = [pod for pod in pods if pod.is_active]
    templates = {pod.template for pod in active_pods if pod.ready}
    added = sum(
        templates == {pod.template}
        and _is_added(pod, stable.scaled_at)
        and now - pod.created_at < deadline_seconds
        for pod in active_pods
    )
    is_creating = 0 <= now - stable.scaled_at < CREATION_SECONDS
    uncreated = max(stable.replicas - len(active_pods), 0) if is_creating else 0
    return stable.ready < stable.replicas - added - uncreated


def _is_added(pod: PodState, scaled_at: int) -> bool:
    """Return whether a scale-up created the pod, and only time or room is missing for it to become ready.

    The replacement of a pod that was deleted or evicted isn't added if it was created after the last
    scale-up. Of one that was created before it, nothing distinguishes it from a pod that an earlier
    step of the autoscaler added.
    """
    is_created_for_it = pod.created_at - scaled_at < CREATION_SECONDS
    is_faultless = not pod.problem or (pod.outside and not pod.unrecoverable)
    return bool(scaled_at) and is_created_for_it and not pod.ready and is_faultless


def _own_failure(text: str) -> Failure:
    return Failure(DecisionReason.CANARY_NOT_READY, text)


def _cluster_failure(text: str) -> Failure:
    return Failure(DecisionReason.INFRASTRUCTURE, text)
