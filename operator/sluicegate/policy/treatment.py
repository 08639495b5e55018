"""What to do about a degraded SLO of the stable version: diagnosis first, cure second.

Probation outranks what the spec wants; then `onDegraded` chooses which checks are made and what
follows when none of them objects. What was told to people already is not told again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.memory import SloState
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slos import OnDegraded
from sluicegate.policy import gauges, retraining
from sluicegate.policy.decision import Alert, Hold, Retrain, Rollback
from sluicegate.policy.degradation import SloResult
from sluicegate.policy.diagnosis import (
    AUTO_CHECKS,
    OUTSIDE_CHECKS,
    PROBATION_CHECKS,
    Check,
    Diagnosis,
    Symptoms,
    diagnose,
)
from sluicegate.policy.load import Load, load_of
from sluicegate.policy.memory import Memory, Release
from sluicegate.policy.messages import capitalised, describe, numbers_of
from sluicegate.policy.observed import Observed
from sluicegate.policy.planning import warmed_up
from sluicegate.policy.present import Present, present_of
from sluicegate.policy.rollback import previous
from sluicegate.policy.rollout import alert_key
from sluicegate.policy.stable import evidence_since
from sluicegate.policy.terms import Terms
from sluicegate.slo.blocks import Series

_WAITING: Final = frozenset(
    {
        Reason.NO_SLOT,
        Reason.COOLING_DOWN,
        Reason.VERSION_TOO_YOUNG,
        Reason.RETRAIN_SUSPENDED,
        Reason.MANUAL_MODE,
    }
)
"""Obstacles that pass, or that a person takes away."""
Treatment = Rollback | Retrain | Alert | Hold


@dataclass(frozen=True, slots=True)
class Case:
    """One degraded SLO, with what is needed to treat it.

    Attributes
    ----------
    result : what it shows. trigger : name of this degradation.
    diagnosis : its cause. now : in seconds.
    """

    terms: Terms
    memory: Memory
    observed: Observed
    result: SloResult
    trigger: str
    diagnosis: Diagnosis
    now: int

    @property
    def text(self) -> str:
        """What the SLO shows, as the begin of a message."""
        return capitalised(describe(self.result, self.terms.block_seconds))

    @property
    def numbers(self) -> Mapping[str, float]:
        """The numbers of the text."""
        return numbers_of(self.result)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A retraining that is due, and what it waits for.

    Attributes
    ----------
    trigger : its name. slo : what is degraded. cause : why.
    reason : what stands in the way.
    """

    trigger: str
    slo: str
    cause: Reason
    reason: Reason


def treat(
    terms: Terms, memory: Memory, observed: Observed, results: tuple[SloResult, ...], *, now: int
) -> list[tuple[Treatment, Diagnosis]]:
    """What each degraded SLO asks for, in the order of the spec."""
    degraded = tuple(
        result
        for result in results
        if result.terms.deciding and memory.slo(result.terms.name).degraded
    )
    return [
        _treat(terms, memory, observed, result, degraded=degraded, now=now) for result in degraded
    ]


def _treat(
    terms: Terms,
    memory: Memory,
    observed: Observed,
    result: SloResult,
    *,
    degraded: tuple[SloResult, ...],
    now: int,
) -> tuple[Treatment, Diagnosis]:
    assert memory.stable is not None
    symptoms = Symptoms(
        worst=result,
        degraded=degraded,
        facts=observed.facts,
        portfolio=observed.portfolio,
        problem=observed.problem,
        stable=memory.stable,
        can_return=previous(memory.history) is not None,
        age_seconds=now - memory.stable.promoted_at,
        day_seconds=terms.day_seconds,
        load=_load(terms, memory, observed, result),
        present=_present(terms, memory, observed, result),
    )
    diagnosis = diagnose(symptoms, _checks(memory, result))
    trigger = trigger_for(terms, memory, result.terms.name)
    case = Case(terms, memory, observed, result, trigger, diagnosis, now)
    return _decide(case), diagnosis


def trigger_for(terms: Terms, memory: Memory, slo: str) -> str:
    """Name of the need for a training that this degraded SLO stands for."""
    assert memory.stable is not None
    streak = memory.slo(slo).streak
    first = streak.first if streak else memory.stable.promoted_at
    return retraining.trigger_of(terms, memory.stable.release.version, slo, first)


def waiting(
    terms: Terms, memory: Memory, treated: list[tuple[Treatment, Diagnosis]]
) -> Waiting | None:
    """The retraining that is due and may not start yet; None when none is."""
    for treatment, diagnosis in treated:
        if isinstance(treatment, Hold | Alert) and treatment.reason in _WAITING:
            trigger = trigger_for(terms, memory, diagnosis.slo)
            return Waiting(trigger, diagnosis.slo, diagnosis.cause, treatment.reason)
    return None


def _on_probation(memory: Memory) -> bool:
    """Whether it can go back at once; with nothing to go back to it is treated as any other."""
    return memory.probation is not None and _way_back(memory) is not None


def _checks(memory: Memory, result: SloResult) -> tuple[Check, ...]:
    if _on_probation(memory):
        return PROBATION_CHECKS
    match result.terms.on_degraded:
        case OnDegraded.AUTO:
            return AUTO_CHECKS
        case OnDegraded.RETRAIN | OnDegraded.ALERT | OnDegraded.IGNORE:
            return OUTSIDE_CHECKS
        case OnDegraded.ROLLBACK:
            return PROBATION_CHECKS


def _load(terms: Terms, memory: Memory, observed: Observed, result: SloResult) -> Load | None:
    """What a pod serves, as far as this SLO counts it, and what it is known to serve."""
    stable = memory.stable
    assert stable is not None
    series = observed.series.get(stable.release.version, {}).get(result.terms.name)
    if series is None:
        return None
    return load_of(
        result.terms,
        series,
        result.baseline,
        now=observed.block,
        since=warmed_up(stable.promoted_at, terms.block_seconds),
        block_seconds=terms.block_seconds,
        pods=observed.facts.pods,
    )


def _present(terms: Terms, memory: Memory, observed: Observed, result: SloResult) -> Present:
    """What the SLO does at present, by its events or by the values of its gauge."""
    stable = memory.stable
    assert stable is not None
    name, version = result.terms.name, stable.release.version
    since = evidence_since(terms, stable, memory.slo(name))
    if result.terms.gauge is not None:
        values = observed.gauges.get(version, {}).get(name, {})
        return gauges.present_of(
            result.terms, values, result.baseline, now=observed.block, since=since
        )
    series = observed.series.get(version, {}).get(name) or Series()
    return present_of(result.terms, series, result.baseline, now=observed.block, since=since)


# ---- what follows ---------------------------------------------------------------------------
def _decide(case: Case) -> Treatment:  # noqa: PLR0911 - one an outcome
    if case.result.state is SloState.UNKNOWN:
        return Hold(reason=case.result.reason, message=f"{case.text}; nothing is done meanwhile")
    if case.diagnosis.cause in {Reason.RECOVERED, Reason.INSUFFICIENT_DATA}:
        text = f"{case.text}; {case.diagnosis.message}, so it is only watched"
        return Hold(reason=case.diagnosis.cause, message=text, numbers=case.numbers)
    if case.diagnosis.outside:
        return _tell(
            case, case.diagnosis.cause, f"{case.diagnosis.message}; waiting for that to end"
        )
    if _on_probation(case.memory):
        return _return(case, Reason.PROBATION_FAILED, "it is still on probation")
    match case.result.terms.on_degraded:
        case OnDegraded.ALERT | OnDegraded.IGNORE:
            return _tell(case, case.diagnosis.cause, "onDegraded is Alert, so nothing else is done")
        case OnDegraded.ROLLBACK:
            return _return(case, case.result.reason, "onDegraded is Rollback")
        case OnDegraded.AUTO | OnDegraded.RETRAIN:
            return _cure(case)


def _cure(case: Case) -> Treatment:
    if case.diagnosis.cause is Reason.RECENT_RELEASE:
        return _return(case, Reason.RECENT_RELEASE, case.diagnosis.message)
    if case.diagnosis.cause is Reason.AVAILABILITY_ONLY:
        return _tell(case, Reason.AVAILABILITY_ONLY, case.diagnosis.message)
    request = retraining.Request(case.terms, case.memory, case.observed.portfolio, case.now)
    obstacle = retraining.obstacle(request)
    if obstacle is None and not case.result.fresh:
        text = f"{case.text}; not retrained before a block with events says so again"
        return Hold(reason=Reason.NO_TRAFFIC, message=text, numbers=case.numbers)
    if obstacle is None:
        return _retrain(case)
    message = f"not retrained, as {obstacle.message}"
    if obstacle.needs_person:
        return _tell(case, obstacle.reason, message)
    return Hold(reason=obstacle.reason, message=f"{case.text}; {message}", numbers=case.numbers)


def _retrain(case: Case) -> Retrain:
    assert case.memory.stable is not None
    attempt = case.memory.retraining.failures + 1
    parent = case.memory.stable.release
    return Retrain(
        reason=case.diagnosis.cause,
        message=f"{case.text}; {case.diagnosis.message}, so {parent.version} is retrained"
        f" (attempt {attempt})",
        numbers=case.numbers,
        trigger=case.trigger,
        slo=case.result.terms.name,
        parent=parent,
        attempt=attempt,
    )


def _return(case: Case, reason: Reason, why: str) -> Rollback | Alert | Hold:
    assert case.memory.stable is not None
    to = _way_back(case.memory)
    leaving = case.memory.stable.release
    if to is None:
        return _tell(case, Reason.NOT_FOUND, f"{why}, but no version before it is kept")
    return Rollback(
        reason=reason,
        message=f"{case.text}; {why}, so {to.version} replaces {leaving.version}",
        numbers=case.numbers,
        leaving=leaving,
        to=to,
    )


def _way_back(memory: Memory) -> Release | None:
    if memory.probation is not None:
        kept = {entry.release for entry in memory.history if not entry.withdrawn}
        if memory.probation.previous in kept:
            return memory.probation.previous
    before = previous(memory.history)
    return before.release if before else None


def _tell(case: Case, reason: Reason, why: str) -> Alert | Hold:
    """Tell people, or wait silently if they were told of this already."""
    message = f"{case.text}; {why}"
    if alert_key(reason, case.trigger) in case.memory.alerted:
        return Hold(reason=reason, message=message, numbers=case.numbers)
    return Alert(reason=reason, message=message, numbers=case.numbers, about=case.trigger)
