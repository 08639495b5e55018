"""New versions that arrive: a spec.model that changed, the result of a training."""

from dataclasses import dataclass, replace
from typing import Final

from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import MOST_FAILURES
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import CandidatePhase, Release, VersionSource
from sluicegate.policy.model.decision import (
    Alert,
    Decision,
    Hold,
    Rollback,
    StartRollout,
    alert_key,
)
from sluicegate.policy.model.formatting import events, percent, points
from sluicegate.policy.model.observed import Observed, TrainingFailed, TrainingSucceeded
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import holdout_gate, preconditions

LOST: Final = frozenset(
    {Reason.PROMETHEUS_UNAVAILABLE, Reason.PROMETHEUS_STALE, Reason.UNREADABLE_SERIES}
)
"""Why nothing can be measured, where it isn't only about to be."""
MOST_RENEWALS: Final = 5
"""Products in which what serves may be tried in another default runtime image at a time."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What an arrival leads to.

    Attributes
    ----------
    decision : what to do.
    status : what is remembered if that is decided.
    taken_up : whether the arrival is over with that; one that has to wait comes again.
    """

    decision: Decision
    status: DataProductStatus
    taken_up: bool = True


def handle_unchanged_model(
    status: DataProductStatus, observed: Observed, now: int
) -> DataProductStatus:
    """A spec.model that names what is stable is handled without a rollout.

    One that is on its way without a candidate made way for a version that was to come back: it
    isn't handled.
    """
    wanted, stable, model = observed.wanted, status.stable, status.spec_model
    if model and model.outcome is Outcome.IN_PROGRESS and status.trial is None:
        status = status.replace(spec_model=None)
    if wanted is None or stable is None or wanted != stable.release:
        return status
    if status.spec_model is not None and status.spec_model.release == wanted:
        return status
    return status.replace(spec_model=SpecModel.of(wanted, Outcome.PROMOTED, now))


def back_to_stable(before: DataProductStatus, status: DataProductStatus) -> Rollback | None:
    """spec.model went back to stable while a candidate was on its way: the candidate goes."""
    candidate, stable = status.trial, status.stable
    changed = status.spec_model is not before.spec_model
    if not changed or candidate is None or stable is None:
        return None
    name, to = candidate.release.version, stable.release
    return Rollback(
        reason=Reason.SUPERSEDED,
        message=f"spec.model names {to.version}, which is stable: {name} is superseded",
        leaving=candidate.release,
        to=to,
    )


def model_changed(terms: Terms, status: DataProductStatus, observed: Observed) -> Decision | None:
    """Start the rollout of a spec.model that wasn't handled yet."""
    wanted, stable = observed.wanted, status.stable
    if wanted is None or stable is None or wanted == stable.release:
        return None
    if status.spec_model is not None and status.spec_model.release == wanted:
        return None
    obstacle = _cannot_start(terms, observed, wanted)
    if obstacle is not None:
        return _told_once(status, obstacle, wanted)
    tried, evaluation = wanted, observed.wanted_evaluation
    if _was_replaced(status, wanted):  # what serves is another bento: that one is tried in it
        tried, evaluation = replace(stable.release, runtime_image=wanted.runtime_image), {}
        if tried == stable.release:
            return None
    if (full := _renewals_full(terms, tried, stable.release, observed)) is not None:
        return full
    candidate = status.trial
    superseded = candidate.release if candidate and candidate.release != tried else None
    running = status.training
    share = f"it gets {terms.steps[0]} % of the traffic"
    message = f"spec.model names {tried.version}: {share}"
    if tried.is_renewal_of(stable.release):
        message = f"{tried.version} is tried in another runtime image: {share}"
    if superseded is not None:
        message += f", and {superseded.version} is superseded"
    if running is not None:
        message += ", and the training under way is superseded"
    return StartRollout(
        reason=Reason.MODEL_CHANGED,
        message=message,
        candidate=tried,
        source=VersionSource.SPEC,
        weight=terms.steps[0],
        evaluation=evaluation,
        superseded=superseded,
        handles=wanted,
    )


def _was_replaced(status: DataProductStatus, wanted: Release) -> bool:
    """Whether spec.model is in another runtime what was accepted, and replaced, long ago.

    A retrained version serves, say: another runtime doesn't bring the model of the spec back.
    """
    model, stable = status.spec_model, status.stable
    if model is None or stable is None or wanted.is_renewal_of(stable.release):
        return False
    over = model.outcome in {Outcome.PROMOTED, Outcome.SUPERSEDED}
    return over and wanted.is_renewal_of(model.release)


def overtakes(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Rollback | StartRollout | None:
    """What ends a promotion that hasn't all of the traffic yet, or doesn't serve it: another spec.model.

    One that serves all of it is over in minutes; what comes then begins from there.
    """
    candidate, seen = status.candidate, observed.rollout
    if candidate is None or seen is None or candidate.phase is not CandidatePhase.PROMOTING:
        return None
    serves = seen.committed and seen.serves
    if serves or seen.frozen or (candidate.restoring and not seen.committed):
        return None
    after = handle_unchanged_model(status, observed, now)
    changed = back_to_stable(status, after) or model_changed(terms, status, observed)
    return changed if isinstance(changed, Rollback | StartRollout) else None


def retry_due(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Decision | None:
    """A candidate whose rollout was ended by trouble of the cluster begins again.

    It doesn't end a training that began while it found no room.
    """
    candidate = status.trial
    if candidate is None or candidate.retry_time is None or now < candidate.retry_time:
        return None
    if status.training is not None:
        return None
    obstacle = _cannot_start(terms, observed, candidate.release)
    if obstacle is not None:
        return obstacle
    name, weight = candidate.release.version, terms.steps[0]
    times = "once" if candidate.retries == 1 else f"{candidate.retries} times"
    return StartRollout(
        reason=Reason.INFRASTRUCTURE,
        message=f"{name} gets {weight} % of the traffic again, after a fault of the cluster ended its"
        f" rollout {times}",
        candidate=candidate.release,
        source=candidate.source,
        weight=weight,
        evaluation=candidate.evaluation,
        trigger=candidate.trigger,
    )


def _renewals_full(
    terms: Terms, wanted: Release, stable: Release, observed: Observed
) -> Hold | None:
    """The operator's default runtime is another one now: not all of its products change at once."""
    renewing = observed.portfolio.renewing
    if terms.names_runtime or not wanted.is_renewal_of(stable):
        return None
    if renewing < MOST_RENEWALS:
        return None
    text = (
        f"{wanted.version} waits to be tried in the operator's runtime image {wanted.runtime_image}:"
        f" {renewing} other products are tried in another one, {MOST_RENEWALS} may be at a time"
    )
    return Hold(reason=Reason.WAITING_FOR_RENEWALS, message=text, numbers={"renewing": renewing})


def _told_once(status: DataProductStatus, obstacle: Hold, wanted: Release) -> Hold | Alert:
    """Why a pushed model isn't rolled out; people are told once where the measurements are lost."""
    name = wanted.version
    known = alert_key(obstacle.reason, name) in status.engine.emitted_alerts
    if status.engine.outage_start_time is None or obstacle.reason not in LOST or known:
        return obstacle
    text = (
        f"{obstacle.message}. Set {REQUEST_PROMOTE}={name}/<token> to roll it out without evidence"
    )
    return Alert(reason=obstacle.reason, message=text, about=name)


def _cannot_start(terms: Terms, observed: Observed, release: Release) -> Hold | None:
    if terms.ended:
        text = f"the product is {terms.lifecycle}, so {release.version} isn't rolled out"
        return Hold(reason=Reason.LIFECYCLE_ENDED, message=text)
    if observed.problem is not None and not observed.facts.stable_down:
        text = f"{release.version} waits: nothing can be measured ({observed.problem})"
        return Hold(reason=observed.problem, message=text)
    return None


# ---- results of trainings -------------------------------------------------------------------
def training_ended(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Arrival | None:
    """Take up the result of a training; one that nobody wants any more ends without."""
    running = status.training
    if running is not None and (why := _no_longer_wanted(terms)):
        after = status.with_retraining(trigger=None, last_reason=str(Reason.SUPERSEDED))
        text = f"the training under way is superseded: {why}"
        alert = Alert(reason=Reason.SUPERSEDED, message=text)
        return Arrival(alert, after)
    match observed.training:
        case None:
            return None
        case TrainingFailed() as failed:
            return _failed(terms, status, failed, now)
        case TrainingSucceeded() as result:
            return _succeeded(terms, status, observed, result, now=now)


def _no_longer_wanted(terms: Terms) -> str:
    """Why the result of a training can't be wanted any more; empty while it may be."""
    if terms.retraining is None:
        return "spec.retraining was removed"
    return f"the product is {terms.lifecycle}" if terms.ended else ""


def _failed(terms: Terms, status: DataProductStatus, failed: TrainingFailed, now: int) -> Arrival:
    running = status.training
    if running is None or failed.trigger != running.id:
        return _discard(status, failed.trigger, "a training that is no longer wanted has failed")
    return _attempt_over(
        terms, status, failed.reason, f"the training failed: {failed.message}", now=now
    )


def _is_ours(status: DataProductStatus, trigger: str) -> bool:
    running = status.training
    return trigger == "" if running is None else trigger == running.id


def _discard(status: DataProductStatus, trigger: str, text: str) -> Arrival:
    running = status.training
    if running is not None and running.id == trigger:
        status = status.with_retraining(trigger=None)
    status = status.with_retraining(last_reason=str(Reason.SUPERSEDED))
    return Arrival(Hold(reason=Reason.SUPERSEDED, message=text), status)


def _attempt_over(
    terms: Terms,
    status: DataProductStatus,
    reason: Reason,
    text: str,
    *,
    now: int,
    failed: bool = True,
) -> Arrival:
    after = preconditions.ended(terms, status, now=now, reason=reason, failed=failed)
    failures = after.retraining.unsuccessful_attempts if after.retraining else 0
    if failed:
        text += f" (attempt {failures} of {MOST_FAILURES} without a promotion)"
    return Arrival(
        Alert(reason=reason, message=text, numbers={"failures": failures}),
        after,
    )


def _is_taken(status: DataProductStatus, stable: Release, made: Release) -> bool:
    """Whether the name of a result is that of what was stable once, or of another bento.

    A bento that was refused before may come again under its own name.
    """
    known = (stable, *(one.release for one in status.accepted))
    tried = (one.release for one in status.history)
    others = (one for one in tried if one.identity[0] != made.identity[0])
    return made.version in {one.version for one in (*known, *others)}


def _succeeded(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: TrainingSucceeded,
    *,
    now: int,
) -> Arrival:
    stable = status.stable
    name = result.release.version
    if stable is None or result.parent != stable.release or not _is_ours(status, result.trigger):
        return _discard(
            status, result.trigger, f"{name} is discarded: its parent isn't stable any more"
        )
    if status.trial is not None and status.trial.tried:
        text = f"{name} is discarded: {status.trial.release.version} is being tried"
        return _discard(status, result.trigger, text)
    if _is_taken(status, stable.release, result.release):
        text = f"the training named its result {name}, which is taken: give each version a new name"
        return _attempt_over(terms, status, Reason.VERSION_REUSED, text, now=now)
    margins = (
        terms.retraining.hold_out_margins
        if terms.retraining
        else {slo.name: 0.01 for slo in terms.slos}
    )
    gated = terms.retraining.gated if terms.retraining else frozenset[str]()
    verdict = holdout_gate.judge_all(result.evaluation, result.stable_evaluation, margins, gated)
    match verdict.verdict:
        case holdout_gate.GateVerdict.WORSE:
            text = f"{name} isn't rolled out: {_compared(verdict)}"
            return _attempt_over(terms, status, Reason.WORSE_ON_HOLD_OUT, text, now=now)
        case holdout_gate.GateVerdict.TOO_SMALL:
            text = f"{name} isn't rolled out: {_too_small(verdict)}"
            return _attempt_over(
                terms, status, Reason.HOLD_OUT_TOO_SMALL, text, now=now, failed=False
            )
        case holdout_gate.GateVerdict.PASSED:
            return _start_trained(terms, status, observed, result, verdict=verdict)


def _start_trained(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: TrainingSucceeded,
    *,
    verdict: holdout_gate.HoldOut,
) -> Arrival:
    obstacle = _cannot_start(terms, observed, result.release)
    if obstacle is not None:
        return Arrival(obstacle, status, taken_up=False)
    parked = status.trial
    return Arrival(
        StartRollout(
            reason=Reason.GATE_PASSED,
            message=f"{result.release.version} gets {terms.steps[0]} % of the traffic: {_compared(verdict)}",
            numbers=_numbers(verdict),
            candidate=result.release,
            source=VersionSource.RETRAINING,
            weight=terms.steps[0],
            evaluation=result.evaluation,
            trigger=result.trigger,
            superseded=parked.release if parked else None,
        ),
        status,
    )


def _compared(verdict: holdout_gate.HoldOut) -> str:
    assert verdict.difference is not None
    low, high = verdict.difference.lower, verdict.difference.upper
    return (
        f"on the hold-out its {verdict.slo} is {percent(1 - (verdict.candidate.ratio or 0.0))}"
        f" ({events(verdict.candidate.total)}) against stable's"
        f" {percent(1 - (verdict.stable.ratio or 0.0))} ({events(verdict.stable.total)}); the"
        f" regression lies between {points(low)} and {points(high)}, up to {points(verdict.margin)} is allowed"
    )


def _too_small(verdict: holdout_gate.HoldOut) -> str:
    if verdict.difference is None:
        which = verdict.slo or "any SLO"
        return f"the hold-out holds no counts of {which} for both versions"
    needed = f"about {verdict.needed:,} rows" if verdict.needed else "far more rows"
    return f"{_compared(verdict)}: too few rows for a verdict, {needed} a version are needed"


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
