"""The one definition of "needs a person": which products, why, and the command that answers. Pure.

The page, the plugin, the column REASON, the urgency of a message and the digest are derived from it.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluicegate.api import names
from sluicegate.api.approvals import CandidateApprovals
from sluicegate.api.base import rfc3339
from sluicegate.api.engine import ProductState
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.api.review import ReviewState
from sluicegate.api.slo_status import MarketStatus, SloStatus
from sluicegate.api.status import (
    Condition,
    DataProductStatus,
    DependencyState,
    PendingRequest,
)
from sluicegate.api.versions import Candidate, CandidateHold, CandidatePhase
from sluicegate.conditions import find_condition
from sluicegate.views.approval_texts import (
    absent_consumer_text,
    held_silence_text,
    parties_text,
    silence_text,
)
from sluicegate.views.numbers import events, percent


class NeedKind(StrEnum):
    """Why a product needs a person, the most pressing first."""

    NOT_READY = "NotReady"
    """Requests don't reach the version of the spec, and no rollout is under way that will change that."""
    STALLED = "Stalled"
    """Nothing goes on until a person changes something."""
    ROLLBACK_FAILED = "RollbackFailed"
    """An earlier version was to be restored and could not be; no step follows by itself."""
    APPROVAL = "Approval"
    """A candidate waits for approval."""
    HELD = "CandidateHeld"
    """A candidate was approved, and a check holds it without a deadline."""
    REQUEST = "RequestWaits"
    """A request of a person can't act before the spec is changed."""
    RETRAINING_SUSPENDED = "RetrainingSuspended"
    """Attempts in a row ended without a promotion, so none follows by itself."""
    TRAINING_BLOCKED = "TrainingBlocked"
    """A training is refused, fails or is no remedy; the next one waits, or ends in the same way."""
    DEGRADED = "DegradedWithoutRemedy"
    """An SLO is missed, and neither a training nor a rollout is under way."""
    DEPENDENT = "DependentDegraded"
    """A release of it degrades a product that depends on it: both owners have to agree."""
    SECRET = "FeedbackSecretUnusable"  # noqa: S105 - a reason
    """The Secret of feedback lacks a key, so no label is counted until a person corrects it."""
    MARKET = "MarketMissed"
    """An SLO is missed in a market, and the product as a whole isn't degraded: no remedy follows by itself."""
    INCONCLUSIVE = "Inconclusive"
    """A rollout ended without a verdict, and is not retried by itself."""
    DEPENDENCY = "DependencyNotFound"
    """spec.dependsOn names a product that this operator doesn't evaluate, so it is no cause in a diagnosis."""
    REVIEW_OVERDUE = "ReviewOverdue"
    """Signatures of a review are missing after its due time."""
    ACTIONS_LATE = "ActionsLate"
    """Actions that were agreed in reviews are not done after their due dates."""
    REVIEW_DUE = "ReviewDue"
    """A review waits for signatures, or can't be opened."""

    @property
    def rank(self) -> int:
        """0 for the most pressing one."""
        return _RANK_BY_KIND[self]

    def count_text(self, number: int) -> str:
        """Return a number of needs of this kind, in words."""
        return f"{number:,} {_WORDS[self][1 + (number > 1)]}"


_RANK_BY_KIND: Final = {kind: rank for rank, kind in enumerate(NeedKind)}
_WORDS: Final = {
    NeedKind.STALLED: ("Stalled", "stalled product", "stalled products"),
    NeedKind.NOT_READY: ("Not ready", "product not ready", "products not ready"),
    NeedKind.ROLLBACK_FAILED: ("Rollback failed", "failed rollback", "failed rollbacks"),
    NeedKind.APPROVAL: ("Waits for approval", "approval", "approvals"),
    NeedKind.HELD: ("Candidate held", "held candidate", "held candidates"),
    NeedKind.REQUEST: ("Request waits", "request that waits", "requests that wait"),
    NeedKind.RETRAINING_SUSPENDED: (
        "Retraining suspended", "suspended retraining", "suspended retrainings",
    ),
    NeedKind.TRAINING_BLOCKED: ("Training blocked", "blocked training", "blocked trainings"),
    NeedKind.DEGRADED: (
        "Degraded without a remedy",
        "degradation without a remedy", "degradations without a remedy",
    ),
    NeedKind.DEPENDENT: ("Degrades a dependent", "degraded dependent", "degraded dependents"),
    NeedKind.SECRET: (
        "Feedback Secret unusable", "unusable feedback Secret", "unusable feedback Secrets",
    ),
    NeedKind.MARKET: ("Market missed", "missed market", "missed markets"),
    NeedKind.INCONCLUSIVE: (
        "Rollout without a verdict", "rollout without a verdict", "rollouts without a verdict",
    ),
    NeedKind.DEPENDENCY: ("Dependency not found", "dependency not found", "dependencies not found"),
    NeedKind.REVIEW_OVERDUE: ("Review overdue", "overdue review", "overdue reviews"),
    NeedKind.ACTIONS_LATE: (
        "Actions late", "product with late actions", "products with late actions",
    ),
    NeedKind.REVIEW_DUE: ("Review due", "review to sign", "reviews to sign"),
}  # fmt: skip
"""Each as people read it of a product, of one, and of several."""
UNNAMED_PARTIES: Final = "*"
"""Party of a need that stands for consumers which status has no room for."""
LABELS: Final = {kind: label for kind, (label, *_) in _WORDS.items()}
REVIEWS: Final[Mapping[str, NeedKind]] = {
    ReviewState.TO_REVIEW: NeedKind.REVIEW_DUE,
    ReviewState.OVERDUE: NeedKind.REVIEW_OVERDUE,
    EventReason.REVIEW_MISCONFIGURED: NeedKind.REVIEW_DUE,
}
"""Needs by reason of the condition ReviewDue: states of a sealed review, or a mistake in spec.review."""
MINOR_NEEDS: Final = frozenset({NeedKind.DEPENDENCY, *REVIEWS.values(), NeedKind.ACTIONS_LATE})
"""Needs beside which requests are served well: the column REASON has the product's conditions before them."""
_BLOCKING_REASONS: Final = frozenset(
    {
        ConditionReason.PODS_NOT_READY,
        ConditionReason.PODS_RESTARTING,
        ConditionReason.PROGRESS_DEADLINE_EXCEEDED,
        ConditionReason.NAME_CONFLICT,
        ConditionReason.APPLY_REFUSED,
        ConditionReason.ROUTE_SHADOWED,
        ConditionReason.ROUTE_NOT_ACCEPTED,
    }
)
"""Reasons of Ready that no step of the operator removes by itself."""
_WITHOUT_EVIDENCE: Final = frozenset(
    {
        DecisionReason.ABORT_REQUESTED,
        DecisionReason.APPROVAL_MISSING,
        DecisionReason.APPROVAL_REFUSED,
        DecisionReason.MAX_DURATION,
    }
)
"""Reasons of a rejection that are no evidence against the version, so that another try may be offered."""
_ROUTE_REASONS: Final = frozenset(
    {ConditionReason.ROUTE_SHADOWED, ConditionReason.ROUTE_NOT_ACCEPTED}
)
"""Those by which no request reaches a version that may serve."""

_EDIT_REASONS: Final = frozenset(
    {ConditionReason.SUSPENDED, ConditionReason.INVALID_SPEC, ConditionReason.VERSION_REUSED}
)
"""Reasons for which a request waits until a person edits the spec."""
_TRANSIENT_CAUSES: Final = frozenset(
    {
        DecisionReason.UPSTREAM_DEGRADED,
        DecisionReason.UPSTREAM_DEGRADING,
        DecisionReason.UPSTREAM_UNDECIDED,
        DecisionReason.RECOVERED,
    }
)
"""Causes of a degradation that ends without a remedy: with the upstream product, or with time."""
_PERSON_CHECKS: Final = frozenset(
    {DecisionReason.MARKET_WORSE, DecisionReason.CONSUMER_NOT_MEASURED}
)
"""Checks that hold a candidate until a person acts, or the rollout's time is over."""
_OBJECTIONS: Final = frozenset(
    {
        DecisionReason.LOOKS_WORSE,
        DecisionReason.OBJECTIVE_NOT_MET,
        DecisionReason.WORSE_THAN_ORIGINAL,
        DecisionReason.ROUTING_MISMATCH,
        DecisionReason.INVALID_DATA,
    }
)
"""Checks of a candidate that an approval doesn't overrule."""
Key = tuple[str, str]
"""Namespace and name of a product."""


@dataclass(frozen=True, slots=True)
class Need:
    """One action that a product needs of a person.

    Attributes
    ----------
    kind : why.
    reason : the reason of the condition or decision, in one word; never empty.
    message : the reason with its numbers, as status has it.
    since : seconds since the epoch; None where status does not say.
    command : what answers it, for a shell, its values quoted; empty where only an edit does.
    party : whose answer to a candidate is missing: a role, or NAMESPACE/NAME of a consumer; empty otherwise.
    """

    kind: NeedKind
    reason: str
    message: str = ""
    since: int | None = None
    command: str = ""
    party: str = ""


def needs_of(product: DataProduct) -> tuple[Need, ...]:
    """Return a product's needs of a person, the most pressing first; none for one under deletion."""
    if product.metadata.deletion_timestamp is not None:
        return ()
    return needs_of_status(product.status, product.metadata.key)


def needs_of_status(status: DataProductStatus, key: Key) -> tuple[Need, ...]:
    """Return the needs of a product with this status, the most pressing first."""
    needs = [
        *_blocked_needs(status, key), *_rollback_needs(status), *_request_needs(status), *_candidate_needs(status, key),
        *_degradation_needs(status, key), *_dependent_needs(status), *_secret_needs(status), *_market_needs(status), *_dependency_needs(status), *_review_needs(status, key),
    ]  # fmt: skip
    return tuple(sorted(needs, key=lambda need: need.kind.rank))


def unreadable_need(problem: str) -> Need:
    """Return the need of a product with an unreadable spec; `problem` is the reason."""
    return Need(NeedKind.STALLED, ConditionReason.INVALID_SPEC, problem)


def plugin_command(key: Key, verb: str, version: str = "") -> str:
    """Return the command of the plugin that sets a one-shot request, its values quoted for a shell.

    The plugin writes as a field manager of its own, so a GitOps tool does not remove the request.

    Parameters
    ----------
    verb : approve, promote, abort, rollback or retrain. version : what it is about; empty for none.
    """
    words = (
        "kubectl sluicegate",
        verb,
        shlex.quote("/".join(key)),
        shlex.quote(version) if version else "",
    )
    return " ".join(filter(None, words))


def _condition_need(
    kind: NeedKind, condition: Condition | None, *, message: str = "", reason: str = "",
    since: int | None = None, command: str = "",
) -> Need:  # fmt: skip
    """Return a need with its condition's message, unless another one is given."""
    if condition is not None:
        reason, message = reason or condition.reason, message or condition.message
        since = condition.last_transition_time if since is None else since
    return Need(kind, reason or kind, message, since, command)


def _blocked_needs(status: DataProductStatus, key: Key) -> Iterator[Need]:
    if (ready_condition := unready_condition(status)) is not None:
        yield _condition_need(NeedKind.NOT_READY, ready_condition)
    stalled_condition = find_condition(status.conditions, ConditionType.STALLED)
    if stalled_condition is not None and stalled_condition.status == "True":
        model, candidate, command = status.spec_model, status.candidate, ""
        if model is not None and stalled_condition.reason == ConditionReason.MODEL_REJECTED:
            if candidate is None:
                if model.reason in _WITHOUT_EVIDENCE:
                    command = plugin_command(key, "promote", model.version)
            elif candidate.image == model.image and _waits_without_verdict(candidate):
                return  # the need of the candidate says why
        yield _condition_need(NeedKind.STALLED, stalled_condition, command=command)


def unready_condition(status: DataProductStatus) -> Condition | None:
    """Return the condition Ready of a product that isn't ready until a person acts; None otherwise.

    A product that is stalled says so there, unless its route is the obstacle, or only spec.model was
    rejected while stable serves.
    """
    stalled_condition = find_condition(status.conditions, ConditionType.STALLED)
    ready_condition = find_condition(status.conditions, ConditionType.READY)
    if ready_condition is None or (
        stalled_condition is not None
        and stalled_condition.status == "True"
        and stalled_condition.reason != ConditionReason.MODEL_REJECTED
        and ready_condition.reason not in _ROUTE_REASONS
    ):
        return None
    return (
        ready_condition
        if ready_condition.status == "False" and ready_condition.reason in _BLOCKING_REASONS
        else None
    )


def _rollback_needs(status: DataProductStatus) -> Iterator[Need]:
    rollout = find_condition(status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    if rollout is not None and rollout.reason == ConditionReason.RETURN_FAILED:
        yield _condition_need(NeedKind.ROLLBACK_FAILED, rollout)


def _request_needs(status: DataProductStatus) -> Iterator[Need]:
    for request in waiting_requests(status):
        yield Need(NeedKind.REQUEST, request.reason, request_text(request), request.wait_start_time)


def request_name(request: PendingRequest) -> str:
    """Return a request as people set it: its annotation and value."""
    return f"{request.annotation}={request.value}"


def request_text(request: PendingRequest) -> str:
    """Return the reason of a request's wait, in a sentence."""
    return f"{request_name(request)} waits: {request.message}"


def waiting_requests(status: DataProductStatus) -> tuple[PendingRequest, ...]:
    """Return the requests of people that wait for an edit of the spec."""
    return tuple(
        pending_request
        for pending_request in status.pending_requests
        if pending_request.reason in _EDIT_REASONS
    )


def _candidate_needs(status: DataProductStatus, key: Key) -> Iterator[Need]:
    candidate = status.candidate
    if candidate is None:
        return
    rollout = find_condition(status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    command = plugin_command(key, "promote", candidate.version)
    if (reason := approval_wait_reason(candidate, rollout)) is not None:
        if reason == ConditionReason.AWAITING_APPROVAL and _parties(candidate):
            yield from _missing_answer_needs(candidate, key)
            return
        yield _condition_need(
            NeedKind.APPROVAL, rollout, reason=reason, since=approval_since(candidate, rollout),
            command=command,
        )  # fmt: skip
    elif (hold := objecting_hold(candidate)) is not None:
        abort_command = plugin_command(key, "abort", candidate.version)
        text = (
            f"{hold.message}; {hold.request} has no effect until then: wait, or abort the rollout"
        )
        yield Need(NeedKind.HELD, hold.check, text, hold.start_time, abort_command)
    elif (hold := candidate.hold) is not None and hold.check in _PERSON_CHECKS:
        yield Need(NeedKind.HELD, hold.check, hold.message, hold.start_time, command)
    elif _waits_without_verdict(candidate):
        reason = candidate.decision_reason or str(Outcome.INCONCLUSIVE)
        message = (rollout.message if rollout is not None else "") or candidate.decision_message
        since = None if rollout is not None else candidate.start_time
        yield _condition_need(
            NeedKind.INCONCLUSIVE, rollout, reason=reason, message=message, since=since,
            command=command,
        )  # fmt: skip


def _waits_without_verdict(candidate: Candidate) -> bool:
    """Return whether a candidate had no verdict in its time, and isn't retried."""
    return candidate.is_parked and candidate.retry_time is None


def _parties(candidate: Candidate) -> tuple[str, ...]:
    """Return the parties whose answer to a candidate is missing."""
    return candidate.approvals.waiting_for if candidate.approvals is not None else ()


def _missing_answer_needs(candidate: Candidate, key: Key) -> Iterator[Need]:
    """Yield a need for each party whose answer is missing, with those who have answered."""
    approvals = candidate.approvals
    assert approvals is not None
    answers_text = ", ".join(
        f"{answer.verdict} of {answer.user} as {answer.party}"
        for answer in approvals.answers
        if not answer.problem
    )
    more_answers = approvals.more_answers
    answers_text = (
        f"answered: {answers_text}{f' and {more_answers} more' if more_answers else ''}"
        if answers_text
        else ""
    )
    silence_clause = silence_of(approvals)
    unnamed_text = f"{approvals.more_waiting} more" if approvals.more_waiting else ""
    for party in filter(None, (*approvals.waiting_for, unnamed_text)):
        text = f"{candidate.version} has passed and waits for the agreement of {party}"
        absence = absent_consumer_text(party) if party in approvals.absent else ""
        command = answer_command(key, candidate.version, "" if party == unnamed_text else party)
        yield Need(
            NeedKind.APPROVAL, ConditionReason.AWAITING_APPROVAL,
            "; ".join(filter(None, (text, absence, answers_text, silence_clause))),
            approvals.wait_start_time, "" if absence else command,
            UNNAMED_PARTIES if party == unnamed_text else party,
        )  # fmt: skip


def silence_of(approvals: CandidateApprovals) -> str:
    """Return when silence counts and as what; empty if it never counts."""
    if approvals.silence_time is None:
        return ""
    time = rfc3339(approvals.silence_time)
    if approvals.held_silence is None:
        return silence_text(time, meaning=approvals.silence_counts_as or "")
    parties = missing_parties_text(approvals)
    return held_silence_text(time, meaning=approvals.held_silence, parties=parties)


def missing_parties_text(approvals: CandidateApprovals) -> str:
    """Return the parties whose answer is missing, in words."""
    return parties_text(approvals.waiting_for, approvals.more_waiting)


def answer_command(key: Key, version: str, party: str) -> str:
    """Return the plugin's command that agrees to a version for a party; empty without a version."""
    party_name = shlex.quote(party) if party else "NAMESPACE/NAME"
    return f"{plugin_command(key, 'approve', version)} --for {party_name}"


def approval_wait_reason(candidate: Candidate, rollout: Condition | None) -> str | None:
    """Return the reason for which a candidate waits for a person's approval; None without a wait.

    Parameters
    ----------
    rollout : the condition RolloutProgressing.
    """
    if candidate.phase is CandidatePhase.AWAITING_APPROVAL:
        has_hold = objecting_hold(candidate) is not None
        return None if has_hold else ConditionReason.AWAITING_APPROVAL
    if rollout is not None and rollout.reason == ConditionReason.API_CHANGED:
        return ConditionReason.API_CHANGED
    return None


def objecting_hold(candidate: Candidate) -> CandidateHold | None:
    """Return the check that objects to a candidate with a pending approval; None without one.

    What isn't read yet holds it for a moment only, and is no objection.
    """
    hold = candidate.hold
    is_waiting = candidate.phase is CandidatePhase.AWAITING_APPROVAL
    if hold is None or not is_waiting or not hold.request.startswith(names.REQUEST_PROMOTE):
        return None
    return hold if hold.check in _OBJECTIONS else None


def approval_since(candidate: Candidate, rollout: Condition | None) -> int:
    """Return since when a candidate waits for a person's approval, in seconds.

    The condition has the time at which the rollout began, as its status doesn't change with the wait.

    Parameters
    ----------
    rollout : the condition RolloutProgressing.
    """
    hold = candidate.hold
    if hold is not None and hold.check == ConditionReason.AWAITING_APPROVAL:
        return hold.start_time
    start_time = candidate.shares[-1].start_time if candidate.shares else candidate.start_time
    return start_time if rollout is None else max(start_time, rollout.last_transition_time)


_LAST_MEASURED: Final = "it was degraded when last measured, and isn't measured now"


def _was_degraded(status: DataProductStatus) -> bool:
    """Return whether a product without measurements was degraded when last measured."""
    is_unknown = status.state is ProductState.UNKNOWN
    return is_unknown and any(slo.degraded for slo in status.slos)


def _degradation_needs(status: DataProductStatus, key: Key) -> Iterator[Need]:
    retraining = status.retraining
    command = plugin_command(key, "retrain")
    if retraining is not None and retraining.suspended:
        last_result = retraining.last_result
        text = f"{retraining.unsuccessful_attempts} attempts in a row ended without a promotion"
        if last_result is not None:
            text = (
                f"{text}; the last one: {last_result.outcome} ({last_result.reason or 'no reason'})"
            )
        completion_time = last_result.completion_time if last_result is not None else None
        reason = ConditionReason.RETRAIN_SUSPENDED
        yield Need(NeedKind.RETRAINING_SUSPENDED, reason, text, completion_time, command)
        return
    if (blocked_condition := status.blocked_training) is not None:
        is_training = retraining is not None and retraining.trigger is not None
        yield _condition_need(
            NeedKind.TRAINING_BLOCKED, blocked_condition, command="" if is_training else command
        )
        return
    is_manual = retraining is not None and retraining.waiting_for == DecisionReason.MANUAL_MODE
    if status.state is not ProductState.DEGRADED and not _was_degraded(status):
        if is_manual:  # a challenger is due
            active_condition = find_condition(status.conditions, ConditionType.RETRAINING_ACTIVE)
            mode = str(DecisionReason.MANUAL_MODE)
            yield _condition_need(
                NeedKind.TRAINING_BLOCKED, active_condition, reason=mode, command=command
            )
        return
    diagnosis = status.diagnosis
    is_transient = diagnosis is not None and diagnosis.cause in _TRANSIENT_CAUSES
    has_candidate = status.candidate is not None
    is_training = retraining is not None and (
        retraining.trigger is not None
        or (retraining.pending is not None and not _waits_after_failure(status, retraining))
    )
    if not (is_transient or has_candidate or is_training) or is_manual:
        is_waiting = retraining is not None and retraining.pending is not None and not is_manual
        condition = find_condition(status.conditions, ConditionType.DEGRADED)
        message = diagnosis.message if diagnosis is not None else ""
        if status.state is not ProductState.DEGRADED:
            present_text = message or (condition.message if condition is not None else "")
            message = f"{_LAST_MEASURED}: {present_text}" if present_text else _LAST_MEASURED
        elif is_waiting:
            message = _waiting_remedy_text(status, message)
        else:
            active_condition = find_condition(status.conditions, ConditionType.RETRAINING_ACTIVE)
            if active_condition is not None and active_condition.reason == ConditionReason.IDLE:
                present_text = message or (condition.message if condition is not None else "")
                message = "; ".join(filter(None, (present_text, active_condition.message)))
        yield _condition_need(
            NeedKind.DEGRADED,
            condition,
            reason=str(DecisionReason.MANUAL_MODE) if is_manual else "",
            message=message,
            command=command if is_manual or is_waiting else "",
        )


def _waits_after_failure(status: DataProductStatus, retraining: RetrainingStatus) -> bool:
    """Return whether a due training waits for the end of a pause, or beside a spec.model that was rejected.

    No step of the operator improves a degraded product then, and a person may have a better remedy.
    """
    stalled_condition = find_condition(status.conditions, ConditionType.STALLED)
    return retraining.waiting_for == DecisionReason.COOLING_DOWN or (
        stalled_condition is not None
        and stalled_condition.status == "True"
        and stalled_condition.reason == ConditionReason.MODEL_REJECTED
    )


def _waiting_remedy_text(status: DataProductStatus, cause: str) -> str:
    """Return the numbers of a degradation, its cause, and what its training waits for."""
    parts = (
        find_condition(status.conditions, type_)
        for type_ in (ConditionType.DEGRADED, ConditionType.RETRAINING_ACTIVE)
    )
    numbers, wait = ("" if part is None else part.message for part in parts)
    return "; ".join(filter(None, (numbers, cause, wait)))


def _dependent_needs(status: DataProductStatus) -> Iterator[Need]:
    condition = find_condition(status.conditions, ConditionType.DEGRADES_DEPENDENTS)
    if condition is not None and condition.status == "True":
        yield _condition_need(NeedKind.DEPENDENT, condition)


def _secret_needs(status: DataProductStatus) -> Iterator[Need]:
    condition = find_condition(status.conditions, ConditionType.METRICS_AVAILABLE)
    if condition is not None and condition.reason == ConditionReason.FEEDBACK_SECRET_UNUSABLE:
        # The condition was True before, with another reason, so its transition is another one.
        yield Need(NeedKind.SECRET, condition.reason, condition.message)


def _market_needs(status: DataProductStatus) -> Iterator[Need]:
    """Yield the need of markets that miss an SLO alone; for a degraded product its diagnosis has them.

    None while a market's training is under way, or its version is tried.
    """
    met_condition = find_condition(status.conditions, ConditionType.MARKETS_MET)
    if (
        met_condition is None
        or met_condition.status != "False"
        or status.state is ProductState.DEGRADED
    ):
        return
    trigger = status.retraining.trigger if status.retraining is not None else None
    candidate = status.candidate
    if (trigger is not None and trigger.market) or (
        candidate is not None and candidate.cause_market
    ):
        return
    yield _condition_need(NeedKind.MARKET, met_condition)


def _dependency_needs(status: DataProductStatus) -> Iterator[Need]:
    """Yield the need of a wrong name in spec.dependsOn; one that isn't evaluated yet has the same."""
    condition = find_condition(status.conditions, ConditionType.DEPENDENCIES_HEALTHY)
    is_absent = any(
        dependency.state is DependencyState.NOT_FOUND for dependency in status.dependencies
    )
    if is_absent and condition is not None:
        reason = str(ConditionReason.DEPENDENCY_UNKNOWN)
        yield _condition_need(NeedKind.DEPENDENCY, condition, reason=reason)


def is_missed_in_a_market(slo: SloStatus) -> bool:
    """Return whether a market misses the SLO and the spec has a consequence for it."""
    return any(market.missed_start_time is not None for market in slo.markets)


def missed_markets_by_slo(status: DataProductStatus) -> dict[str, tuple[str, ...]]:
    """Return all markets that miss an SLO, by SLO, if the spec has a consequence for it.

    `status.slos` has the numbers of the three worst; the record of the SLO has the names of all.
    """
    markets_by_slo = {}
    for slo in status.slos:
        markets = [market.market for market in slo.markets if market.missed_start_time is not None]
        if markets:
            recorded_markets = status.engine.slo(slo.name).missed_markets
            markets_by_slo[slo.name] = (*markets, *sorted(set(recorded_markets) - set(markets)))
    return markets_by_slo


def missed_markets_text(status: DataProductStatus) -> str:
    """Return the markets that miss an SLO, with begin and numbers; empty without any."""
    markets_by_slo = missed_markets_by_slo(status)
    slo_texts = []
    for slo in status.slos:
        market_texts = [
            _missed_market_text(market)
            for market in slo.markets
            if market.missed_start_time is not None
        ]
        if market_texts:
            more_markets = len(markets_by_slo[slo.name]) - len(market_texts)
            more_text = f" and {more_markets} more" if more_markets > 0 else ""
            slo_texts.append(f"{slo.name} is missed in {', '.join(market_texts)}{more_text}")
    return "; ".join(slo_texts)


def _missed_market_text(market: MarketStatus) -> str:
    lower_text, upper_text = (
        percent(float(interval_bound)) for interval_bound in market.interval or ("nan", "nan")
    )
    ratio, limit = (
        None if value is None else float(value) for value in (market.ratio, market.limit)
    )
    start_text = rfc3339(market.missed_start_time or 0)
    return (
        f"{market.market} since {start_text} ({percent(ratio, limit)}, {events(market.total)}, 95 %: {lower_text} to {upper_text}; at least"
        f" {percent(limit)} is required)"
    )


def _review_needs(status: DataProductStatus, key: Key) -> Iterator[Need]:
    due_condition = find_condition(status.conditions, ConditionType.REVIEW_DUE)
    late_condition = find_condition(status.conditions, ConditionType.ACTIONS_LATE)
    product_label = f"{names.LABEL_PRODUCT}={key[1]}"
    if due_condition is not None and due_condition.status == "True":
        command = _reviews_command(key, f"{product_label},{names.LABEL_REVIEW}=sealed")
        if due_condition.reason == EventReason.REVIEW_MISCONFIGURED:
            command = ""
        yield _condition_need(
            REVIEWS.get(due_condition.reason, NeedKind.REVIEW_DUE), due_condition, command=command
        )
    if late_condition is not None and late_condition.status == "True":
        yield _condition_need(
            NeedKind.ACTIONS_LATE, late_condition, command=_reviews_command(key, product_label)
        )


def _reviews_command(key: Key, labels: str) -> str:
    return f"kubectl get dprev -n {shlex.quote(key[0])} -l {shlex.quote(labels)}"
