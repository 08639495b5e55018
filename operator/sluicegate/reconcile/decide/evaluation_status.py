"""The numbers behind a state and a decision, as status shows them."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from math import isfinite

from sluicegate.api.base import number
from sluicegate.api.names import DecisionReason
from sluicegate.api.slo_status import SloState, SloStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.api.verdict import MAX_ARM_MARKETS
from sluicegate.api.versions import (
    LONGEST_HOLD,
    LONGEST_REQUEST,
    MAX_EVIDENCE,
    Candidate,
    CandidateHold,
    Evidence,
)
from sluicegate.policy import (
    Assessment,
    CanaryHold,
    SloEvidence,
    SloResult,
    describe,
    diagnosis_status,
    ratio_of,
    step_rule_text,
)
from sluicegate.policy.evaluate import Evaluation
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.rollout.approvals import with_approvals, withdrawal
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.market_status import with_markets
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.slo.budget import budget_remaining
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z_INTERVAL, newcombe_difference


def with_figures(
    status: DataProductStatus, evaluation: Evaluation, *, block_seconds: int, now: int = 0
) -> DataProductStatus:
    """Return the status with the figures of an evaluation: SLOs, diagnosis, canary evidence.

    Parameters
    ----------
    block_seconds : length of a block, to say how long windows are.
    now : in seconds, when a diagnosis is new.
    """
    slos_before = {slo.name: slo for slo in status.slos}
    slos = tuple(
        _slo(
            slos_before.get(result.terms.name),
            result,
            block_seconds,
            degraded=status.engine.slo(result.terms.name).degraded,
        )
        for result in evaluation.slos
    )
    if evaluation.markets is not None:
        slos = with_markets(slos, evaluation)
    candidate = status.candidate
    if candidate is not None and evaluation.assessment is not None:
        candidate = candidate.replace(
            evidence=tuple(
                _evidence(slo, evaluation.assessment.by_market.get(slo.terms.name, {}))
                for slo in evaluation.assessment.slos[:MAX_EVIDENCE]
            ),
            expected_seconds=_expected_seconds(evaluation.assessment),
            hold=_hold(candidate, evaluation.hold, now),
        )
    return status.replace(
        state=evaluation.state,
        slos=slos,
        candidate=candidate,
        diagnosis=diagnosis_status(status.diagnosis, evaluation.diagnosis, now),
    )


def with_new_share(status: DataProductStatus, now: int) -> DataProductStatus:
    """Return the status in which a candidate with its new share collects evidence; `now` in seconds."""
    candidate = status.candidate
    if candidate is None or candidate.hold is None or candidate.weight != candidate.target:
        return status
    if candidate.hold.check != DecisionReason.WAITING_FOR_PODS:
        return status
    text = f"{candidate.version} stays at {candidate.weight} % {step_rule_text()}"
    hold = CanaryHold(DecisionReason.COLLECTING_EVIDENCE, text, candidate.hold.request)
    return status.replace(candidate=candidate.replace(hold=_hold(candidate, hold, now)))


def with_answers(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the answers of the required parties."""
    return with_approvals(observation.terms, status, observation.observed, observation.now)


def with_removed_answers(
    observation: Observation, evaluation: Evaluation
) -> tuple[Evaluation, tuple[EventNote, ...]]:
    """Return the evaluation with an alert about answers that were removed, and its event beside another decision.

    The result of a training is a decision of its own, also while a rollout holds.
    """
    previous_status = observation.product.status
    alert = withdrawal(observation.terms, previous_status, observation.observed, observation.now)
    if alert is None:
        return evaluation, ()
    if isinstance(evaluation.decision, Hold) and not evaluation.training_taken_up:
        return replace(evaluation, decision=alert), ()
    return evaluation, (EventNote(str(alert.reason), str(alert.type), alert.message),)


def _slo(
    slo_before: SloStatus | None, result: SloResult, block_seconds: int, *, degraded: bool
) -> SloStatus:
    previous_slo = slo_before or SloStatus(name=result.terms.name, state=SloState.UNKNOWN)
    recent_count, baseline = result.recent_count, result.baseline
    ratio = result.gauge if result.gauge is not None else _good(recent_count.ratio)
    update: dict[str, object] = {
        "state": result.state,
        "degraded": degraded,
        "reason": str(result.reason),
        "message": describe(result, block_seconds, degraded=degraded),
        "ratio": None if ratio is None else number(ratio),
        "bad": recent_count.bad,
        "total": recent_count.total,
        "objective": _decimal_text(result.terms.objective),
        "budget_remaining": None,
        "baseline_ratio": None,
        "drop": None,
        "interval": (),
    }
    if result.terms.allowed_bad_ratio is not None:
        update["budget_remaining"] = _decimal_text(
            budget_remaining(result.budget, result.terms.allowed_bad_ratio)
        )
    if baseline is not None and baseline.count.total:
        update["baseline_ratio"] = number(1 - ratio_of(baseline.count))
        if recent_count.ratio is not None and recent_count.total:
            difference = newcombe_difference(recent_count, baseline.count, Z_INTERVAL)
            update["drop"] = number(recent_count.ratio - ratio_of(baseline.count))
            update["interval"] = (number(difference.lower), number(difference.upper))
    return previous_slo.replace(**update)


def _good(bad: float | None) -> float | None:
    return None if bad is None else 1 - bad


def _decimal_text(value: float | None) -> str | None:
    return None if value is None or not isfinite(value) else number(value)


def _evidence(slo: SloEvidence, by_market: Mapping[str, tuple[Count, Count]]) -> Evidence:
    largest_markets = sorted(by_market, key=lambda market: (-by_market[market][0].total, market))
    candidate_arm, stable_arm = slo.arms
    return Evidence(
        slo=slo.terms.name,
        required=slo.required,
        promote=number(slo.evidence.promote_evidence),
        promote_at=number(slo.promote_at),
        roll_back=number(slo.evidence.roll_back),
        roll_back_at=number(slo.roll_back_at),
        candidate_bad=candidate_arm.bad,
        candidate_total=candidate_arm.total,
        stable_bad=stable_arm.bad,
        stable_total=stable_arm.total,
        markets={
            market: tuple(chain.from_iterable(by_market[market]))
            for market in sorted(largest_markets[:MAX_ARM_MARKETS])
        },
        phi=number(slo.dispersion),
    )


def _expected_seconds(assessment: Assessment) -> int | None:
    """Return the expected seconds until the verdict on an equal candidate, by its slowest required SLO."""
    expected_seconds = [slo.expected_seconds for slo in assessment.required]
    longest_seconds = max(expected_seconds, default=0.0)
    return round(longest_seconds) if expected_seconds and isfinite(longest_seconds) else None


def _hold(candidate: Candidate, hold: CanaryHold | None, now: int) -> CandidateHold | None:
    """Return the check that holds the candidate, with its start time."""
    if hold is None:
        return None
    previous_hold = candidate.hold
    start_time = now if hold.start_time is None else hold.start_time
    if previous_hold is not None and previous_hold.check == hold.check:
        start_time = previous_hold.start_time
    return CandidateHold(
        check=str(hold.check),
        start_time=start_time,
        message=hold.message[:LONGEST_HOLD],
        request=hold.request[:LONGEST_REQUEST],
    )
