"""The remedy for a degraded SLO of the stable version, after its diagnosis.

Probation has precedence over the spec; then `onDegraded` selects the checks, and the action if none
of them objects. An alert is emitted once.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from sluicegate.api import names
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.slos import OnDegraded
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion, VersionSource
from sluicegate.policy.diagnosis import previous_version
from sluicegate.policy.diagnosis.case import Case
from sluicegate.policy.diagnosis.checks import (
    AUTO_CHECKS,
    CONTRADICTED,
    OUTSIDE_CHECKS,
    PROBATION_CHECKS,
    Check,
    DiagnosisResult,
    diagnose,
    is_recent,
)
from sluicegate.policy.diagnosis.symptoms import Symptoms, confirmation_end, load_now, present_now
from sluicegate.policy.diagnosis.upstream_release import (
    WAY_OUT,
    WAY_OUT_ENDED,
    responses,
)
from sluicegate.policy.model.decision import Alert, Hold, Retrain, Rollback, alert_key
from sluicegate.policy.model.history import restorable_version
from sluicegate.policy.model.observed import NO_TRAFFIC, Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import preconditions
from sluicegate.policy.retraining.preconditions import WaitingRetraining
from sluicegate.policy.rollout.rollbacks import roll_back_stable, served_text
from sluicegate.policy.slo_health import serving_skew
from sluicegate.policy.slo_health.ratio_slo import SloResult

WAITING: Final = frozenset(
    {
        Reason.NO_SLOT,
        Reason.COOLING_DOWN,
        Reason.INFRASTRUCTURE,
        Reason.VERSION_TOO_YOUNG,
        Reason.RETRAIN_SUSPENDED,
        Reason.MANUAL_MODE,
        Reason.SCORE_UNDECIDED,
        *CONTRADICTED,
    }
)
"""Obstacles that pass, or that a person takes away."""
PASSING: Final = frozenset(
    {
        Reason.RECOVERED,
        Reason.UPSTREAM_DEGRADING,
        Reason.UPSTREAM_UNDECIDED,
        Reason.INSUFFICIENT_DATA,
    }
)
"""Causes of a hold without a remedy or an alert."""
_RETRAINED: Final = frozenset({OnDegraded.AUTO, OnDegraded.RETRAIN})
Remedy = Rollback | Retrain | Alert | Hold
Place = Callable[[DiagnosisResult], DiagnosisResult]


def remedies_for(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    results: tuple[SloResult, ...],
    *,
    now: int,
    place: Place | None = None,
) -> list[tuple[Remedy, DiagnosisResult]]:
    """Return the remedy of each degraded SLO: present degradations before recovered ones, in the order of the spec.

    The first diagnosis is what the product shows: an SLO that recovers hides no other one.

    Parameters
    ----------
    results : of all SLOs. now : in seconds. place : function that adds the market to a diagnosis in which
        the evidence is concentrated.
    """
    degraded = tuple(
        result
        for result in results
        if result.terms.deciding and status.engine.slo(result.terms.name).degraded
    )
    context = _Others(results, degraded, place)
    remedies = [
        _remedy_for(terms, status, observed, result, others=context, now=now) for result in degraded
    ]
    return sorted(remedies, key=lambda remedy: remedy[1].cause is Reason.RECOVERED)


class _Others(NamedTuple):
    """All SLOs and the degraded ones, with the function that adds a market to a diagnosis."""

    results: tuple[SloResult, ...]
    degraded: tuple[SloResult, ...]
    place: Place | None


def _remedy_for(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: SloResult,
    *,
    others: _Others,
    now: int,
) -> tuple[Remedy, DiagnosisResult]:
    assert status.stable is not None
    before = restorable_version(status)
    objection = _objection(status, observed, result, before, results=others.results)
    release_suspected = _is_suspected(status, result)
    streak = status.engine.slo(result.terms.name).streak
    degraded_since = None if streak is None else terms.block_end(streak.first)
    symptoms = Symptoms(
        worst=result,
        degraded=others.degraded,
        facts=observed.facts,
        portfolio=observed.portfolio,
        problem=observed.problem,
        stable=status.stable,
        can_return=before is not None and not objection and release_suspected,
        age_seconds=now - status.stable.promotion_time,
        day_seconds=terms.day_seconds,
        load=load_now(terms, status.stable, observed, result),
        present=present_now(terms, status, observed, result, stable=status.stable),
        releases=partial(responses, terms, status, observed, result),
        now=now,
        skew=serving_skew.compare(terms, status, result.terms),
        earlier=status.diagnosis,
        confirmation_end=confirmation_end(terms, degraded_since, observed.facts),
    )
    diagnosis = diagnose(symptoms, _checks(status, result, may_return=symptoms.can_return))
    diagnosis = diagnosis if others.place is None else others.place(diagnosis)
    if diagnosis.cause is Reason.AVAILABILITY_ONLY:
        message = f"{diagnosis.message}; {_log_command(terms)} shows the errors of its pods"
        diagnosis = replace(diagnosis, message=message)
    trigger = preconditions.trigger_for(terms, status, result.terms.name)
    case = Case(
        terms,
        status,
        observed,
        result,
        trigger,
        diagnosis,
        now,
        before,
        objection,
        release_suspected,
    )
    return _decide(case), diagnosis


def _log_command(terms: Terms) -> str:
    """Return the command that shows the newest lines of the product's pods, whose readers may read logs."""
    selector = (
        f"{names.LABEL_PRODUCT}={terms.name},{names.LABEL_COMPONENT}={names.Component.SERVER}"
    )
    return f"`kubectl logs --namespace {terms.namespace} --selector {selector} --tail 50`"


def _is_suspected(status: DataProductStatus, result: SloResult) -> bool:
    """Return whether the release may be the cause: always of failing pods, of bad answers by comparison.

    A model that falls below its own acceptance while it does no worse than the one before has met
    another world, in which that one does worse, too. Once its probation is over, it has shown so.
    """
    if not result.terms.measures_quality:
        return True
    if result.as_before is not None:
        return not result.as_before
    probation, stable = status.probation, status.stable
    if probation is not None:
        return result.terms.name not in probation.shown_better
    return stable is None or stable.source is not VersionSource.RETRAINING


def waiting(
    terms: Terms, status: DataProductStatus, remedies: list[tuple[Remedy, DiagnosisResult]]
) -> WaitingRetraining | None:
    """Return the retraining that is due and its obstacle; None without one."""
    retrained = {slo.name for slo in terms.slos if slo.on_degraded in _RETRAINED}
    for remedy, diagnosis in remedies:
        slo, market, cause = diagnosis.slo, diagnosis.market, diagnosis.cause
        if cause in CONTRADICTED and slo not in retrained:
            continue
        if isinstance(remedy, Hold | Alert) and remedy.reason in WAITING:
            market_alone = market if diagnosis.alone else ""
            trigger = preconditions.trigger_for(terms, status, slo, market=market_alone)
            return WaitingRetraining(trigger, slo, cause, remedy.reason, market)
    return None


def _checks(status: DataProductStatus, result: SloResult, *, may_return: bool) -> tuple[Check, ...]:
    """Return the diagnosis checks; those of a probation only if an earlier version would be a remedy."""
    if status.probation is not None and may_return:
        return PROBATION_CHECKS
    match result.terms.on_degraded:
        case OnDegraded.AUTO:
            return AUTO_CHECKS
        case OnDegraded.RETRAIN | OnDegraded.ALERT | OnDegraded.IGNORE:
            return OUTSIDE_CHECKS
        case OnDegraded.ROLLBACK:
            return PROBATION_CHECKS


def _objection(
    status: DataProductStatus,
    observed: Observed,
    result: SloResult,
    before: PastVersion | None,
    *,
    results: tuple[SloResult, ...],
) -> str:
    """Return why the previous version is no remedy; empty if it is one or doesn't exist."""
    if before is None or status.stable is None or result.state is SloState.UNKNOWN:
        return ""
    series = observed.counts(status.stable.version, result.terms.name)
    harm = previous_version.harm_of(result, series, now=observed.block)
    return previous_version.objection(status, before, harm, results)


# ---- what follows ---------------------------------------------------------------------------
def _decide(case: Case) -> Remedy:
    """Return the action; an alert if a rollback was due and the previous version is no remedy."""
    version_before = _choose(case)
    if (
        not _refuses(case)
        or version_before.reason in PASSING
        or case.result.state is SloState.UNKNOWN
    ):
        return version_before
    assert case.before is not None
    version = case.before.release.version
    message = (
        f"{version_before.message}; not rolled back: {case.objection}; fix the cause, ask for a training by"
        f" {names.REQUEST_RETRAIN}, or choose {version} by {names.REQUEST_ROLLBACK}"
    )
    was_emitted = any(
        key.partition("/")[2] == case.trigger for key in case.status.engine.emitted_alerts
    )
    if isinstance(version_before, Hold) and not was_emitted:
        return Alert(
            reason=Reason.RETURN_REFUSED, message=message, numbers=case.numbers, about=case.trigger
        )
    return replace(version_before, message=message)


def _refuses(case: Case) -> bool:
    """Return whether a rollback is due for which no previous version is a remedy."""
    if case.before is None or not case.objection:
        return False
    stable = case.status.stable
    assert stable is not None
    if not case.suspected and case.result.terms.on_degraded is not OnDegraded.ROLLBACK:
        return False
    is_young = is_recent(stable, case.now - stable.promotion_time, case.terms.day_seconds)
    auto = case.result.terms.on_degraded is OnDegraded.AUTO and is_young
    wish = case.result.terms.on_degraded is OnDegraded.ROLLBACK
    return case.status.probation is not None or auto or wish


def _choose(case: Case) -> Remedy:  # noqa: PLR0911 - one an outcome
    if case.result.state is SloState.UNKNOWN:
        return Hold(reason=case.result.reason, message=f"{case.text}; no action meanwhile")
    if case.diagnosis.cause in PASSING:
        text = f"{case.text}; {case.diagnosis.message}, so there is no action"
        return Hold(reason=case.diagnosis.cause, message=text, numbers=case.numbers)
    if case.diagnosis.outside:
        return alert_outside(case)
    if case.status.probation is not None and case.may_return:
        return _return(case, Reason.PROBATION_FAILED, "it is still on probation")
    match case.result.terms.on_degraded:
        case OnDegraded.ALERT | OnDegraded.IGNORE:
            return alert_once(
                case, case.diagnosis.cause, "onDegraded is Alert, so there is no other action"
            )
        case OnDegraded.ROLLBACK if case.objection:
            return alert_once(case, Reason.RETURN_REFUSED, "onDegraded is Rollback")
        case OnDegraded.ROLLBACK:
            return _return(case, case.result.reason, "onDegraded is Rollback")
        case OnDegraded.AUTO | OnDegraded.RETRAIN:
            return retrain_or_alert(case)


def alert_outside(case: Case) -> Remedy:
    """Return the alert about a cause outside the model, which precedes all other remedies."""
    cause, text = case.diagnosis.cause, case.diagnosis.message
    if cause in CONTRADICTED:
        return _contradicted(case)
    if cause is Reason.UPSTREAM_RELEASED:
        way_out = WAY_OUT_ENDED if NO_TRAFFIC in text else WAY_OUT
        return alert_once(case, cause, f"{text}; {way_out}")
    return alert_once(case, cause, f"{text}; the operator waits until that ends")


def _contradicted(case: Case) -> Remedy:
    """Return an alert about a degradation that a training contradicts, or a rollback of changed code."""
    cause, text = case.diagnosis.cause, case.diagnosis.message
    code, wish = cause is Reason.CODE_NOT_DATA, case.result.terms.on_degraded
    if code and wish is OnDegraded.AUTO and case.may_return:
        return _return(case, cause, text)
    way_out = (
        f"choose {case.before.release.version} by {names.REQUEST_ROLLBACK}, or "
        if code and case.before
        else ""
    )
    end_text = "correct the features that are served, or the code that reads them"
    return alert_once(case, cause, f"{text}; it isn't retrained for that: {way_out}{end_text}")


def retrain_or_alert(case: Case) -> Remedy:  # noqa: PLR0911 - one an outcome
    """Return a training, or the alert about its obstacle."""
    if case.diagnosis.cause is Reason.RECENT_RELEASE:
        return _return(case, Reason.RECENT_RELEASE, case.diagnosis.message)
    if case.result.probation:
        text = "that is worse than the previous version, and within its own baseline"
        return alert_once(case, Reason.RETURN_REFUSED, f"{text}, so it isn't retrained")
    if case.diagnosis.cause is Reason.AVAILABILITY_ONLY:
        return alert_once(case, Reason.AVAILABILITY_ONLY, case.diagnosis.message)
    obstacle = preconditions.obstacle(_request(case))
    if obstacle is None and not case.result.is_fresh:
        text = (
            f"{case.text}; retraining waits for a block with events that confirms the degradation"
        )
        return Hold(reason=Reason.NO_TRAFFIC, message=text, numbers=case.numbers)
    if obstacle is None:
        return _retrain(case)
    message = f"not retrained: {obstacle.message}"
    if obstacle.needs_person:
        return alert_once(case, obstacle.reason, message)
    return Hold(reason=obstacle.reason, message=f"{case.text}; {message}", numbers=case.numbers)


def _request(case: Case) -> preconditions.RetrainingRequest:
    return preconditions.RetrainingRequest(
        case.terms,
        case.status,
        case.observed.portfolio,
        case.now,
        case.label_share_since,
        case.degraded_since,
        None
        if case.market is not None
        else serving_skew.next_score_time(case.terms, case.status, case.result.terms),
    )


def _retrain(case: Case) -> Retrain:
    assert case.status.stable is not None
    attempt = (case.status.retraining.unsuccessful_attempts if case.status.retraining else 0) + 1
    parent = case.status.stable.release
    share = _accepted_share(case)
    condition_text = "" if share is None else ", unless its training first scores it as accepted"
    return Retrain(
        reason=case.diagnosis.cause,
        message=f"{case.text}; {case.diagnosis.message}, so {parent.version} is retrained"
        f"{condition_text} (attempt {attempt})",
        numbers=case.numbers,
        trigger=case.trigger,
        slo=case.result.terms.name,
        parent=parent,
        attempt=attempt,
        changed=case.changed,
        market=case.diagnosis.market,
        accepted_share=share,
    )


def _accepted_share(case: Case) -> float | None:
    """Return the share of wrong rows up to which a training needs no fit; None where it has to fit.

    What is scored isn't known by market.
    """
    if case.market is not None or case.diagnosis.cause is not Reason.MODEL_DECAY:
        return None
    return serving_skew.accepted_share(case.terms, case.status, case.observed, case.result.terms)


def _under_way(case: Case) -> preconditions.Obstacle | None:
    """Return the running training for this degradation, or its candidate; None without one.

    A detector that is slower than the one that found the degradation doesn't end its remedy.
    """
    request, retraining, trial = _request(case), case.status.retraining, case.status.trial
    if (
        retraining is not None
        and retraining.trigger is not None
        and retraining.trigger.id == case.trigger
    ):
        return preconditions.training_is_running(request)
    if trial is not None and trial.trigger == case.trigger:
        return preconditions.a_candidate_is_tried(request)
    return None


def _return(case: Case, reason: Reason, reason_text: str) -> Rollback | Alert | Hold:
    assert case.status.stable is not None
    if case.before is None:
        return alert_once(case, Reason.NOT_FOUND, f"{reason_text}, but no earlier version is kept")
    target = case.before.release
    if (going := _under_way(case)) is not None:
        text = (
            f"{case.text}; {reason_text}, but {target.version} replaces it only if its remedy fails"
        )
        return Hold(reason=going.reason, message=f"{text}: {going.message}", numbers=case.numbers)
    text = (
        f"{case.text}; {reason_text}, so {target.version} replaces {case.status.stable.release.version}."
        f" {served_text(case.terms, case.status, case.observed, case.now)}"
    )
    return roll_back_stable(case.status, target, reason, text, numbers=case.numbers)


def alert_once(case: Case, reason: Reason, reason_text: str) -> Alert | Hold:
    """Return an alert, or a Hold if it was emitted before."""
    message = f"{case.text}; {reason_text}"
    if alert_key(reason, case.trigger) in case.status.engine.emitted_alerts:
        return Hold(reason=reason, message=message, numbers=case.numbers)
    return Alert(reason=reason, message=message, numbers=case.numbers, about=case.trigger)
