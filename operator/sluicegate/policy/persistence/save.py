"""What the engine remembers, written into status. `recall` reads it back, unchanged.

Everything else in status is for people and passes through.
"""

from collections.abc import Callable
from typing import Any, Final

from sluicegate.api import retraining_status, versions
from sluicegate.api import slo_status as kept
from sluicegate.api import status as api_status
from sluicegate.api import versions as api
from sluicegate.api.base import at, number
from sluicegate.api.baseline import Baseline as ApiBaseline
from sluicegate.api.baseline import Stratum
from sluicegate.api.model import Counts
from sluicegate.api.status import (
    DataProductStatus,
    OriginalBaseline,
    ProductState,
    SpecModel,
)
from sluicegate.api.versions import CandidatePhase, Fate, VersionBase
from sluicegate.policy.model.api_changes import CHANGED
from sluicegate.policy.model.state import (
    MOST_FAILURES,
    Accepted,
    Baselines,
    Memory,
    Release,
    RetrainingMemory,
    Streak,
    Training,
)
from sluicegate.policy.persistence.load import REQUEST_FIELDS, release_of, seconds_of
from sluicegate.stats.counts import Count

Identify = Callable[[Release], VersionBase]
"""A release with what only the objects know: entry service and revision."""

DIGITS: Final = 17
"""Significant digits that give a float back exactly."""
HISTORY: Final = 20
"""Versions that status can hold, those that were refused among them."""


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
        slos=as_baselines(memory.original),
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
            else versions.Probation(
                version=stable.release.version,
                against=probation.previous.version,
                since=at(stable.promoted_at),
                baselines=as_baselines(probation.baselines),
            ),
            "spec_model": _as_model(status, memory),
            "last_known_state": None
            if memory.last_known is ProductState.UNKNOWN
            else memory.last_known,
            "metrics_lost_since": None if memory.outage_since is None else at(memory.outage_since),
            "alerted": memory.alerted,
            "last_handled": api_status.LastHandled(
                **{REQUEST_FIELDS[name]: value for name, value in memory.handled.items()}
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
        baseline=as_baselines(accepted.baselines),
        evaluation=evaluation,
    )


def _base(release: Release, identify: Identify) -> dict[str, Any]:
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
        arrived = (
            memory.stable is not None and before and release_of(before) == memory.stable.release
        )
        return before if before is not None and before.returning and not arrived else None
    shares = tuple(api.Share(weight=one.weight, since=at(one.at)) for one in candidate.weights)
    same = before is not None and release_of(before) == candidate.release
    anew = not same or before is None or seconds_of(before.since) != candidate.since
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
            "step": 0 if anew else carried.step,
            "weight": candidate.weight,
            "requested": candidate.requested,
            "retry_at": None if candidate.retry_at is None else at(candidate.retry_at),
            "retries": candidate.retries,
            "api": CHANGED if candidate.changes_api else carried.api,
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
        known = before.get((one.release, promoted_at))
        fate = _fate(one, known)
        accepted.append(
            api.PastVersion(
                **_base(one.release, identify) | {"source": one.source},
                fate=fate,
                reason=known.reason if known else "",
                promoted_at=promoted_at,
                returned=one.returned,
                until=known.until if known and known.fate is fate else at(now),
                baseline=as_baselines(one.baselines),
                record={slo: _as_counts(count) for slo, count in one.record.items()},
                degraded=one.degraded,
            )
        )
    refused = [one for one in status.history if one.promoted_at is None]
    room = max(HISTORY - len(accepted), 0)
    merged = [*accepted, *refused[:room]]
    # Stable sorts keep the engine's order among versions that left at the same second.
    return tuple(sorted(merged, key=lambda one: one.until, reverse=True))


def _fate(one: Accepted, known: api.PastVersion | None) -> Fate:
    if not one.withdrawn:
        return Fate.REPLACED
    failed = known is not None and known.fate is Fate.FAILED
    return Fate.FAILED if failed else Fate.ROLLED_BACK


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
                    "disturbed_since": None
                    if slo.disturbed_since is None
                    else at(slo.disturbed_since),
                    "left_out": tuple(
                        kept.Interval(since=at(one.begin), until=at(one.end))
                        for one in slo.left_out
                    ),
                }
            )
        )
    return tuple(slos)


def _as_streak(streak: Streak | None) -> kept.Streak | None:
    if streak is None:
        return None
    return kept.Streak(
        first=streak.first, last=streak.last, evaluations=streak.evaluations, fresh=streak.fresh
    )


def _as_retraining(
    status: DataProductStatus, memory: Memory
) -> retraining_status.RetrainingStatus | None:
    one = memory.retraining
    if one == RetrainingMemory():
        return None
    before = status.retraining or retraining_status.RetrainingStatus()
    running = one.under_way
    return before.model_copy(
        update={
            "trigger": None if running is None else _as_trigger(before, running),
            "attempt": running.attempt if running else before.attempt,
            "started_at": at(running.started_at) if running else None,
            "started": one.started,
            "attempts": one.failures,
            "suspended": one.failures >= MOST_FAILURES,
            "next_allowed_at": at(one.next_allowed_at) if one.next_allowed_at else None,
            "last_duration_seconds": one.last_seconds or None,
            "last_reason": str(one.last_reason or ""),
        }
    )


def _as_trigger(
    before: retraining_status.RetrainingStatus, running: Training
) -> retraining_status.Trigger:
    if before.trigger is not None and before.trigger.id == running.trigger:
        return before.trigger
    return retraining_status.Trigger(
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


def as_baselines(baselines: Baselines) -> dict[str, ApiBaseline]:
    """Baselines as status has them."""
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
