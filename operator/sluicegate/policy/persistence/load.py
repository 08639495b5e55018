"""What the engine remembers, read back from status. `remember` writes it there.

Status is the only memory that survives a restart, so whatever an evaluation leaves for the next
must come back from it unchanged.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sluicegate.api import slo_status as kept
from sluicegate.api import status as api_status
from sluicegate.api import versions as api
from sluicegate.api.baseline import Baseline as ApiBaseline
from sluicegate.api.model import Counts
from sluicegate.api.names import (
    REQUEST_ABORT,
    REQUEST_PROMOTE,
    REQUEST_RETRAIN,
    REQUEST_ROLLBACK,
    DecisionReason,
)
from sluicegate.api.status import DataProductStatus, ProductState
from sluicegate.api.versions import CandidatePhase, Fate, VersionBase
from sluicegate.policy.model.api_changes import CHANGED
from sluicegate.policy.model.state import (
    Accepted,
    Baseline,
    Candidate,
    HandledModel,
    Interval,
    Memory,
    Probation,
    Release,
    RetrainingMemory,
    SloMemory,
    Streak,
    Training,
    WeightChange,
)
from sluicegate.stats.counts import Count

REQUEST_FIELDS: Final = {
    REQUEST_RETRAIN: "retrain_requested_at",
    REQUEST_ROLLBACK: "rollback_to",
    REQUEST_PROMOTE: "promote",
    REQUEST_ABORT: "abort",
}
"""Which field of `status.lastHandled` echoes which annotation."""


def memory_of(status: DataProductStatus) -> Memory:
    """What the engine remembers, from status. A version on its way back isn't a candidate."""
    candidate = status.candidate
    if candidate is not None and candidate.returning:
        candidate = None
    original = status.original_baseline
    return Memory(
        stable=_accepted(status.stable) if status.stable else None,
        candidate=_candidate(candidate) if candidate else None,
        history=tuple(_past(one) for one in status.history if one.promoted_at is not None),
        original=baselines_of(original.slos) if original else {},
        slos={slo.name: _slo(slo) for slo in status.slos},
        retraining=_retraining(status),
        probation=_probation(status),
        model=_model(status),
        last_known=status.last_known_state or ProductState.UNKNOWN,
        outage_since=_maybe(status.metrics_lost_since),
        alerted=status.alerted,
        handled=_handled(status),
    )


def _model(status: DataProductStatus) -> HandledModel | None:
    model = status.spec_model
    if model is None:
        return None
    release = Release(model.version, model.image, model.runtime_image)
    return HandledModel(release, model.outcome, seconds_of(model.at))


def release_of(version: VersionBase) -> Release:
    """The release that a version in status stands for."""
    return Release(version.version, version.image, version.runtime_image)


def _accepted(version: api.Version) -> Accepted:
    return Accepted(
        release_of(version),
        seconds_of(version.promoted_at),
        version.source,
        baselines_of(version.baseline),
        returned=version.returned,
    )


def _past(version: api.PastVersion) -> Accepted:
    assert version.promoted_at is not None
    return Accepted(
        release_of(version),
        seconds_of(version.promoted_at),
        version.source,
        baselines_of(version.baseline),
        returned=version.returned,
        withdrawn=version.fate in {Fate.ROLLED_BACK, Fate.FAILED},
        record=_counts(version.record),
        degraded=version.degraded,
    )


def _candidate(version: api.Candidate) -> Candidate:
    return Candidate(
        release_of(version),
        version.source,
        seconds_of(version.since),
        tuple(WeightChange(seconds_of(one.since), one.weight) for one in version.shares),
        evaluation=_counts(version.evaluation),
        correlation={slo: float(value) for slo, value in version.correlation.items()},
        trigger=version.trigger,
        parked=version.phase is CandidatePhase.PARKED,
        requested=version.requested,
        retry_at=_maybe(version.retry_at),
        retries=version.retries,
        changes_api=version.api == CHANGED,
        frozen=version.frozen_seconds,
    )


def _slo(slo: kept.SloStatus) -> SloMemory:
    return SloMemory(
        streak=_streak(slo.streak),
        degraded=slo.degraded,
        calm=_streak(slo.calm),
        steady_since=-1 if slo.steady_since is None else seconds_of(slo.steady_since),
        since=_maybe(slo.evidence_since) or 0,
        terms_hash=slo.terms_hash,
        disturbed_since=_maybe(slo.disturbed_since),
        left_out=tuple(
            Interval(seconds_of(one.since), seconds_of(one.until)) for one in slo.left_out
        ),
    )


def _streak(streak: kept.Streak | None) -> Streak | None:
    if streak is None:
        return None
    return Streak(streak.first, streak.last, streak.evaluations, streak.fresh)


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
            seconds_of(one.started_at or one.trigger.at),
        )
    return RetrainingMemory(
        under_way=running,
        failures=one.attempts,
        next_allowed_at=_maybe(one.next_allowed_at) or 0,
        last_seconds=one.last_duration_seconds or 0,
        last_reason=DecisionReason.read(one.last_reason) if one.last_reason else None,
        started=one.number,
    )


def _parent(status: DataProductStatus, version: str) -> Release:
    """The release of the version that a training started from; by name, where it is gone."""
    known: list[VersionBase] = [*([status.stable] if status.stable else []), *status.history]
    return next((release_of(one) for one in known if one.version == version), Release(version))


def _probation(status: DataProductStatus) -> Probation | None:
    one = status.probation
    if one is None:
        return None
    before = (release_of(past) for past in status.history if past.version == one.against)
    return Probation(next(before, Release(one.against)), baselines_of(one.baselines))


def _handled(status: DataProductStatus) -> dict[str, str]:
    handled = status.last_handled or api_status.LastHandled()
    values = {name: getattr(handled, field) for name, field in REQUEST_FIELDS.items()}
    return {name: value for name, value in values.items() if value}


def baselines_of(baselines: Mapping[str, ApiBaseline]) -> dict[str, Baseline]:
    """Baselines as the engine has them."""
    return {
        name: Baseline(
            Count(one.bad, one.total),
            seconds_of(one.start),
            seconds_of(one.end),
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


def seconds_of(moment: datetime) -> int:
    """Whole seconds since the epoch."""
    return int(moment.replace(microsecond=0).timestamp())  # a float would round up


def _maybe(moment: datetime | None) -> int | None:
    return None if moment is None else seconds_of(moment)
