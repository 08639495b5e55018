"""A model that is trained although no SLO is degraded, and served only if it is shown to be better.

Two causes: its schedule, as a decay that is slow or smaller than `maxDrop` degrades no SLO; and a
remedy that was trained soon after a change, as more rows since the change make a better model.
"""

from typing import Final, NamedTuple

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.decision import Retrain
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.retraining import labels, preconditions
from sluicegate.policy.retraining.preconditions import WaitingRetraining
from sluicegate.views.numbers import duration

CHECKS: Final[tuple[preconditions.Check, ...]] = (
    preconditions.life_has_ended,
    preconditions.retraining_is_off,
    preconditions.training_is_running,
    preconditions.a_candidate_is_tried,
    preconditions.a_person_decides,
    preconditions.cluster_lost_job,
    preconditions.no_slot_is_free,
)
"""No cooldown: the schedule is its pause, and the labels that it takes are that of a follow-up."""
_WAITING_REASONS: Final = frozenset({Reason.NO_SLOT, Reason.INFRASTRUCTURE, Reason.MANUAL_MODE})
"""Obstacles that pass, or that a person takes away."""
SUSPECTED_SHARE: Final = 0.5
"""Of its period, after which a challenger is trained where something looks worse."""


def due_challenger(
    terms: Terms, status: DataProductStatus, observed: Observed, *, suspected: bool, now: int
) -> Retrain | WaitingRetraining | None:
    """Return the training of a due challenger, or its obstacle.

    None before its schedule, and while the product has another training or rollout.

    Parameters
    ----------
    suspected : an SLO about the answers looks worse, though not surely: half the period suffices
        then, as a challenger does no harm if there was nothing.
    """
    stable = status.stable
    if terms.retraining is None or stable is None or observed.problem is not None:
        return None
    share = SUSPECTED_SHARE if suspected else 1.0
    turn = _scheduled_turn(terms, status, observed, share=share, now=now) or _follow_up(
        terms, status, observed, now
    )
    if turn is None:
        return None
    name = stable.release.version
    request = preconditions.RetrainingRequest(terms, status, observed.portfolio, now)
    obstacle = preconditions.obstacle(request, CHECKS)
    kind = "schedule" if turn.cause is Reason.SCHEDULED else "follow-up"
    trigger = preconditions.trigger_of(terms, name, kind, turn.since)
    if obstacle is not None:
        is_waiting = obstacle.reason in _WAITING_REASONS
        return WaitingRetraining(trigger, "", turn.cause, obstacle.reason) if is_waiting else None
    retraining_status = status.retraining or RetrainingStatus()
    return Retrain(
        reason=turn.cause,
        message=turn.message,
        trigger=trigger,
        slo="",
        parent=stable.release,
        attempt=retraining_status.unsuccessful_challengers + 1,
    )


class _Turn(NamedTuple):
    """A due challenger: its cause, the start of its pause in seconds, and a sentence."""

    cause: Reason
    since: int
    message: str


def _scheduled_turn(
    terms: Terms, status: DataProductStatus, observed: Observed, *, share: float, now: int
) -> _Turn | None:
    """Return the turn by spec.retraining.schedule; None before `share` of the period has passed."""
    assert terms.retraining is not None
    assert status.stable is not None
    schedule = terms.retraining.schedule
    if schedule is None:
        return None
    last_training_time = status.retraining.last_training_time if status.retraining else None
    since = status.stable.promotion_time if last_training_time is None else last_training_time
    passed_text = ""
    if schedule.every_seconds is not None and now - since >= share * schedule.every_seconds:
        passed_text = f"{duration(now - since)} have passed"
    elif schedule.every_labels is not None:
        arrived = max((count for _, count in _label_counts(terms, observed, since)), default=0)
        if arrived >= share * schedule.every_labels:
            passed_text = f"{arrived:,} labels have come"
    if not passed_text:
        return None
    name = status.stable.release.version
    text = f"{passed_text} since the last training began, so a challenger of {name} is trained"
    return _Turn(Reason.SCHEDULED, since, text)


def _follow_up(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> _Turn | None:
    """Return the follow-up after a remedy or a promoted follow-up; None without one.

    It comes once the version is old enough to be judged, and as many labels have arrived since its
    training began as distinguish a drop by maxDrop. A version that a rollback restored has none:
    the newest training isn't its own.
    """
    stable, retraining_status, retraining = status.stable, status.retraining, terms.retraining
    assert stable is not None
    assert retraining is not None
    since = retraining_status.last_training_time if retraining_status else None
    if retraining_status is None or since is None or since > stable.promotion_time:
        return None
    if not preconditions.has_follow_up(terms, status):
        return None
    is_cooling_down = retraining.is_cooldown_given and now < (
        retraining_status.next_allowed_time or 0
    )
    has_rested = now - since >= 2 * (retraining_status.last_duration_seconds or 0)
    if (
        is_cooling_down
        or not has_rested
        or now < preconditions.earliest_training_time(terms, stable)
    ):
        return None
    for slo, arrived in _label_counts(terms, observed, since):
        baseline = stable.baseline.get(slo.name)
        if arrived >= labels.needed_events(slo, None if baseline is None else baseline.count):
            text = (
                f"{stable.release.version} was trained soon after a change; {arrived:,} labels have"
                " come since that training began, so a challenger is trained on them"
            )
            return _Turn(Reason.FOLLOW_UP, since, text)
    return None


def _label_counts(terms: Terms, observed: Observed, since: int) -> list[tuple[SloTerms, int]]:
    """Return each deciding quality SLO with its number of labels since the last training."""
    return [
        (slo, labels.events_since(terms, observed, slo.name, since))
        for slo in terms.deciding
        if slo.measures_quality
    ]


def trains_challenger(status: DataProductStatus) -> bool:
    """Return whether the training under way is that of a challenger."""
    running = status.training
    return running is not None and running.trains_challenger
