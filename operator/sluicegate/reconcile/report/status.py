"""The status that people and GitOps tools read, with conditions and the columns of `kubectl get`. Pure."""

from collections.abc import Iterable
from itertools import chain
from typing import Final

from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.names import DecisionReason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus, Summary
from sluicegate.conditions import (
    Finding,
    report_conditions,
)
from sluicegate.policy import UNMEASURABLE
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.decide.warm_up import is_unread, just_took_over
from sluicegate.reconcile.observe.invalid_spec import listed_problems
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.findings import findings
from sluicegate.reconcile.report.hints import with_hints
from sluicegate.reconcile.report.traffic_status import traffic_of
from sluicegate.reconcile.report.waiting_requests import refused_requests, waiting_requests
from sluicegate.reconcile.traffic.allocation import share_in_force
from sluicegate.views.needs import MINOR_NEEDS, needs_of_status

_DISPLAYED_KINDS: Final = frozenset(
    {
        Reason.SUSPENDED,
        Reason.WAITING_TO_RETRY,
        DecisionReason.INVALID_DATA,
        DecisionReason.OBJECTIVE_NOT_MET,
        DecisionReason.WORSE_THAN_ORIGINAL,
        DecisionReason.ROLLBACK_REQUESTED,
        DecisionReason.ROUTING_MISMATCH,
        DecisionReason.SUPERSEDED,
        Reason.COOLING_DOWN,
        Reason.MANUAL_MODE,
        Reason.VERSION_TOO_YOUNG,
        Reason.JOB_SUSPENDED,
        Reason.WAITING_FOR_QUEUE,
        Reason.FEEDBACK_SECRET_UNUSABLE,
        Reason.INPUT_UNKNOWN,
        *UNMEASURABLE,
    }
)
"""What `kubectl get` shows beside what needs a person."""
_REASON_ORDER: Final = (
    Type.ROLLOUT_PROGRESSING,
    Type.RETRAINING_ACTIVE,
    Type.METRICS_AVAILABLE,
    Type.SLO_MET,
)
"""Conditions whose reasons these are, most pressing first."""
_STATE_RANK: Final = {SloState.MET: 0, SloState.UNKNOWN: 1, SloState.AT_RISK: 2, SloState.MISSED: 3}


def report(observation: Observation, plan: Plan) -> DataProductStatus:
    """Return the status to write: the step's status with conditions, traffic and summary."""
    product = observation.product
    status_with_results = _with_kept_results(observation, plan.status)
    status = status_with_results.replace(
        observed_generation=product.metadata.generation,
        dependencies=observation.dependencies,
        problems=observation.invalid,
        pending_requests=waiting_requests(observation, plan),
        traffic=traffic_of(observation, plan.status),
    )
    condition_findings = findings(observation, status, plan.allocation)
    conditions = report_conditions(
        product.status.conditions,
        with_hints(observation, status, condition_findings),
        generation=product.metadata.generation,
        now=observation.now,
    )
    status = status.replace(conditions=conditions)
    return status.replace(summary=summary(observation, status))


def report_invalid(
    previous_status: DataProductStatus,
    problems: tuple[str, ...],
    *,
    requests: Iterable[tuple[str, str]] = (),
    generation: int,
    now: int,
) -> DataProductStatus:
    """Return the previous status of a product with the problems of its invalid spec.

    A version that is stable keeps serving; without one nothing is served until the spec is corrected.
    """
    problems = listed_problems(problems)
    text = "; ".join(problems)
    stalled_finding = [Finding(Type.STALLED, "True", Reason.INVALID_SPEC, text)]
    if previous_status.stable is None:
        text = f"no version is stable yet, and none can be started: {text}"
        stalled_finding.append(Finding(Type.READY, "False", Reason.INVALID_SPEC, text))
    words = (previous_status.summary or Summary()).replace(reason=str(Reason.INVALID_SPEC))
    return previous_status.replace(
        observed_generation=generation,
        problems=problems,
        pending_requests=refused_requests(previous_status, requests, now),
        summary=words,
        conditions=report_conditions(
            previous_status.conditions, stalled_finding, generation=generation, now=now
        ),
    )


def _with_kept_results(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the last judgement until blocks are read after a restart or a promotion.

    A restart of the operator changes nothing of the product, and reporting it would cost two writes for
    each product. A version that was just promoted is unmeasured for a few blocks in every rollout.
    """
    previous_status = observation.product.status
    if (
        previous_status.stable is None
        or status.stable is None
        or previous_status.stable.revision != status.stable.revision
    ):
        return status
    if [slo.name for slo in previous_status.slos] != [
        slo.name for slo in status.slos
    ] or not status.slos:
        return status
    is_reread = all(slo.reason == DecisionReason.BACKFILLING for slo in status.slos)
    seconds = observation.terms.block_seconds
    is_young = just_took_over(status.stable, seconds, now=observation.now)
    if not (is_reread or (is_young and is_unread(previous_status) and is_unread(status))):
        return status
    judgement_before = {
        "slos": previous_status.slos,
        "state": previous_status.state,
        "diagnosis": previous_status.diagnosis,
    }
    return status.replace(**judgement_before)


def summary(observation: Observation, status: DataProductStatus) -> Summary:
    """Return the columns of `kubectl get`."""
    candidate = status.candidate
    canary = ""
    if candidate is not None and status.stable is not None:
        canary = candidate.version
        canary += f"@{share}" if (share := share_in_force(candidate)) else f" {candidate.phase}"
    return Summary(
        slo=_worst_slo_text(status),
        canary=canary,
        markets=",".join(observation.product.spec.markets),
        reason=reason_of(status, observation.product.metadata.key),
    )


def reason_of(status: DataProductStatus, key: tuple[str, str]) -> str:
    """Return the reason why a person must act, as one word; else empty."""
    by_kind = {condition.type: condition for condition in status.conditions}
    if (stalled_condition := by_kind.get(Type.STALLED)) is not None:
        return stalled_condition.reason
    ready = by_kind[Type.READY]
    if ready.status != "True":
        return ready.reason
    if (overlap := by_kind.get(Type.OPERATOR_OVERLAP)) is not None:
        return overlap.reason
    needs = needs_of_status(status, key)
    urgent_reasons = (need.reason for need in needs if need.kind not in MINOR_NEEDS)
    reasons = (by_kind[kind].reason for kind in _REASON_ORDER if kind in by_kind)
    minor_reasons = (need.reason for need in needs)
    return next(
        chain(
            urgent_reasons,
            (reason for reason in reasons if reason in _DISPLAYED_KINDS),
            minor_reasons,
        ),
        "",
    )


def _worst_slo_text(status: DataProductStatus) -> str:
    if not status.slos:
        return "-"
    worst_slo = max(status.slos, key=lambda slo: _STATE_RANK[slo.state])
    if worst_slo.state is not SloState.MET:
        return f"{worst_slo.name} {worst_slo.state}"
    recovering_slos = (slo.name for slo in status.slos if slo.degraded)
    return next((f"{name} {Reason.RECOVERING}" for name in recovering_slos), str(SloState.MET))
