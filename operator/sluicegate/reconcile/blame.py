"""Whose trouble it is that a candidate's pods don't serve: its own, or that of what is around it.

A drained node, a full quota or a registry that is away say nothing of a model, so they end no
rollout for good. What a container did itself, or lacks, does.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.names import DecisionReason
from sluicegate.reconcile.pods import PodState, trouble_of
from sluicegate.reconcile.records import DeploymentRecord

GRACE_SECONDS: Final = 30
"""From when a candidate's traffic went back, as no pod was ready, until it is judged."""


@dataclass(frozen=True, slots=True)
class Blame:
    """Why pods of a candidate don't serve.

    Attributes
    ----------
    reason : INFRASTRUCTURE, or what the candidate itself did.
    text : the cause in a sentence.
    """

    reason: DecisionReason
    text: str

    @property
    def own(self) -> bool:
        """Whether the candidate is to blame."""
        return self.reason is not DecisionReason.INFRASTRUCTURE


def blame_for(  # noqa: PLR0911 - one a cause
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    stable: DeploymentRecord | None,
    *,
    settled: bool,
) -> Blame:
    """Whose trouble it is.

    Parameters
    ----------
    pods : the candidate's. stable : its Deployment; one that isn't ready either shares the cause.
    settled : pods that can be ready would be by now.
    """
    broken = next((pod for pod in pods if pod.hopeless and _lacks(pod)), None)
    if broken is not None:
        return Blame(_reason(broken), broken.trouble)
    if any(pod.out_of_memory and not pod.outside for pod in pods):
        return _own("it was killed at its memory limit")
    if stable is None or stable.ready < stable.replicas:
        return _around("stable's pods aren't ready either")
    looping = trouble_of(pod for pod in pods if pod.hopeless)
    if looping is not None:
        return _own(looping.trouble)
    outside = next((pod for pod in pods if pod.outside), None)
    if outside is not None:
        return _around(outside.trouble)
    if candidate is not None and candidate.refused:
        return _around(candidate.refused)
    troubled = trouble_of(pods)
    if troubled is not None:
        return _own(troubled.trouble)
    waits = [pod for pod in pods if not pod.ready]
    if not waits or all(pod.waiting for pod in waits):
        return _around("its containers don't start" if waits else "its pods are gone")
    return _own("its pods run, and aren't ready") if settled else _around("no pod is ready")


def failing(
    candidate: DeploymentRecord | None,
    pods: tuple[PodState, ...],
    stable: DeploymentRecord | None,
) -> Blame | None:
    """Why a candidate that takes traffic has to give it back; None while it serves.

    None of its pods is ready, or one is being killed for what it does itself.
    """
    blame = blame_for(candidate, pods, stable, settled=False)
    dying = any(pod.out_of_memory or (pod.hopeless and not pod.ready) for pod in pods)
    gone = candidate is None or candidate.ready == 0
    return blame if gone or (dying and blame.own) else None


def _lacks(pod: PodState) -> bool:
    """Whether something is missing that no other node would have."""
    return pod.mismatch or pod.absent or not pod.crashed


def _reason(pod: PodState) -> DecisionReason:
    if pod.mismatch:
        return DecisionReason.RUNTIME_MISMATCH
    return DecisionReason.IMAGE_NOT_FOUND if pod.absent else DecisionReason.CANARY_NOT_READY


def _own(text: str) -> Blame:
    return Blame(DecisionReason.CANARY_NOT_READY, text)


def _around(text: str) -> Blame:
    return Blame(DecisionReason.INFRASTRUCTURE, text)
