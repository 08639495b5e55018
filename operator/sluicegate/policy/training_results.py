"""The result of a training: discarded, refused by the hold-out, or rolled out."""

from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining import DEFAULT_HOLD_OUT_REGRESSION
from sluicegate.api.retraining_status import MAX_FAILURES, RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release, VersionSource
from sluicegate.policy.model.decision import Alert, Hold, Proposal, StartRollout
from sluicegate.policy.model.excluded_blocks import BEFORE_BLOCKS
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.model.observed import (
    Observed,
    TrainingFailed,
    TrainingScored,
    TrainingSucceeded,
)
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.retraining import challenger, holdout_gate, pauses
from sluicegate.policy.rollout.new_versions import start_obstacle
from sluicegate.policy.slo_health.messages import capitalised
from sluicegate.policy.slo_health.serving_skew import SkewComparison, compare, score_of
from sluicegate.stats.paired import is_shown_better
from sluicegate.views.lift import change_text
from sluicegate.views.numbers import duration, events, percents, points

_REASONS_OF_A_DEGRADED_SLO: Final = frozenset({Reason.MODEL_DECAY, Reason.MODEL_TOO_SLOW})


def process_training_result(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Proposal | None:
    """Process the result of a training; discard a superseded one."""
    running = status.training
    reason_text = _superseded_reason(terms) or _degraded_upstream(terms, status, observed)
    if running is not None and reason_text:
        next_status = status.with_retraining(trigger=None, last_reason=str(Reason.SUPERSEDED))
        text = f"the training under way is superseded: {reason_text}"
        alert = Alert(reason=Reason.SUPERSEDED, message=text)
        return Proposal(alert, next_status, takes_up_training=True)
    match observed.training:
        case None:
            return None
        case TrainingFailed() as failed:
            return _failed(terms, status, failed, now)
        case TrainingScored() as scored:
            return _scored(terms, status, observed, scored, now=now)
        case TrainingSucceeded() as result:
            return _succeeded(terms, status, observed, result, now=now)


def _superseded_reason(terms: Terms) -> str:
    """Return why the result of a training is no longer needed; empty if it is needed."""
    if terms.retraining is None:
        return "spec.retraining was removed"
    return f"the product is {terms.lifecycle}" if terms.ended else ""


def _degraded_upstream(terms: Terms, status: DataProductStatus, observed: Observed) -> str:
    """Return the degraded upstream whose answers the running training learns from; empty without one.

    A decay may be confirmed before its upstream is. If both began within some hours, a training would adapt the product
    to the answers of a degraded upstream. A decay that began at another time is trained for, however often an
    upstream fails.
    """
    trigger, facts = status.training, observed.facts
    if trigger is None or trigger.cause not in _REASONS_OF_A_DEGRADED_SLO:
        return ""
    if not facts.upstream_degraded or facts.upstream_since is None:
        return ""
    began = trigger.change_time or trigger.first_bad_block_time or trigger.trigger_time
    if abs(facts.upstream_since - began) > BEFORE_BLOCKS * terms.block_seconds:
        return ""
    upstreams = ", ".join(facts.upstream_degraded)
    return f"an upstream is degraded since about the time of the drop ({upstreams})"


def _failed(terms: Terms, status: DataProductStatus, failed: TrainingFailed, now: int) -> Proposal:
    running = status.training
    if running is None or failed.trigger != running.id:
        return _discard(status, failed.trigger, "a training that is no longer wanted has failed")
    if failed.lost:
        next_status = pauses.with_lost_job(status, now)
        retried = next_status.retraining.retry_time if next_status.retraining else None
        wait = duration((retried or now) - now)
        text = (
            f"the Job of the training was lost to the cluster, so the next one is created in {wait}:"
            f" {failed.message}"
        )
        return Proposal(
            Alert(reason=failed.reason, message=text), next_status, takes_up_training=True
        )
    return _ended_attempt(
        terms, status, failed.reason, f"the training failed: {failed.message}", now=now
    )


def _belongs_to_trigger(status: DataProductStatus, trigger: str) -> bool:
    running = status.training
    return trigger == "" if running is None else trigger == running.id


def _discard(status: DataProductStatus, trigger: str, text: str) -> Proposal:
    running = status.training
    if running is not None and running.id == trigger:
        status = status.with_retraining(trigger=None)
    status = status.with_retraining(last_reason=str(Reason.SUPERSEDED))
    return Proposal(Hold(reason=Reason.SUPERSEDED, message=text), status, takes_up_training=True)


def _ended_attempt(
    terms: Terms,
    status: DataProductStatus,
    reason: Reason,
    text: str,
    *,
    now: int,
    failed: bool = True,
    subject: str = "",
) -> Proposal:
    """Return a finished attempt without a rollout; `subject` names the degradation that the reason also explains."""
    next_status = pauses.with_ended_attempt(terms, status, now=now, reason=reason, failed=failed)
    retraining = next_status.retraining or RetrainingStatus()
    failures = retraining.unsuccessful_attempts
    if challenger.trains_challenger(status):
        failures = retraining.unsuccessful_challengers
        text += f" (challenger {failures} in a row that failed; remedies don't wait for that)"
    elif failed:
        text += f" (attempt {failures} of {MAX_FAILURES} without a promotion)"
    elif retraining.attempts_without_remedy >= MAX_FAILURES:
        text += (
            f" ({retraining.attempts_without_remedy} attempts were no remedy: a person has to look)"
        )
    alert = Alert(reason=reason, message=text, numbers={"failures": failures}, about=subject)
    return Proposal(alert, next_status, takes_up_training=True)


def _is_taken(status: DataProductStatus, stable: Release, made_release: Release) -> bool:
    """Return whether a result's version name is in use by a past version or another bento.

    A bento that was refused before may come again under its own name.
    """
    releases = (
        stable,
        *(accepted_version.release for accepted_version in status.accepted_versions),
    )
    past_releases = (past_version.release for past_version in status.history)
    other_releases = (
        release for release in past_releases if release.identity[0] != made_release.identity[0]
    )
    return made_release.version in {release.version for release in (*releases, *other_releases)}


def _succeeded(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: TrainingSucceeded,
    *,
    now: int,
) -> Proposal:
    stable = status.stable
    name = result.release.version
    if (
        stable is None
        or result.parent != stable.release
        or not _belongs_to_trigger(status, result.trigger)
    ):
        return _discard(
            status, result.trigger, f"{name} is discarded: its parent isn't stable any more"
        )
    if status.trial is not None and status.trial.is_on_trial:
        text = f"{name} is discarded: {status.trial.release.version} is being tried"
        return _discard(status, result.trigger, text)
    if _is_taken(status, stable.release, result.release):
        text = f"the training named its result {name}, which is taken: give each version a new name"
        return _ended_attempt(terms, status, Reason.VERSION_REUSED, text, now=now)
    score = score_of(terms, status, observed, result, now=now)
    if score is not None:
        status = status.with_retraining(stable_score=score)
    return _hold_out_verdict(terms, status, observed, result, now=now)


def _scored(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    scored: TrainingScored,
    *,
    now: int,
) -> Proposal:
    """Return the end of a Job that only scored stable; it doesn't count as a training or an attempt."""
    stable, running = status.stable, status.training
    if stable is None or running is None or scored.parent != stable.release:
        return _discard(
            status, scored.trigger, "a score is discarded: its version isn't stable any more"
        )
    retraining_before = status.retraining or RetrainingStatus()
    next_status = status.with_retraining(
        trigger=None,
        stable_score=score_of(terms, status, observed, scored, now=now),
        last_reason=str(Reason.SCORED_AS_ACCEPTED),
        last_training_time=retraining_before.previous_training_time,
        lost_jobs=0,
    )
    skew = next(
        (
            comparison
            for slo in _slos_to_remedy(terms, status)
            if (comparison := compare(terms, next_status, slo))
        ),
        None,
    )
    clause = "" if skew is None else f": {skew.message}"
    if skew is None or skew.differs is None:
        clause = f"{clause}; that is too little for a conclusion, so it is scored again"
    text = f"{stable.version} isn't retrained: its training ended before the fit{clause}"
    alert = Alert(reason=Reason.SCORED_AS_ACCEPTED, message=text)
    return Proposal(alert, next_status, takes_up_training=True)


def _hold_out_verdict(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: TrainingSucceeded,
    *,
    now: int,
) -> Proposal:
    """Return the hold-out verdict: a remedy must not be worse, a challenger must be better."""
    name = result.release.version
    margins = (
        terms.retraining.hold_out_margins
        if terms.retraining
        else {slo.name: HoldOutMargin(DEFAULT_HOLD_OUT_REGRESSION, slo.drop) for slo in terms.slos}
    )
    gated_slos = terms.retraining.gated if terms.retraining else frozenset[str]()
    verdict = holdout_gate.judge_all(
        result.evaluation, result.stable_evaluation, margins, gated_slos, pairs=result.pairs
    )
    if challenger.trains_challenger(status) and not verdict.is_better:
        return _not_better(status, name, verdict, now=now)
    match verdict.verdict:
        case holdout_gate.GateVerdict.WORSE:
            text = f"{name} isn't rolled out: {_comparison_text(verdict)}"
            return _ended_attempt(terms, status, Reason.WORSE_ON_HOLD_OUT, text, now=now)
        case holdout_gate.GateVerdict.TOO_SMALL:
            text = f"{name} isn't rolled out: {_too_few_rows(verdict)}"
            return _ended_attempt(
                terms, status, Reason.HOLD_OUT_TOO_SMALL, text, now=now, failed=False
            )
        case holdout_gate.GateVerdict.PASSED:
            pass
    skew = _skew(terms, status)
    if skew is not None and not _is_better(result, verdict):
        text = f"{name} isn't rolled out, as no training remedies that: {skew.message}"
        training_id = status.training.id if status.training else ""
        return _ended_attempt(
            terms, status, skew.cause, text, now=now, failed=False, subject=training_id
        )
    degraded = [slo.name for slo in _slos_to_remedy(terms, status)]
    if objection := holdout_gate.no_remedy(result.pairs, degraded):
        text = f"{name} isn't rolled out: {objection}. {capitalised(_comparison_text(verdict))}"
        if status.training is not None and status.training.cause == Reason.REQUESTED:
            text += (
                ". A request has the same gate; as spec.model the version gets a canary without it"
            )
        return _ended_attempt(terms, status, Reason.NOT_SHOWN_BETTER, text, now=now, failed=False)
    return _start_trained(terms, status, observed, result, verdict=verdict)


def _slos_to_remedy(terms: Terms, status: DataProductStatus) -> list[SloTerms]:
    """Return the SLOs that a new version must remedy: the training's, else all degraded ones."""
    running = status.training
    if running is not None and running.slo:
        return [slo for slo in terms.slos if slo.name == running.slo]
    return [slo for slo in terms.deciding if status.engine.slo(slo.name).degraded]


def _skew(terms: Terms, status: DataProductStatus) -> SkewComparison | None:
    """Return the comparison that shows a serving skew; None without one."""
    comparisons = (compare(terms, status, slo) for slo in _slos_to_remedy(terms, status))
    return next(
        (comparison for comparison in comparisons if comparison is not None and comparison.differs),
        None,
    )


def _is_better(result: TrainingSucceeded, verdict: holdout_gate.HoldOut) -> bool:
    """Return whether the version is shown to be better, by rows of both versions or by counts alone."""
    if result.pairs:
        return any(is_shown_better(pairs) for pairs in result.pairs.values())
    return verdict.difference is not None and verdict.difference.upper < 0


def _not_better(
    status: DataProductStatus, name: str, verdict: holdout_gate.HoldOut, *, now: int
) -> Proposal:
    """Return the end of a challenger that isn't shown to be better, which doesn't count as a failure."""
    assert status.retraining is not None
    text = _too_few_rows(verdict) if verdict.difference is None else _comparison_text(verdict)
    next_status = status.with_retraining(
        trigger=None,
        last_duration_seconds=status.retraining.seconds_run(now),
        last_reason=str(Reason.NOT_SHOWN_BETTER),
        unsuccessful_challengers=0,
        lost_jobs=0,
    )
    hold = Hold(
        reason=Reason.NOT_SHOWN_BETTER,
        message=f"the challenger {name} isn't served, as it isn't shown to be better: {text}",
        numbers=_numbers(verdict),
    )
    return Proposal(hold, next_status, takes_up_training=True)


def _start_trained(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: TrainingSucceeded,
    *,
    verdict: holdout_gate.HoldOut,
) -> Proposal:
    obstacle = start_obstacle(terms, observed, result.release)
    if obstacle is not None:
        return Proposal(obstacle, status)
    start = StartRollout(
        reason=Reason.GATE_PASSED,
        message=f"{result.release.version} gets {terms.steps[0]} % of the traffic: {_comparison_text(verdict)}",
        numbers=_numbers(verdict),
        candidate=result.release,
        source=VersionSource.RETRAINING,
        weight=terms.steps[0],
        evaluation=result.evaluation,
        stable_evaluation=result.stable_evaluation,
        pairs=result.pairs,
        data_end=result.data_end,
        trigger=result.trigger,
    )
    return Proposal(start, status, takes_up_training=True)


def _comparison_text(verdict: holdout_gate.HoldOut) -> str:
    assert verdict.difference is not None
    difference = verdict.difference
    candidate_text, stable_text = percents(
        1 - (verdict.candidate.ratio or 0.0), 1 - (verdict.stable.ratio or 0.0)
    )
    return (
        f"on the hold-out its {verdict.slo} is {candidate_text}"
        f" ({events(verdict.candidate.total)}) against stable's"
        f" {stable_text} ({events(verdict.stable.total)}): it"
        f" {change_text(-difference.estimate, -difference.upper, -difference.lower)}; a fall of up to"
        f" {points(verdict.margin)} is allowed"
    )


def _too_few_rows(verdict: holdout_gate.HoldOut) -> str:
    if verdict.difference is None:
        slo_name = verdict.slo or "any SLO"
        return f"the hold-out holds no counts of {slo_name} for both versions"
    needed = f"about {verdict.needed:,} rows" if verdict.needed else "far more rows"
    return f"{_comparison_text(verdict)}: too few rows for a verdict, {needed} a version are needed"


def _numbers(verdict: holdout_gate.HoldOut) -> dict[str, float]:
    numbers: dict[str, float] = {
        "candidateBad": verdict.candidate.bad,
        "candidateTotal": verdict.candidate.total,
        "stableBad": verdict.stable.bad,
        "stableTotal": verdict.stable.total,
        "margin": verdict.margin,
    }
    if verdict.difference is not None:
        numbers |= {"lower": verdict.difference.lower, "upper": verdict.difference.upper}
    return numbers
