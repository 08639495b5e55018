"""What an attempt without a promotion leaves: counts, a pause, and what ends the pause.

The second failure of a training in a row doubles the pause, and after three a person must act. A Job that
was lost to the cluster says nothing about the training: it is retried within minutes. A challenger
that fails pauses no remedy. What a person corrects ends the pause that it caused.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.names import REQUEST_RETRAIN
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.attended_time import MIN_SECONDS
from sluicegate.policy.model.retries import retry_seconds
from sluicegate.policy.model.terms import Terms

LONGEST_COOLDOWN: Final = 7 * 86_400
WITHOUT_REMEDY: Final = frozenset(
    {
        Reason.HOLD_OUT_TOO_SMALL,
        Reason.NOT_SHOWN_BETTER,
        Reason.SERVING_SKEW,
        Reason.CODE_NOT_DATA,
    }
)
"""Reasons of attempts whose training worked, and whose version is not shown to be a remedy."""


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt that ended without a promotion.

    Attributes
    ----------
    reason : why. failed : whether it counts as a failure.
    challenger : whether it was one. now : when it ended, in seconds.
    """

    reason: Reason
    failed: bool
    challenger: bool
    now: int


def cooldown(terms: Terms, retraining_status: RetrainingStatus | None) -> int:
    """Return the seconds of the pause after an attempt, by the number of consecutive failures.

    The first failure has the pause itself, and each further one doubles it.
    A pause that a person chose also doubles for attempts that were no remedy: without one the
    number of labels has the same effect.
    """
    retraining_status = retraining_status or RetrainingStatus()
    min_seconds = terms.retraining.cooldown_seconds if terms.retraining else 0
    base = max(min_seconds, 2 * (retraining_status.last_duration_seconds or 0))
    attempts = retraining_status.unsuccessful_attempts
    if terms.retraining is not None and terms.retraining.is_cooldown_given:
        attempts += retraining_status.attempts_without_remedy
    doublings = min(max(0, attempts - 1), 32)
    return min(base << doublings, max(LONGEST_COOLDOWN, base))


def with_ended_attempt(
    terms: Terms, status: DataProductStatus, *, now: int, reason: Reason, failed: bool
) -> DataProductStatus:
    """Return the status after the training under way led to no rollout.

    Parameters
    ----------
    failed : whether it counts as a failure; a small hold-out doesn't.
    """
    retraining_before = status.retraining or RetrainingStatus()
    running = retraining_before.trigger
    seconds_run = retraining_before.seconds_run(now)
    next_status = status.with_retraining(
        trigger=None,
        last_duration_seconds=retraining_before.last_duration_seconds
        if seconds_run is None
        else seconds_run,
        last_reason=str(reason),
        lost_jobs=0,
        retry_time=None,
    )
    challenger = running is not None and running.trains_challenger
    return with_counted_attempt(terms, next_status, EndedAttempt(reason, failed, challenger, now))


def with_counted_attempt(
    terms: Terms, status: DataProductStatus, attempt: EndedAttempt
) -> DataProductStatus:
    """Return the status with an attempt counted, and its pause.

    The pause of challengers is their schedule, so one neither counts for remedies nor pauses them.
    """
    retraining = status.retraining or RetrainingStatus()
    if attempt.challenger:
        number = retraining.unsuccessful_challengers + 1 if attempt.failed else 0
        return status.with_retraining(unsuccessful_challengers=number)
    next_status = status.with_retraining(
        unsuccessful_attempts=retraining.unsuccessful_attempts + int(attempt.failed),
        attempts_without_remedy=retraining.attempts_without_remedy
        + int(attempt.reason in WITHOUT_REMEDY),
    )
    pause = cooldown(terms, next_status.retraining)
    return next_status.with_retraining(next_allowed_time=attempt.now + pause)


def with_lost_job(status: DataProductStatus, now: int) -> DataProductStatus:
    """Return the status after the cluster lost a training's Job: a new Job is due after a pause.

    A person's request counts as not handled, and a challenger's turn as not taken.
    """
    retraining_before = status.retraining or RetrainingStatus()
    running = retraining_before.trigger
    wait = retry_seconds(retraining_before.lost_jobs)
    next_status = status.with_retraining(
        trigger=None,
        last_reason=str(Reason.INFRASTRUCTURE),
        lost_jobs=retraining_before.lost_jobs + 1,
        retry_time=now + wait,
    )
    if running is not None and running.trains_challenger:
        return next_status.with_retraining(
            last_training_time=retraining_before.previous_training_time
        )
    if running is None or running.cause != Reason.REQUESTED or next_status.last_handled is None:
        return next_status
    return next_status.replace(
        last_handled=next_status.last_handled.with_token(REQUEST_RETRAIN, "")
    )


def without_pause(status: DataProductStatus) -> DataProductStatus:
    """Return the status without counts of attempts and without a pause."""
    return status.with_retraining(
        unsuccessful_attempts=0,
        unsuccessful_challengers=0,
        attempts_without_remedy=0,
        lost_jobs=0,
        next_allowed_time=None,
        retry_time=None,
    )


def _within_bounds(terms: Terms, retraining: RetrainingStatus, now: int) -> RetrainingStatus:
    """Return the pauses limited to their allowed length, after a clock step backwards.

    `policy/model/past_times.py` bounds retry_time, whose limit needs no terms.
    """
    latest = now + cooldown(terms, retraining)
    if retraining.next_allowed_time is None or retraining.next_allowed_time <= latest + MIN_SECONDS:
        return retraining
    return retraining.replace(next_allowed_time=latest)


def with_corrected_pauses(
    terms: Terms, status: DataProductStatus, *, now: int, degraded: bool, withheld: str = ""
) -> DataProductStatus:
    """Return the status without counts and pauses whose cause was corrected or has ended.

    A pause ends with a change of what the newest attempt was made from: the training of the spec,
    its runtime image, or what the SLOs ask for. Attempts that were no remedy count for one
    degradation.

    Parameters
    ----------
    now : in seconds. degraded : whether an SLO of the product is. withheld : the mistakes of a spec that is carried out
        by the nearest valid one, whose values no person chose; empty without any.
    """
    retraining = status.retraining
    if retraining is None or terms.retraining is None:
        return status
    retraining = _within_bounds(terms, retraining, now)
    status = status if retraining == status.retraining else status.replace(retraining=retraining)
    corrected = not withheld and retraining.inputs not in {"", terms.retraining.inputs}
    if corrected and retraining.trigger is None and retraining.is_held_back:
        return without_pause(status)
    if retraining.attempts_without_remedy and retraining.trigger is None and not degraded:
        return status.with_retraining(attempts_without_remedy=0)
    return status
