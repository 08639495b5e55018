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
    """The reason why an attempt's Job doesn't exist.

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
    """A slot that a product has for a Job that doesn't exist yet; `since` is in seconds."""

    job: str
    since: int

    def is_kept(self, error: Exception | None, now: int) -> bool:
        """Return whether the slot is kept after a failure: the Job may exist, or will within seconds."""
        lost_race = isinstance(error, Conflict)
        has_no_response = isinstance(error, Transient) and not isinstance(error, TooManyRequests)
        return (lost_race or has_no_response) and now < self.since + GRACE_SECONDS


def training_job_key(product: Key, status: DataProductStatus) -> Key | None:
    """Return the name of the training Job in status; None without a training under way."""
    retraining = status.retraining
    if retraining is None or retraining.trigger is None:
        return None
    return Key(product.namespace, job_name(product.name, retraining.trigger.id, retraining.number))


def shadow_job_key(product: Key, status: DataProductStatus) -> Key | None:
    """Return the key of the shadow phase's Job in status; None without one."""
    shadow = status.shadow
    return Key(product.namespace, shadow.job) if shadow is not None and shadow.job else None


def takes_slot(job: JobRecord, now: int, max_seconds: int) -> bool:
    """Return whether a Job uses a training slot of the fleet; a Job queue has its own budget."""
    return not job.queue and runs(job, now, max_seconds)


def runs(job: JobRecord, now: int, max_seconds: int) -> bool:
    """Return whether a Job runs. A Job under deletion starts no pods.

    Parameters
    ----------
    now : in seconds. max_seconds : that a training may take.
    """
    if job.suspended:  # it has no pod
        return False
    return not (job.finished or job.deleting or is_overdue(job, now, max_seconds))


def is_overdue(job: JobRecord, now: int, max_seconds: int) -> bool:
    """Return whether a Job exceeds the operator's limit, for example by an edited deadline.

    Its time begins with status.startTime, so one that is suspended is never late.
    """
    deadline = min(job.deadline or max_seconds, max_seconds)
    late = job.start_time > 0 and now >= job.start_time + deadline + OVERDUE_SECONDS
    return late and not job.finished and not job.suspended
