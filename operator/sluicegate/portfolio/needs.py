"""Which products need a person, why, and the command that answers. Pure."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluicegate.api import names
from sluicegate.api.engine import ProductState
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.review import ReviewState
from sluicegate.api.versions import CandidatePhase
from sluicegate.conditions import find_condition


class NeedKind(StrEnum):
    """Why a product needs a person, the most pressing first."""

    STALLED = "Stalled"
    """Nothing goes on until a person changes something."""
    NOT_READY = "NotReady"
    """What serves is not what the spec asks for, and no rollout is under way that will change that."""
    APPROVAL = "Approval"
    """A candidate waits for approval."""
    REQUEST = "RequestWaits"
    """A request of a person can't act before the spec is changed."""
    RETRAINING_SUSPENDED = "RetrainingSuspended"
    """Attempts in a row ended without a promotion, so none follows by itself."""
    TRAINING_BLOCKED = "TrainingBlocked"
    """A training is refused, fails or is no remedy; the next one waits, or ends in the same way."""
    DEGRADED = "DegradedWithoutRemedy"
    """An SLO is missed, and neither a training nor a rollout is under way."""
    INCONCLUSIVE = "Inconclusive"
    """A rollout ended without a verdict, and is not retried by itself."""
    REVIEW_OVERDUE = "ReviewOverdue"
    """Signatures of a review are missing after its due time."""
    REVIEW_DUE = "ReviewDue"
    """A review waits for signatures."""

    @property
    def rank(self) -> int:
        """0 for the most pressing one."""
        return _RANKS[self]

    def counted(self, number: int) -> str:
        """So many needs of this kind, in words."""
        return f"{number:,} {_WORDS[self][1 + (number > 1)]}"


_RANKS: Final = {kind: place for place, kind in enumerate(NeedKind)}
_WORDS: Final = {
    NeedKind.STALLED: ("Stalled", "stalled product", "stalled products"),
    NeedKind.NOT_READY: ("Not ready", "product not ready", "products not ready"),
    NeedKind.APPROVAL: ("Waits for approval", "approval", "approvals"),
    NeedKind.REQUEST: ("Request waits", "request that waits", "requests that wait"),
    NeedKind.RETRAINING_SUSPENDED: (
        "Retraining suspended", "suspended retraining", "suspended retrainings",
    ),
    NeedKind.TRAINING_BLOCKED: ("Training blocked", "blocked training", "blocked trainings"),
    NeedKind.DEGRADED: (
        "Degraded without a remedy",
        "degradation without a remedy", "degradations without a remedy",
    ),
    NeedKind.INCONCLUSIVE: (
        "Rollout without a verdict", "rollout without a verdict", "rollouts without a verdict",
    ),
    NeedKind.REVIEW_OVERDUE: ("Review overdue", "overdue review", "overdue reviews"),
    NeedKind.REVIEW_DUE: ("Review due", "review to sign", "reviews to sign"),
}  # fmt: skip
"""Each as people read it of a product, of one, and of several."""
LABELS: Final = {kind: label for kind, (label, *_) in _WORDS.items()}
_REFUSED: Final = frozenset(
    {
        ConditionReason.PODS_NOT_READY,
        ConditionReason.PROGRESS_DEADLINE_EXCEEDED,
        ConditionReason.NAME_CONFLICT,
        ConditionReason.APPLY_REFUSED,
        ConditionReason.ROUTE_SHADOWED,
        ConditionReason.ROUTE_NOT_ACCEPTED,
    }
)
"""Reasons of Ready that no step of the operator removes by itself."""

_BY_EDIT: Final = frozenset(
    {ConditionReason.SUSPENDED, ConditionReason.INVALID_SPEC, ConditionReason.VERSION_REUSED}
)
"""Reasons for which a request waits until a person edits the spec."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a product needs of a person.

    Attributes
    ----------
    kind : why. message : the reason with its numbers, as status has it.
    since : seconds since the epoch; None where status does not say.
    command : what answers it, for a shell, its values quoted; empty where only an edit does.
    """

    kind: NeedKind
    message: str = ""
    since: int | None = None
    command: str = ""


def needs_of(product: DataProduct) -> tuple[Need, ...]:
    """What a product needs of a person, the most pressing first; nothing of one that is being deleted."""
    if product.metadata.deletion_timestamp is not None:
        return ()
    found = [
        *_blocked(product),
        *_requests(product),
        *_candidate(product),
        *_degraded(product),
        *_review(product),
    ]
    return tuple(sorted(found, key=lambda one: one.kind.rank))


def request_command(product: DataProduct, annotation: str, value: str) -> str:
    """The command that sets a one-shot annotation; the token is the moment at which it is run."""
    namespace, name = product.metadata.key
    prefix = f"{shlex.quote(value)}/" if value else ""
    return (
        f"kubectl annotate dataproduct --overwrite -n {shlex.quote(namespace)}"
        f' {shlex.quote(name)} {annotation}={prefix}"$(date +%s)"'
    )


def _blocked(product: DataProduct) -> Iterator[Need]:
    conditions = product.status.conditions
    stalled = find_condition(conditions, ConditionType.STALLED)
    if stalled is not None and stalled.status == "True":
        yield Need(NeedKind.STALLED, stalled.message, stalled.last_transition_time)
        return
    ready = find_condition(conditions, ConditionType.READY)
    if ready is not None and ready.status == "False" and ready.reason in _REFUSED:
        yield Need(NeedKind.NOT_READY, ready.message, ready.last_transition_time)


def _requests(product: DataProduct) -> Iterator[Need]:
    """Requests that only an edit of the spec lets act."""
    for one in product.status.pending_requests:
        if one.reason in _BY_EDIT:
            text = f"{one.annotation}={one.value} waits: {one.message}"
            yield Need(NeedKind.REQUEST, text, one.wait_start_time)


def _candidate(product: DataProduct) -> Iterator[Need]:
    candidate = product.status.candidate
    if candidate is None:
        return
    rollout = find_condition(product.status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    message = rollout.message if rollout is not None else ""
    since = rollout.last_transition_time if rollout is not None else candidate.start_time
    command = request_command(product, names.REQUEST_PROMOTE, candidate.version)
    waits = rollout is not None and rollout.reason == ConditionReason.API_CHANGED
    if candidate.phase is CandidatePhase.AWAITING_APPROVAL or waits:
        yield Need(NeedKind.APPROVAL, message, since, command)
    elif candidate.parked and candidate.retry_time is None:
        yield Need(NeedKind.INCONCLUSIVE, message or candidate.decision_message, since, command)


def _degraded(product: DataProduct) -> Iterator[Need]:
    status = product.status
    degraded = find_condition(status.conditions, ConditionType.DEGRADED)
    since = degraded.last_transition_time if degraded is not None else None
    told = status.diagnosis
    retraining = status.retraining
    if retraining is not None and retraining.suspended:
        last = retraining.last_result
        text = f"{retraining.unsuccessful_attempts} attempts in a row ended without a promotion"
        if last is not None:
            text = f"{text}; the last one: {last.outcome} ({last.reason or 'no reason'})"
        command = request_command(product, names.REQUEST_RETRAIN, "")
        at = last.completion_time if last is not None else None
        yield Need(NeedKind.RETRAINING_SUSPENDED, text, at, command)
        return
    if (blocked := status.blocked_training) is not None:
        command = request_command(product, names.REQUEST_RETRAIN, "")
        training = retraining is not None and retraining.trigger is not None
        at = blocked.last_transition_time
        yield Need(NeedKind.TRAINING_BLOCKED, blocked.message, at, "" if training else command)
        return
    if status.state is not ProductState.DEGRADED:
        return
    upstream = told is not None and told.cause == DecisionReason.UPSTREAM_DEGRADED
    tried = status.candidate is not None
    asks = retraining is not None and retraining.waiting_for == DecisionReason.MANUAL_MODE
    training = retraining is not None and (retraining.trigger or retraining.pending) is not None
    if not (upstream or tried or training) or asks:
        message = told.message if told is not None else degraded.message if degraded else ""
        command = request_command(product, names.REQUEST_RETRAIN, "") if asks else ""
        yield Need(NeedKind.DEGRADED, message, since, command)


def _review(product: DataProduct) -> Iterator[Need]:
    due = find_condition(product.status.conditions, ConditionType.REVIEW_DUE)
    if due is None or due.status != "True":
        return
    late = due.reason == ReviewState.OVERDUE
    namespace, name = product.metadata.key
    labels = f"{names.LABEL_PRODUCT}={name},{names.LABEL_REVIEW}=sealed"
    command = f"kubectl get dprev -n {shlex.quote(namespace)} -l {shlex.quote(labels)}"
    kind = NeedKind.REVIEW_OVERDUE if late else NeedKind.REVIEW_DUE
    yield Need(kind, due.message, due.last_transition_time, command)
