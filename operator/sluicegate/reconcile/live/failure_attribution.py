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


def attribution_of(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    stable: DeploymentRecord | None,
    *,
    settled: bool,
    overdue: bool = False,
) -> Failure:
    """Return the first cause that applies.

    Parameters
    ----------
    pods : the candidate's. stable : its Deployment; one that isn't ready either shares the cause.
    settled : pods that were ready, and can be, would be by now.
    overdue : pods have had the time that they may take to start.
    """
    return (
        _lacking(pods)
        or _shared(stable)
        or _looping(pods)
        or _outside(candidate, pods)
        or _crashed(pods)
        or _silent(candidate, pods, settled=settled, overdue=overdue)
    )


def _lacking(pods: tuple[PodState, ...]) -> Failure | None:
    """Something is missing that no other node would have, or it needs more than its limit."""
    for pod in pods:
        if pod.unrecoverable and (pod.mismatch or pod.absent or not pod.crashed):
            return Failure(pod.reason, pod.problem)
    killed = any(pod.out_of_memory and not pod.outside for pod in pods)
    return _own("it was killed at its memory limit") if killed else None


def _shared(stable: DeploymentRecord | None) -> Failure | None:
    ill = stable is None or stable.ready < stable.replicas
    return _around("stable's pods aren't ready either") if ill else None


def _looping(pods: tuple[PodState, ...]) -> Failure | None:
    pod = problem_of(pod for pod in pods if pod.unrecoverable)
    return None if pod is None else _own(pod.problem)


def _outside(candidate: DeploymentRecord | None, pods: tuple[PodState, ...]) -> Failure | None:
    texts = [pod.problem for pod in pods if pod.outside]
    if candidate is not None and candidate.refused:
        texts.append(candidate.refused)
    return _around(texts[0]) if texts else None


def _crashed(pods: tuple[PodState, ...]) -> Failure | None:
    pod = problem_of(pods)
    if pod is not None:
        return _own(pod.problem)
    again = any(pod.crashed for pod in pods)
    return _own("a container of it ended with an error and was restarted") if again else None


def _silent(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    *,
    settled: bool,
    overdue: bool,
) -> Failure:
    """No pod reports a reason: a pod that runs long enough without becoming ready is the cause.

    The replacement of an evicted pod starts again, which takes minutes for a large model.
    """
    if candidate is not None and candidate.ready > 0:
        return _around("no pod was ready")
    waits = [pod for pod in pods if not pod.ready]
    if pods and not waits:  # as they were read before the Deployment changed
        return _around("its pods were ready until a moment ago; what ended that isn't known yet")
    if not waits or all(pod.waiting for pod in waits):
        return _around("its containers don't start" if waits else "its pods no longer exist")
    if not overdue and all(pod.starting for pod in waits):
        return _around("its pods are starting")
    return _own("its pods run, and aren't ready") if settled else _around("no pod is ready")


def failing(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    stable: DeploymentRecord | None,
) -> Failure | None:
    """Return why a candidate that takes traffic has to give it back; None while it serves.

    None of its pods is ready, or one is being killed for what it does itself.
    """
    attribution = attribution_of(candidate, pods, stable, settled=False)
    dying = any(pod.out_of_memory or (pod.unrecoverable and not pod.ready) for pod in pods)
    gone = candidate is None or candidate.ready == 0
    return attribution if gone or (dying and attribution.own) else None


def is_down(
    stable: DeploymentRecord | None, pods: tuple[PodState, ...], *, now: int, patience: int
) -> bool:
    """Return whether no pod of the stable version is ready, and none will be soon.

    Parameters
    ----------
    pods : stable's. now : in seconds. patience : how long pods may take to become ready, in seconds.
    """
    if stable is None or stable.ready or not stable.replicas:
        return False
    return any(pod.unrecoverable for pod in pods) or now - stable.moved >= patience


def _own(text: str) -> Failure:
    return Failure(DecisionReason.CANARY_NOT_READY, text)


def _around(text: str) -> Failure:
    return Failure(DecisionReason.INFRASTRUCTURE, text)
