"""What a person and a GitOps tool read: conditions and the words of `kubectl get`. Pure.

Ready says that the spec is realised and stable serves; a canary or a retraining doesn't change
that, or a pipeline that waits for it would block for hours.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sluicegate.api.base import at
from sluicegate.api.canary import CandidatePhase, Fate
from sluicegate.api.memory import SloState
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import (
    DataProductStatus,
    DependencyState,
    ProductState,
    SpecModelOutcome,
    Summary,
)
from sluicegate.reconcile.layout import Layout
from sluicegate.reconcile.pods import of_revision, trouble_of
from sluicegate.reconcile.situation import Situation
from sluicegate.reconcile.step import Step
from sluicegate.reconcile.traffic import traffic_of
from sluicegate.reconcile.verification import Level
from sluicegate.reconcile.warming import is_unread, just_took_over
from sluicegate.status import (
    Finding,
    find_condition,
    report_conditions,
    same_meaning,
    with_fresh_numbers,
)

VERIFIED_BLOCKS: Final = 10
"""Canary blocks for which the news that a share is verified may wait for the next write: a step
that goes as fast as it can takes less, so each costs one write."""
VERIFIED_SECONDS: Final = 30
"""It may wait for so long at least."""
_WORSE: Final = {SloState.OK: 0, SloState.UNKNOWN: 1, SloState.WARN: 2, SloState.BAD: 3}


def report(situation: Situation, step: Step) -> DataProductStatus:
    """The status to write: that of the step, with conditions, traffic and summary."""
    product = situation.product
    status = _with_what_was_known(situation, step.status).model_copy(
        update={
            "observed_generation": product.metadata.generation,
            "dependencies": situation.dependencies,
            "problems": (),
            "traffic": traffic_of(situation, step.status, step.layout),
        }
    )
    conditions = report_conditions(
        product.status.conditions,
        _findings(situation, status, step.layout),
        generation=product.metadata.generation,
        now=at(situation.now),
    )
    return status.model_copy(
        update={"conditions": conditions, "summary": summary(situation, status)}
    )


def _with_what_was_known(situation: Situation, status: DataProductStatus) -> DataProductStatus:
    """The status; what was judged before stays while all that is new is that nothing is read yet.

    That blocks are read back after a restart is the operator's affair, not the product's: saying
    so would cost two writes for each product. Nor is it news why a version that only just took
    over isn't judged yet: its blocks are read, its series appear, its caches fill.
    """
    before = situation.product.status
    if before.stable is None or status.stable is None or before.stable.image != status.stable.image:
        return status
    if [slo.name for slo in before.slos] != [slo.name for slo in status.slos] or not status.slos:
        return status
    reread = all(slo.reason == DecisionReason.BACKFILLING for slo in status.slos)
    seconds = situation.terms.block_seconds
    young = just_took_over(status.stable, seconds, now=situation.now)
    if not (reread or (young and is_unread(before) and is_unread(status))):
        return status
    known = {"slos": before.slos, "state": before.state, "diagnosis": before.diagnosis}
    return status.model_copy(update=known)


def due(
    before: DataProductStatus,
    after: DataProductStatus,
    *,
    now: datetime,
    refresh_seconds: float,
    verified_seconds: float = VERIFIED_SECONDS,
) -> DataProductStatus:
    """The status to write: `after`, or `before` when what is new can wait.

    Numbers wait for `refresh_seconds`. That a share is verified waits a moment for the next act,
    which is written anyway: so each step of a rollout costs one write.

    Parameters
    ----------
    refresh_seconds : how old numbers may get; 0 for until the next decision.
    verified_seconds : for how long a verified share may wait.
    """
    same = same_meaning(before, after)
    if not same and after.candidate is not None and after.traffic is not None:
        young = (now - after.traffic.since).total_seconds() < verified_seconds
        if young and _only_verified(before, after):
            return before
    return with_fresh_numbers(before, after, now=now, refresh_seconds=refresh_seconds, same=same)


def verified_seconds(situation: Situation) -> float:
    """For how long the news that a share is verified may wait."""
    return max(VERIFIED_SECONDS, VERIFIED_BLOCKS * situation.observed.canary_block_seconds)


def _only_verified(before: DataProductStatus, after: DataProductStatus) -> bool:
    if before.traffic is None or after.traffic is None:
        return False
    kind = Type.TRAFFIC_SPLIT_VERIFIED
    others = [one for one in after.conditions if one.type != kind]
    known = find_condition(before.conditions, kind)
    kept = {one.type: one for one in (*others, *([known] if known else []))}
    unverified = after.model_copy(
        update={
            "traffic": after.traffic.model_copy(
                update={"level": before.traffic.level, "accepted_at": before.traffic.accepted_at}
            ),
            "conditions": tuple(kept[one.type] for one in after.conditions if one.type in kept),
        }
    )
    return same_meaning(before, unverified)


def summary(situation: Situation, status: DataProductStatus) -> Summary:
    """The words of `kubectl get`."""
    candidate = status.candidate
    canary = ""
    if candidate is not None and status.stable is not None:
        canary = candidate.version
        canary += f"@{candidate.weight}" if candidate.weight else f" {candidate.phase}"
    return Summary(
        slo=_worst(status),
        model=status.stable.version if status.stable else "",
        canary=canary,
        markets=",".join(situation.product.spec.markets),
    )


def _worst(status: DataProductStatus) -> str:
    if not status.slos:
        return "-"
    worst = max(status.slos, key=lambda slo: _WORSE[slo.state])
    return "OK" if worst.state is SloState.OK else f"{worst.name} {worst.state}"


# ---- conditions -----------------------------------------------------------------------------
def _findings(situation: Situation, status: DataProductStatus, layout: Layout) -> Iterator[Finding]:
    yield _ready(situation, status, layout)
    yield _stalled(situation, status)
    if status.stable is None and status.candidate and not _first_has_failed(situation, status):
        yield Finding(Type.RECONCILING, "True", Reason.PROGRESSING, "the first version is starting")
    yield _degraded(status)
    yield _slo_met(situation, status)
    yield _measured(situation, status)
    yield _retraining(status)
    yield _rollout(situation, status)
    yield _split(situation, status)
    yield _dependencies(situation)
    yield _pinned(situation)


def _ready(situation: Situation, status: DataProductStatus, layout: Layout) -> Finding:
    if situation.conflict:
        reason = Reason.ROUTE_CONFLICT if situation.route_conflict else Reason.NAME_CONFLICT
        return Finding(Type.READY, "False", reason, situation.conflict)
    stable = status.stable
    if stable is None:
        return _first_ready(situation, status)
    live = situation.live.get(stable.revision)
    ready, wanted = (live.ready if live else 0), layout.replicas(stable.revision)
    if ready == 0:
        text = f"{stable.version}: none of {wanted} pods is ready. {_trouble(situation, stable.revision)}"
        return Finding(Type.READY, "False", Reason.PODS_NOT_READY, text.strip())
    if situation.product.spec.route is not None and status.candidate is None:
        split = situation.split
        if split is not None and split.level < Level.ACCEPTED:
            return Finding(Type.READY, "False", Reason.ROUTE_NOT_ACCEPTED, split.message)
    return Finding(Type.READY, "True", Reason.SERVING, f"{stable.version} serves")


def _first_ready(situation: Situation, status: DataProductStatus) -> Finding:
    """Why no version serves yet."""
    candidate = status.candidate
    if candidate is None:
        text = "spec.suspend is set, so no version is started"
        return Finding(Type.READY, "False", Reason.SUSPENDED, text)
    text = _trouble(situation, candidate.revision)
    if _first_has_failed(situation, status):
        return Finding(Type.READY, "False", Reason.INITIAL_VERSION_FAILED, text)
    return Finding(Type.READY, "False", Reason.PROGRESSING, text or "no version serves yet")


def _trouble(situation: Situation, revision: str) -> str:
    pod = trouble_of(of_revision(situation.pods, revision))
    return pod.trouble if pod else ""


def _first_has_failed(situation: Situation, status: DataProductStatus) -> bool:
    candidate = status.candidate
    if status.stable is not None or candidate is None:
        return False
    pod = trouble_of(of_revision(situation.pods, candidate.revision))
    waited = situation.now - candidate.since.timestamp()
    deadline = situation.product.spec.serving.progress_deadline_seconds
    return (pod is not None and pod.hopeless) or waited > deadline


def _stalled(situation: Situation, status: DataProductStatus) -> Finding:
    if _first_has_failed(situation, status):
        assert status.candidate is not None
        text = _trouble(situation, status.candidate.revision) or "its pods don't become ready"
        pod = trouble_of(of_revision(situation.pods, status.candidate.revision))
        reason = Reason.RUNTIME_MISMATCH if pod and pod.mismatch else Reason.INITIAL_VERSION_FAILED
        return Finding(
            Type.STALLED, "True", reason, f"{status.candidate.version}: {text}; correct spec.model"
        )
    if situation.stalled is not None:
        return situation.stalled
    model = status.spec_model
    chosen = DecisionReason.ROLLBACK_REQUESTED  # a person took the version that serves
    if model and model.outcome is SpecModelOutcome.REJECTED and model.reason != chosen:
        text = (
            f"{model.version} was rejected ({model.reason or 'see status.history'}); stable serves"
            " on. Change spec.model, or ask for another try by sluicegate.dev/promote"
        )
        return Finding(Type.STALLED, "True", Reason.MODEL_REJECTED, text)
    return Finding(Type.STALLED, "False", Reason.SERVING)


def _degraded(status: DataProductStatus) -> Finding:
    match status.state:
        case ProductState.DEGRADED:
            cause = status.diagnosis.cause if status.diagnosis else Reason.OBJECTIVE_MISSED
            return Finding(Type.DEGRADED, "True", cause, _sentences(status, degraded=True))
        case ProductState.HEALTHY | ProductState.DEGRADING:
            return Finding(Type.DEGRADED, "False", Reason.NOT_DEGRADED)
        case _:
            return Finding(Type.DEGRADED, "Unknown", _why_unknown(status), _sentences(status))


def _why_unknown(status: DataProductStatus) -> str:
    unknown = [slo.reason for slo in status.slos if slo.state is SloState.UNKNOWN]
    return unknown[0] if unknown else Reason.NOT_YET_OBSERVED


def _sentences(status: DataProductStatus, *, degraded: bool = False) -> str:
    shown = [slo.message for slo in status.slos if slo.message and (slo.degraded or not degraded)]
    return "; ".join(shown)


def _unjudged(situation: Situation, kind: Type) -> Finding:
    """What to say of service levels while none was judged: there are none, or nothing serves yet."""
    if situation.product.spec.slos:
        return Finding(kind, "Unknown", Reason.NOT_YET_OBSERVED, "no version was judged yet")
    return Finding(kind, "Unknown", Reason.NO_SLOS, "spec.slos is empty")


def _slo_met(situation: Situation, status: DataProductStatus) -> Finding:
    if not status.slos:
        return _unjudged(situation, Type.SLO_MET)
    bad = [slo for slo in status.slos if slo.state is SloState.BAD or slo.degraded]
    if bad:
        text = "; ".join(slo.message for slo in bad)
        return Finding(Type.SLO_MET, "False", bad[0].reason or Reason.OBJECTIVE_MISSED, text)
    unknown = [slo.message for slo in status.slos if slo.state is SloState.UNKNOWN]
    if unknown:
        return Finding(Type.SLO_MET, "Unknown", _why_unknown(status), "; ".join(unknown))
    return Finding(Type.SLO_MET, "True", Reason.ALL_MET)


def _measured(situation: Situation, status: DataProductStatus) -> Finding:
    if not status.slos:
        return _unjudged(situation, Type.METRICS_AVAILABLE)
    unknown = [slo for slo in status.slos if slo.state is SloState.UNKNOWN]
    if len(unknown) == len(status.slos):
        return Finding(
            Type.METRICS_AVAILABLE, "False", unknown[0].reason or Reason.NO_DATA, unknown[0].message
        )
    text = "; ".join(slo.message for slo in unknown)
    return Finding(Type.METRICS_AVAILABLE, "True", Reason.MEASURED, text)


def _retraining(status: DataProductStatus) -> Finding:
    one = status.retraining
    if one is not None and one.trigger is not None:
        text = (
            f"attempt {one.attempt} for {one.trigger.slo or 'a person'}, from {one.trigger.version}"
        )
        return Finding(Type.RETRAINING_ACTIVE, "True", Reason.TRAINING, text)
    if one is not None and one.last_reason:
        text = f"the last attempt ended with {one.last_reason}"
        return Finding(Type.RETRAINING_ACTIVE, "False", Reason.IDLE, text)
    return Finding(Type.RETRAINING_ACTIVE, "False", Reason.IDLE)


def _rollout(situation: Situation, status: DataProductStatus) -> Finding:
    candidate = status.candidate
    kind = Type.ROLLOUT_PROGRESSING
    if candidate is None or status.stable is None or candidate.phase is CandidatePhase.PARKED:
        return _no_rollout(status)
    if situation.is_frozen(status):
        return Finding(kind, "False", Reason.SUSPENDED, "spec.suspend is set")
    trouble = _trouble(situation, candidate.revision)
    text = f"{candidate.version} at {candidate.weight} %. {trouble}".strip()
    return Finding(kind, "True", str(candidate.phase), text)


def _no_rollout(status: DataProductStatus) -> Finding:
    kind, last = Type.ROLLOUT_PROGRESSING, next(iter(status.history), None)
    if last is not None and last.fate is Fate.FAILED and status.stable is not None:
        text = (
            f"{last.version} was to come back and didn't come up ({last.reason});"
            f" {status.stable.version} serves on"
        )
        return Finding(kind, "False", Reason.RETURN_FAILED, text)
    return Finding(kind, "False", Reason.ON_PROBATION if status.probation else Reason.NO_ROLLOUT)


def _split(situation: Situation, status: DataProductStatus) -> Finding:
    kind, split = Type.TRAFFIC_SPLIT_VERIFIED, situation.split
    if status.stable is None or (situation.product.spec.route is None and not status.candidate):
        return Finding(kind, "Unknown", Reason.NO_SPLIT)
    if situation.product.spec.route is None:
        text = "there is no spec.route: pods behind one Service split the traffic approximately"
        return Finding(kind, "Unknown", Reason.APPROXIMATE, text)
    if split is None:
        return Finding(kind, "Unknown", Reason.NO_SPLIT)
    match split.level:
        case Level.OBSERVED:
            return Finding(kind, "True", Reason.OBSERVED, split.message)
        case Level.ACCEPTED:
            return Finding(kind, "True", Reason.ACCEPTED, split.message)
        case _:
            return Finding(kind, "False", Reason.WRITTEN, split.message)


def _dependencies(situation: Situation) -> Finding:
    kind, found = Type.DEPENDENCIES_HEALTHY, situation.dependencies
    if not found:
        return Finding(kind, "Unknown", Reason.NO_DEPENDENCIES)
    degraded = [one for one in found if one.state is DependencyState.DEGRADED]
    if degraded:
        text = ", ".join(f"{one.namespace}/{one.name} is degraded" for one in degraded)
        return Finding(kind, "False", Reason.DEPENDENCY_DEGRADED, text)
    unclear = [one for one in found if one.state is not DependencyState.HEALTHY]
    if unclear:
        text = ", ".join(f"{one.namespace}/{one.name}: {one.state}" for one in unclear)
        return Finding(kind, "Unknown", Reason.DEPENDENCY_UNKNOWN, text)
    return Finding(kind, "True", Reason.ALL_HEALTHY)


def _pinned(situation: Situation) -> Finding:
    image = situation.wanted.runtime_image
    if "@sha256:" in image:
        return Finding(Type.RUNTIME_PINNED, "True", Reason.PINNED_BY_DIGEST)
    text = f"serving.runtimeImage {image} is named by a tag, which can change: name it by digest"
    return Finding(Type.RUNTIME_PINNED, "False", Reason.NAMED_BY_TAG, text)
