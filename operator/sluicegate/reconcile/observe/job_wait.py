"""What a training Job that was created waits for before its container runs, in the cluster's own words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.names import ConditionReason
from sluicegate.kube.resources import Key
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.pods import PodState, problem_of

POD_SECONDS: Final = 60
"""Seconds after which a Job without a pod is worth a word: its controller was refused one."""


@dataclass(frozen=True, slots=True)
class JobWait:
    """The reason why a Job doesn't run yet: a reason of RetrainingActive, and a sentence."""

    reason: ConditionReason
    message: str


def queue_text(job: Key, queue: str, since: int) -> str:
    """Return a sentence about a Job's queue: its name, the start of the wait, its end, and where to read the reason."""
    return (
        f"Job {job.name} waits in the queue {queue} since {rfc3339(since)} until Kueue admits it, and its"
        f" time begins then (kubectl describe workloads -n {job.namespace})"
    )


def _suspension(job: JobRecord, name: str) -> JobWait:
    if job.queue:
        text = f"its {queue_text(job.key, job.queue, job.suspended_since)}"
        return JobWait(ConditionReason.WAITING_FOR_QUEUE, text)
    text = f"{name} is suspended (spec.suspend of the Job), by a person say"
    return JobWait(ConditionReason.JOB_SUSPENDED, f"{text}; its time begins when it is resumed")


def wait_of(job: JobRecord | None, pods: Iterable[PodState], now: int) -> JobWait | None:
    """Return the wait of a Job; None if it runs, has ended, or is starting.

    Parameters
    ----------
    pods : of the product, as far as they were read. now : in seconds.
    """
    if job is None or job.finished or job.ready:
        return None
    name = f"its Job {job.key.name}"
    if job.suspended or (job.queue and not job.start_time):
        return _suspension(job, name)
    own_pods = [pod for pod in pods if pod.job_uid == job.uid]
    if any(not pod.waiting for pod in own_pods):
        return None
    if (pod := problem_of(own_pods)) is not None:
        return JobWait(ConditionReason.JOB_PENDING, f"{name} waits: {pod.problem}")
    if own_pods or now < job.created + POD_SECONDS:
        return None
    text = f"{name} has no pod yet, as a quota may refuse it: kubectl describe job {job.key.name}"
    return JobWait(ConditionReason.JOB_PENDING, text)
