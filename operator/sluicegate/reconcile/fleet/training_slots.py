"""When a training has a slot: its Job runs, or is created in this very step.

A trigger alone has none: its Job may be refused until a person fixes the cause, and other products
would wait for that.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.kube.errors import Conflict, TooManyRequests, Transient
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import job_name
from sluicegate.reconcile.live.children import JobRecord

GRACE_SECONDS: Final = 60
"""How long a slot is kept for a Job that isn't there yet, should it be open whether it will be:
the API server gave no answer, or another replica was about to create it."""
OVERDUE_SECONDS: Final = 600
"""What the Job controller may need to end a Job after its deadline."""


@dataclass(frozen=True, slots=True)
class JobRefusal:
    """Why the Job of an attempt isn't there.

    Attributes
    ----------
    job : its name. message : of the API server, or of the check that it doesn't pass.
    final : another try would end in the same way.
    """

    job: str
    message: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Reserved:
    """A slot that a product has for a Job that isn't there yet; `since` is in seconds."""

    job: str
    since: int

    def is_kept(self, error: Exception | None, now: int) -> bool:
        """Return whether it is kept after this: the Job may be there all the same, or is within seconds."""
        lost_race = isinstance(error, Conflict)
        unanswered = isinstance(error, Transient) and not isinstance(error, TooManyRequests)
        return (lost_race or unanswered) and now < self.since + GRACE_SECONDS


def wanted_job(product: Key, status: DataProductStatus) -> Key | None:
    """Return the Job that status asks for; None when no training is under way."""
    one = status.retraining
    if one is None or one.trigger is None:
        return None
    return Key(product.namespace, job_name(product.name, one.trigger.id, one.number))


def wanted_shadow_job(product: Key, status: DataProductStatus) -> Key | None:
    """Return the Job of the shadow phase that status names; None while none is to run."""
    shadow = status.shadow
    return Key(product.namespace, shadow.job) if shadow is not None and shadow.job else None


def runs(job: JobRecord, now: int, most_seconds: int) -> bool:
    """Return whether a Job takes a slot. One that is being deleted starts no pods any more.

    Parameters
    ----------
    now : in seconds. most_seconds : that a training may take.
    """
    if job.suspended:  # it has no pod, and the queue that suspends it has a budget of its own
        return False
    return not (job.finished or job.deleting or is_overdue(job, now, most_seconds))


def is_overdue(job: JobRecord, now: int, most_seconds: int) -> bool:
    """Return whether a Job should have ended long ago: its deadline was edited, say.

    Its time begins with status.startTime, so one that is suspended is never late.
    """
    deadline = min(job.deadline or most_seconds, most_seconds)
    late = job.begun > 0 and now >= job.begun + deadline + OVERDUE_SECONDS
    return late and not job.finished and not job.suspended
