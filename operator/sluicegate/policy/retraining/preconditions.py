"""May the product be retrained now? Preconditions as named checks, and the portfolio's budget.

The pause after an attempt without a promotion is in pauses.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining import RetrainingMode
from sluicegate.api.retraining_status import HOLD_OUT_REASONS, MAX_FAILURES, RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.model.decision import alert_key
from sluicegate.policy.model.observed import Portfolio
from sluicegate.policy.model.terms import RetrainingTerms, Terms
from sluicegate.policy.retraining.pauses import cooldown
from sluicegate.slo.by_market import market_series
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS
from sluicegate.views.numbers import duration

MIN_AGE_BLOCKS: Final = WARM_UP_BLOCKS + 12
"""A version younger than this hasn't shown what it can do: it is blocks that show it, not hours."""
_FOLLOWED_REASONS: Final = frozenset({Reason.MODEL_DECAY, Reason.FOLLOW_UP})
"""Causes of the training of a stable version that has a follow-up."""


@dataclass(frozen=True, slots=True)
class RetrainingRequest:
    """A due retraining, with the input of its preconditions.

    `label_share_since`: share of the events needed to detect a drop that arrived since a time in seconds.
    `degraded_since`: end of the first bad block, in seconds.
    `next_score_time`: when the next Job may score the stable version after one without a conclusion.
    """

    terms: Terms
    status: DataProductStatus
    portfolio: Portfolio
    now: int
    label_share_since: Callable[[int], float] | None = None
    degraded_since: int | None = None
    next_score_time: int | None = None

    @property
    def retraining_status(self) -> RetrainingStatus:
        """Return the retraining status of the product."""
        return self.status.retraining or RetrainingStatus()


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The reason why a retraining can't start, and whether a person must act."""

    reason: Reason
    message: str
    needs_person: bool = False


@dataclass(frozen=True, slots=True)
class WaitingRetraining:
    """A due retraining and the precondition that blocks it.

    Attributes
    ----------
    trigger : its name. slo : what is degraded; empty for a challenger. cause : why.
    reason : what stands in the way. market : where the SLO is missed, if in one market alone.
    """

    trigger: str
    slo: str
    cause: Reason
    reason: Reason
    market: str = ""


Check = Callable[[RetrainingRequest], Obstacle | None]


def attempts_without(number: int) -> str:
    """Return a number of attempts without a promotion in parentheses, after a space; empty for none."""
    return f" ({number} attempt{'' if number == 1 else 's'} without a promotion)" if number else ""


def life_has_ended(request: RetrainingRequest) -> Obstacle | None:
    """Object for deprecated and retired products, which only keep serving."""
    if not request.terms.ended:
        return None
    text = f"the product is {request.terms.lifecycle}, so it isn't retrained"
    return Obstacle(Reason.LIFECYCLE_ENDED, text, needs_person=True)


def retraining_is_off(request: RetrainingRequest) -> Obstacle | None:
    """Object without spec.retraining, or in mode Disabled."""
    text = retraining_off_text(request.terms.retraining)
    return Obstacle(Reason.RETRAINING_DISABLED, text, needs_person=True) if text else None


def retraining_off_text(retraining: RetrainingTerms | None) -> str:
    """Return which field of the spec allows no training; empty where trainings are allowed."""
    if retraining is None:
        return "spec.retraining is missing"
    is_off = retraining.mode is RetrainingMode.DISABLED
    return "spec.retraining.mode is Disabled" if is_off else ""


def may_train_challengers(terms: Terms, status: DataProductStatus) -> bool:
    """Return whether a challenger may be trained: by the schedule, or as a follow-up of stable."""
    retraining = terms.retraining
    if retraining is None or retraining_off_text(retraining):
        return False
    return retraining.schedule is not None or has_follow_up(terms, status)


def has_follow_up(terms: Terms, status: DataProductStatus) -> bool:
    """Return whether stable has a follow-up, at whatever time: a remedy has one, unless a rollback restored it."""
    stable, retraining = status.stable, terms.retraining
    if stable is None or retraining is None or retraining.mode is RetrainingMode.MANUAL:
        return False
    return stable.cause in _FOLLOWED_REASONS and not stable.restored


def a_person_decides(request: RetrainingRequest) -> Obstacle | None:
    """Object in mode Manual, with what a person may request."""
    retraining = request.terms.retraining
    if retraining is None or retraining.mode is not RetrainingMode.MANUAL:
        return None
    text = "spec.retraining.mode is Manual: ask for it with sluicegate.dev/retrain-requested-at"
    return Obstacle(Reason.MANUAL_MODE, text, needs_person=True)


def training_is_running(request: RetrainingRequest) -> Obstacle | None:
    """Object while another training is under way."""
    training = request.retraining_status
    if training.trigger is None:
        return None
    since = duration(max(training.seconds_run(request.now) or 0, 0))
    return Obstacle(Reason.ALREADY_RETRAINING, f"attempt {training.attempt} has run for {since}")


def a_candidate_is_tried(request: RetrainingRequest) -> Obstacle | None:
    """Object while a candidate is under trial, which may be the remedy."""
    candidate = request.status.trial
    if candidate is None or not candidate.is_on_trial:
        return None
    text = f"{candidate.release.version} is being tried at {candidate.weight} %"
    return Obstacle(Reason.CANARY_IN_PROGRESS, text)


def failed_too_often(request: RetrainingRequest) -> Obstacle | None:
    """Object after three attempts in a row without a promotion: a person must check the training."""
    failures = request.retraining_status.unsuccessful_attempts
    if failures < MAX_FAILURES:
        return None
    text = (
        f"{failures} attempts in a row ended without a promotion: check status.retraining.lastResult,"
        " and correct spec.retraining, or ask for another one with sluicegate.dev/retrain-requested-at"
    )
    return Obstacle(Reason.RETRAIN_SUSPENDED, text, needs_person=True)


def version_is_too_young(request: RetrainingRequest) -> Obstacle | None:
    """Object until the version has been measured long enough to be judged."""
    stable = request.status.stable
    if stable is None:
        return Obstacle(Reason.NO_STABLE, "no version has been accepted yet")
    age = (request.now - stable.promotion_time) // request.terms.block_seconds
    if request.now >= earliest_training_time(request.terms, stable):
        return None
    text = f"{stable.release.version} is {age} blocks old, {MIN_AGE_BLOCKS} are needed"
    return Obstacle(Reason.VERSION_TOO_YOUNG, text)


def earliest_training_time(terms: Terms, stable: Version) -> int:
    """Return when a version has been measured long enough to be judged, in seconds."""
    return stable.promotion_time + MIN_AGE_BLOCKS * terms.block_seconds


def cooldown_lasts(request: RetrainingRequest) -> Obstacle | None:
    """Object while the pause after the last attempt lasts."""
    pause_end = request.retraining_status.next_allowed_time or 0
    seconds_left = pause_end - request.now
    failures = request.retraining_status.unsuccessful_attempts
    if seconds_left <= 0 or _labels_suffice(request, pause_end):
        return None
    return Obstacle(
        Reason.COOLING_DOWN,
        f"the cooldown lasts for another {duration(seconds_left)}{attempts_without(failures)}",
    )


def _labels_suffice(request: RetrainingRequest, pause_end: int) -> bool:
    """Return whether enough events to detect a drop arrived since the pause began; only without a given cooldown.

    After a failure the cooldown is a day, and longer after the next: labels don't show the reason.
    If the last attempt ended with its hold-out, its version had no users, and newer rows may make
    the next one better. What no training remedies is tried ever more rarely: if more events came
    from the first bad block to the last attempt, as many again are needed.
    """
    retraining = request.terms.retraining
    if retraining is None or retraining.is_cooldown_given or request.label_share_since is None:
        return False
    failures = request.retraining_status.unsuccessful_attempts
    if failures and request.retraining_status.last_reason not in HOLD_OUT_REASONS:
        return False
    pause_begin = pause_end - cooldown(request.terms, request.retraining_status)
    hour = BLOCKS_PER_HOUR * request.terms.block_seconds
    min_seconds = max(hour, 2 * (request.retraining_status.last_duration_seconds or 0))
    if request.now - pause_begin < min_seconds:
        return False
    share_since_pause = request.label_share_since(pause_begin)
    first = (
        pause_begin if request.degraded_since is None else min(request.degraded_since, pause_begin)
    )
    share_before_pause = request.label_share_since(first) - share_since_pause
    return share_since_pause >= max(1 << failures, share_before_pause)


def cluster_lost_job(request: RetrainingRequest) -> Obstacle | None:
    """Object until the retry time after the cluster lost a Job."""
    seconds_left = (request.retraining_status.retry_time or 0) - request.now
    if seconds_left <= 0:
        return None
    text = (
        f"its last Job was lost to the cluster; the next one is created in {duration(seconds_left)}"
    )
    return Obstacle(Reason.INFRASTRUCTURE, text)


def score_is_undecided(request: RetrainingRequest) -> Obstacle | None:
    """Object after a score on too few rows, until twice as many rows exist."""
    seconds_left = (request.next_score_time or 0) - request.now
    if seconds_left <= 0:
        return None
    text = (
        "the stable version scores as accepted so far, on fresh rows too few for a conclusion; it is"
        f" scored again in {duration(seconds_left)}"
    )
    return Obstacle(Reason.SCORE_UNDECIDED, text)


def no_slot_is_free(request: RetrainingRequest) -> Obstacle | None:
    """Object while other products use all training slots."""
    if request.portfolio.slot:
        return None
    return Obstacle(
        Reason.NO_SLOT, f"it waits for a slot: {running_trainings_text(request.portfolio)}"
    )


def running_trainings_text(portfolio: Portfolio) -> str:
    """Return the products that have the training slots, in words.

    Products of other namespaces are counted, as their names are not for everyone to read.
    """
    training_products, slots_taken = portfolio.training_products, portfolio.slots_taken
    if not slots_taken:
        return "other products are before it in the line"
    own_namespace_text = (
        f"{', '.join(training_products)} of this namespace" if training_products else ""
    )
    in_other_namespaces = slots_taken - len(training_products)
    if not in_other_namespaces:
        return f"{own_namespace_text} trains" if slots_taken == 1 else f"{own_namespace_text} train"
    others_text = f"{in_other_namespaces} of other namespaces"
    return f"{' and '.join(filter(None, (own_namespace_text, others_text)))} {'trains' if slots_taken == 1 else 'train'}"


PRECONDITIONS: Final[tuple[Check, ...]] = (
    life_has_ended,
    retraining_is_off,
    training_is_running,
    a_candidate_is_tried,
    failed_too_often,
    a_person_decides,
    version_is_too_young,
    cooldown_lasts,
    cluster_lost_job,
    score_is_undecided,
    no_slot_is_free,
)
MANUAL_CHECKS: Final[tuple[Check, ...]] = (
    life_has_ended,
    retraining_is_off,
    training_is_running,
    a_candidate_is_tried,
    cluster_lost_job,
    no_slot_is_free,
)
"""What a person's request still has to meet: it is the way out of the others."""


def obstacle(
    request: RetrainingRequest, checks: tuple[Check, ...] = PRECONDITIONS
) -> Obstacle | None:
    """Return the first precondition that isn't met; None if the training may start."""
    return next(filter(None, (check(request) for check in checks)), None)


def obstacle_to_request(request: RetrainingRequest) -> Obstacle | None:
    """Return the first unmet precondition of a manual training request; None if it may start."""
    return obstacle(request, MANUAL_CHECKS)


def trigger_of(terms: Terms, version: str, slo: str, first_bad: int | str) -> str:
    """Return eight hex digits that identify one cause of a training, stable across restarts."""
    text = "/".join((terms.namespace, terms.name, version, slo, str(first_bad)))
    return sha256(text.encode()).hexdigest()[:8]


def trigger_for(terms: Terms, status: DataProductStatus, slo: str, *, market: str = "") -> str:
    """Return the trigger of a training: for a degraded SLO, or for a market that alone misses it."""
    assert status.stable is not None
    record, version = status.engine.slo(slo), status.stable.release.version
    if market:
        first = record.missed_markets.get(market, status.stable.promotion_time)
        return trigger_of(terms, version, market_series(slo, market), first)
    first = record.streak.first if record.streak else status.stable.promotion_time
    return trigger_of(terms, version, slo, first)


def was_alerted(terms: Terms, status: DataProductStatus, slo: str, reason: Reason) -> bool:
    """Return whether an alert of this reason was emitted about the present degradation of an SLO."""
    return alert_key(reason, trigger_for(terms, status, slo)) in status.engine.emitted_alerts
