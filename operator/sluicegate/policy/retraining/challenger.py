"""A model that is trained although nothing is wrong, and served only if it is shown to be better.

A decay that is slow, or smaller than `maxDrop`, trips nothing; a challenger heals it all the same.
"""

from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.decision import Retrain
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import labels, preconditions
from sluicegate.policy.retraining.preconditions import WaitingRetraining
from sluicegate.views.numbers import duration

CHECKS: Final[tuple[preconditions.Check, ...]] = (
    preconditions.life_has_ended,
    preconditions.retraining_is_off,
    preconditions.one_is_under_way,
    preconditions.a_candidate_is_tried,
    preconditions.a_person_decides,
    preconditions.the_cluster_lost_a_job,
    preconditions.no_slot_is_free,
)
"""No cooldown: the schedule is its pause."""
_WAITING: Final = frozenset({Reason.NO_SLOT, Reason.INFRASTRUCTURE, Reason.MANUAL_MODE})
"""Obstacles that pass, or that a person takes away."""
SUSPECTED_SHARE: Final = 0.5
"""Of its period, after which a challenger is trained where something looks worse."""


def due(
    terms: Terms, status: DataProductStatus, observed: Observed, *, suspected: bool, now: int
) -> Retrain | WaitingRetraining | None:
    """The training of a challenger, once its turn has come, or what it waits for.

    None before its turn, and while something else is done about the product.

    Parameters
    ----------
    suspected : an SLO about the answers looks worse, though not surely: half the period suffices
        then, as a challenger does no harm if there was nothing.
    """
    retraining, stable = terms.retraining, status.stable
    if retraining is None or retraining.schedule is None or stable is None:
        return None
    if observed.problem is not None:
        return None
    trained = status.retraining or RetrainingStatus()
    begun = trained.last_training_time
    since = stable.promotion_time if begun is None else begun
    why = _turn(terms, observed, since, now, share=SUSPECTED_SHARE if suspected else 1.0)
    request = preconditions.RetrainingRequest(terms, status, observed.portfolio, now)
    if not why:
        return None
    name, obstacle = stable.release.version, preconditions.obstacle(request, CHECKS)
    trigger = preconditions.trigger_of(terms, name, "schedule", since)
    if obstacle is not None:
        waits = obstacle.reason in _WAITING
        return WaitingRetraining(trigger, "", Reason.SCHEDULED, obstacle.reason) if waits else None
    return Retrain(
        reason=Reason.SCHEDULED,
        message=f"{why} since the last training began, so a challenger of {name} is trained",
        trigger=trigger,
        slo="",
        parent=stable.release,
        attempt=trained.unsuccessful_challengers + 1,
    )


def _turn(terms: Terms, observed: Observed, since: int, now: int, *, share: float) -> str:
    """What has come of the period since then, in words; empty while it isn't over."""
    assert terms.retraining is not None
    schedule = terms.retraining.schedule
    assert schedule is not None
    if schedule.every_seconds is not None and now - since >= share * schedule.every_seconds:
        return f"{duration(now - since)} have passed"
    if schedule.every_labels is None:
        return ""
    told = [slo.name for slo in terms.deciding if slo.measures_quality]
    come = max((labels.since(terms, observed, slo, since) for slo in told), default=0)
    return f"{come:,} labels have come" if come >= share * schedule.every_labels else ""


def is_one(status: DataProductStatus) -> bool:
    """Whether the training under way is that of a challenger."""
    running = status.training
    return running is not None and running.cause == Reason.SCHEDULED
