"""Between status and what the engine remembers: two pure functions that undo each other.

Status is the only memory that survives a restart, so whatever an evaluation leaves for the next
must come back from it unchanged. Everything else in status is for people and passes through.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from sluicegate.api import canary as api
from sluicegate.api import memory as kept
from sluicegate.api.base import at, number
from sluicegate.api.baseline import Baseline as ApiBaseline
from sluicegate.api.baseline import Stratum
from sluicegate.api.canary import CandidatePhase, Fate, VersionBase
from sluicegate.api.model import Counts
from sluicegate.api.names import (
    REQUEST_ABORT,
    REQUEST_PROMOTE,
    REQUEST_RETRAIN,
    REQUEST_ROLLBACK,
    DecisionReason,
)
from sluicegate.api.status import (
    DataProductStatus,
    OriginalBaseline,
    ProductState,
    SpecModel,
)
from sluicegate.policy.memory import (
    Accepted,
    Baseline,
    Baselines,
    Candidate,
    HandledModel,
    Memory,
    Probation,
    Release,
    RetrainingMemory,
    SloMemory,
    Streak,
    Training,
    WeightChange,
)
from sluicegate.slo.blocks import Count

Identify = Callable[[Release], VersionBase]
"""A release with what only the objects know: entry service and revision."""

DIGITS: Final = 17
"""Significant digits that give a float back exactly."""
HISTORY: Final = 20
_REQUESTS: Final = {
    REQUEST_RETRAIN: "retrain_requested_at",
    REQUEST_ROLLBACK: "rollback_to",
    REQUEST_PROMOTE: "promote",
    REQUEST_ABORT: "abort",
}


# ---- from status ----------------------------------------------------------------------------
def memory_of(status: DataProductStatus) -> Memory:
    """What the engine remembers, from status. A version on its way back isn't a candidate."""
    candidate = status.candidate
    if candidate is not None and candidate.returning:
        candidate = None
    model = status.spec_model
    original = status.original_baseline
    return Memory(
        stable=_accepted(status.stable) if status.stable else None,
        candidate=_candidate(candidate) if candidate else None,
        history=tuple(_past(one) for one in status.history if one.promoted_at is not None),
        original=_baselines(original.slos) if original else {},
        slos={slo.name: _slo(slo) for slo in status.slos},
        retraining=_retraining(status),
        probation=_probation(status),
        model=model
        and HandledModel(
            Release(model.version, model.image, model.runtime_image),
            model.outcome,
            _seconds(model.at),
        ),
        last_known=status.last_known_state or ProductState.UNKNOWN,
        outage_since=_maybe(status.metrics_lost_since),
        alerted=status.alerted,
        handled=_handled(status),
    )


def release_of(version: VersionBase) -> Release:
    """The release that a version in status stands for."""
    return Release(version.version, version.image, version.runtime_image)


def _accepted(version: api.Version) -> Accepted:
    return Accepted(
        release_of(version),
        _seconds(version.promoted_at),
        version.source,
        _baselines(version.baseline),
        returned=version.returned,
    )


def _past(version: api.PastVersion) -> Accepted:
    assert version.promoted_at is not None
    return Accepted(
        release_of(version),
        _seconds(version.promoted_at),
        version.source,
        _baselines(version.baseline),
        returned=version.returned,
        withdrawn=version.fate is Fate.ROLLED_BACK,
    )


def _candidate(version: api.Candidate) -> Candidate:
    return Candidate(
        release_of(version),
        version.source,
        _seconds(version.since),
        tuple(WeightChange(_seconds(one.since), one.weight) for one in version.shares),
        evaluation=_counts(version.evaluation),
        correlation={slo: float(value) for slo, value in version.correlation.items()},
        trigger=version.trigger,
        parked=version.phase is CandidatePhase.PARKED,
    )


def _slo(slo: kept.SloStatus) -> SloMemory:
    return SloMemory(
        streak=_streak(slo.streak),
        degraded=slo.degraded,
        calm=_streak(slo.calm),
        steady_since=-1 if slo.steady_since is None else _seconds(slo.steady_since),
        since=_maybe(slo.evidence_since) or 0,
        terms_hash=slo.terms_hash,
    )


def _streak(streak: kept.Streak | None) -> Streak | None:
    return streak and Streak(streak.first, streak.last, streak.evaluations, streak.fresh)


def _retraining(status: DataProductStatus) -> RetrainingMemory:
    one = status.retraining
    if one is None:
        return RetrainingMemory()
    running = None
    if one.trigger is not None and status.stable is not None:
        running = Training(
            one.trigger.id,
            one.trigger.slo,
            _parent(status, one.trigger.version),
            one.attempt,
            _seconds(one.started_at or one.trigger.at),
        )
    return RetrainingMemory(
        under_way=running,
        failures=one.attempts,
        next_allowed_at=_maybe(one.next_allowed_at) or 0,
        last_seconds=one.last_duration_seconds or 0,
        last_reason=DecisionReason(one.last_reason) if one.last_reason else None,
    )


def _parent(status: DataProductStatus, version: str) -> Release:
    """The release of the version that a training started from; by name, where it is gone."""
    known: list[VersionBase] = [*([status.stable] if status.stable else []), *status.history]
    return next((release_of(one) for one in known if one.version == version), Release(version))


def _probation(status: DataProductStatus) -> Probation | None:
    one = status.probation
    return one and Probation(_parent(status, one.against), _baselines(one.baselines))


def _handled(status: DataProductStatus) -> dict[str, str]:
    handled = status.last_handled or kept.LastHandled()
    values = {name: getattr(handled, field) for name, field in _REQUESTS.items()}
    return {name: value for name, value in values.items() if value}


def _baselines(baselines: Mapping[str, ApiBaseline]) -> dict[str, Baseline]:
    return {
        name: Baseline(
            Count(one.bad, one.total),
            _seconds(one.start),
            _seconds(one.end),
            one.source,
            phi=float(one.phi),
            daily=one.daily,
            weekdays=tuple(Count(day.bad, day.total) for day in one.weekdays),
            mean=float(one.mean or 0),
            deviation=float(one.deviation or 0),
            indicator_hash=one.indicator_hash,
        )
        for name, one in baselines.items()
    }


def _counts(evaluation: Mapping[str, Counts]) -> dict[str, Count]:
    return {slo: Count(one.bad, one.total) for slo, one in evaluation.items()}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _maybe(moment: datetime | None) -> int | None:
    return None if moment is None else _seconds(moment)


# ---- into status ----------------------------------------------------------------------------
def remember(
    status: DataProductStatus, memory: Memory, identify: Identify, *, now: int
) -> DataProductStatus:
    """The status with what the engine remembers; what is for people stays as it is.

    Parameters
    ----------
    identify : tells entry service and revision of a release.
    now : in seconds; when a version that just left ceased to be stable.
    """
    stable = memory.stable
    probation = memory.probation
    original = OriginalBaseline(
        version=status.original_baseline.version
        if status.original_baseline
        else (status.stable.version if status.stable else ""),
        slos=_as_baselines(memory.original),
    )
    return status.model_copy(
        update={
            "stable": stable and _as_version(status, stable, identify),
            "candidate": _as_candidate(status, memory, identify),
            "history": _as_history(status, memory, identify, now),
            "original_baseline": original if memory.original else None,
            "slos": _as_slos(status, memory),
            "retraining": _as_retraining(status, memory),
            "probation": None
            if probation is None or stable is None
            else kept.Probation(
                version=stable.release.version,
                against=probation.previous.version,
                since=at(stable.promoted_at),
                baselines=_as_baselines(probation.baselines),
            ),
            "spec_model": _as_model(status, memory),
            "last_known_state": None
            if memory.last_known is ProductState.UNKNOWN
            else memory.last_known,
            "metrics_lost_since": None if memory.outage_since is None else at(memory.outage_since),
            "alerted": memory.alerted,
            "last_handled": kept.LastHandled(
                **{_REQUESTS[name]: value for name, value in memory.handled.items()}
            )
            if memory.handled
            else None,
        }
    )


def _as_version(status: DataProductStatus, accepted: Accepted, identify: Identify) -> api.Version:
    base = _base(accepted.release, identify) | {"source": accepted.source}
    same = status.stable is not None and release_of(status.stable) == accepted.release
    evaluation = status.stable.evaluation if status.stable and same else {}
    if status.candidate is not None and release_of(status.candidate) == accepted.release:
        evaluation = status.candidate.evaluation
    return api.Version(
        **base,
        promoted_at=at(accepted.promoted_at),
        returned=accepted.returned,
        baseline=_as_baselines(accepted.baselines),
        evaluation=evaluation,
    )


def _base(release: Release, identify: Identify) -> dict[str, object]:
    known = identify(release)
    return {
        "version": release.version,
        "image": release.image,
        "service": known.service,
        "runtime_image": release.runtime_image,
        "revision": known.revision,
    }


def _as_candidate(
    status: DataProductStatus, memory: Memory, identify: Identify
) -> api.Candidate | None:
    """The candidate; what carries it out (phase, step) is kept while it is the same one."""
    before, candidate = status.candidate, memory.candidate
    if candidate is None:
        return before if before is not None and before.returning else None
    shares = tuple(api.Share(weight=one.weight, since=at(one.at)) for one in candidate.weights)
    same = before is not None and release_of(before) == candidate.release
    anew = not same or before is None or _seconds(before.since) != candidate.since
    phase = CandidatePhase.STARTING if anew or before is None else before.phase
    if candidate.parked:
        phase = CandidatePhase.PARKED
    elif phase is CandidatePhase.PARKED:
        phase = CandidatePhase.STARTING
    fresh = api.Candidate(
        **_base(candidate.release, identify) | {"source": candidate.source},
        phase=phase,
        since=at(candidate.since),
        evaluation={slo: _as_counts(count) for slo, count in candidate.evaluation.items()},
        trigger=candidate.trigger,
    )
    carried = fresh if anew or before is None else before
    return carried.model_copy(
        update={
            "phase": phase,
            "step": 0 if anew else max(carried.step, len(shares)),
            "weight": candidate.weight,
            "shares": shares,
            "correlation": {
                slo: number(value, DIGITS) for slo, value in candidate.correlation.items()
            },
        }
    )


def _as_history(
    status: DataProductStatus, memory: Memory, identify: Identify, now: int
) -> tuple[api.PastVersion, ...]:
    """Versions that were stable, as the engine keeps them, and those that were refused."""
    before = {(release_of(one), one.promoted_at): one for one in status.history}
    accepted = []
    for one in memory.history:
        promoted_at = at(one.promoted_at)
        fate = Fate.ROLLED_BACK if one.withdrawn else Fate.REPLACED
        known = before.get((one.release, promoted_at))
        accepted.append(
            api.PastVersion(
                **_base(one.release, identify) | {"source": one.source},
                fate=fate,
                reason=known.reason if known else "",
                promoted_at=promoted_at,
                returned=one.returned,
                until=known.until if known and known.fate is fate else at(now),
                baseline=_as_baselines(one.baselines),
            )
        )
    refused = [one for one in status.history if one.promoted_at is None]
    room = max(HISTORY - len(accepted), 0)
    merged = [*accepted, *refused[:room]]
    # Stable sorts keep the engine's order among versions that left at the same second.
    return tuple(sorted(merged, key=lambda one: one.until, reverse=True))


def _as_slos(status: DataProductStatus, memory: Memory) -> tuple[kept.SloStatus, ...]:
    shown = {one.name: one for one in status.slos}
    slos = []
    for name, slo in memory.slos.items():
        known = shown.get(name) or kept.SloStatus(name=name, state=kept.SloState.UNKNOWN)
        slos.append(
            known.model_copy(
                update={
                    "streak": _as_streak(slo.streak),
                    "degraded": slo.degraded,
                    "calm": _as_streak(slo.calm),
                    "steady_since": None if slo.steady_since < 0 else at(slo.steady_since),
                    "evidence_since": at(slo.since) if slo.since else None,
                    "terms_hash": slo.terms_hash,
                }
            )
        )
    return tuple(slos)


def _as_streak(streak: Streak | None) -> kept.Streak | None:
    return streak and kept.Streak(
        first=streak.first, last=streak.last, evaluations=streak.evaluations, fresh=streak.fresh
    )


def _as_retraining(status: DataProductStatus, memory: Memory) -> kept.RetrainingStatus | None:
    one = memory.retraining
    if one == RetrainingMemory():
        return None
    before = status.retraining or kept.RetrainingStatus()
    running = one.under_way
    return before.model_copy(
        update={
            "trigger": None if running is None else _as_trigger(before, running),
            "attempt": running.attempt if running else before.attempt,
            "started_at": at(running.started_at) if running else None,
            "attempts": one.failures,
            "next_allowed_at": at(one.next_allowed_at) if one.next_allowed_at else None,
            "last_duration_seconds": one.last_seconds or None,
            "last_reason": str(one.last_reason or ""),
        }
    )


def _as_trigger(before: kept.RetrainingStatus, running: Training) -> kept.Trigger:
    if before.trigger is not None and before.trigger.id == running.trigger:
        return before.trigger
    return kept.Trigger(
        id=running.trigger,
        cause="",
        slo=running.slo,
        version=running.parent.version,
        at=at(running.started_at),
    )


def _as_model(status: DataProductStatus, memory: Memory) -> SpecModel | None:
    model = memory.model
    if model is None:
        return None
    reason = status.spec_model.reason if status.spec_model else ""
    return SpecModel(
        image=model.release.image,
        version=model.release.version,
        runtime_image=model.release.runtime_image,
        outcome=model.outcome,
        reason=reason,
        at=at(model.at),
    )


def _as_baselines(baselines: Baselines) -> dict[str, ApiBaseline]:
    return {
        name: ApiBaseline(
            bad=one.count.bad,
            total=one.count.total,
            start=at(one.start),
            end=at(one.end),
            source=one.source,
            phi=number(one.phi, DIGITS),
            daily=one.daily,
            weekdays=tuple(Stratum(bad=day.bad, total=day.total) for day in one.weekdays),
            mean=number(one.mean, DIGITS) if one.mean else None,
            deviation=number(one.deviation, DIGITS) if one.deviation else None,
            indicator_hash=one.indicator_hash,
        )
        for name, one in baselines.items()
    }


def _as_counts(count: Count) -> Counts:
    return Counts(bad=count.bad, total=count.total)
