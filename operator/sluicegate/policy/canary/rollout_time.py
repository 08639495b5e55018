"""Time that a rollout has used of its longest duration, and the time that is left.

A duration that a person chose counts all time in which an operator observed the product. A derived one
is what the evidence needs at the product's traffic, so it doesn't count silence: a night or a weekend
without requests gives no evidence and uses up no time. A rollout ends fourteen days after its first share
in any case; a retry begins its time again.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.label_pace import Silences
from sluicegate.policy.model.attended_time import rollout_seconds
from sluicegate.policy.model.terms import Terms

LONGEST_SECONDS: Final = 14 * 86_400
"""Not longer, however few labels come: what Prometheus keeps, and a candidate that is still new."""


@dataclass(frozen=True, slots=True)
class RolloutTime:
    """The time of a rollout, in seconds.

    Attributes
    ----------
    observed : since its first share, without absences and suspensions. silent : of these, without requests
        and not counted. remaining : until it ends, if requests come; 0 once its time is over.
    """

    observed: int
    silent: int
    remaining: int


def rollout_time(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    silences: Silences,
    *,
    now: int,
) -> RolloutTime:
    """Return the time of a rollout; `now` in seconds.

    Parameters
    ----------
    terms : of the present rollout, with its derived duration. silences : by `silences_of`.
    """
    seconds = rollout_seconds(status, candidate, now)
    counted_seconds = rollout_seconds(status, candidate, now, silences)
    remaining = terms.max_duration_seconds - counted_seconds
    if silences:
        remaining = min(remaining, LONGEST_SECONDS - seconds)
    return RolloutTime(seconds, seconds - counted_seconds, max(remaining, 0))
