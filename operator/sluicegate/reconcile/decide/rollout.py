"""Continues a rollout from the observation: pods first, then weight, then verification, then the next share.

A decision says where to go; this says how far one may go now. Each function takes a status and
gives the next, so a restart continues from what was written. Nothing here weighs evidence or
rolls back: the decision gets the obstacles of a candidate (policy/rollout/setbacks.py). A decision
is remembered when the traffic has followed.
"""

from dataclasses import replace
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, DecisionReason, DecisionType
from sluicegate.api.rollout import Capacity
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import FULL_WEIGHT, Candidate, CandidatePhase
from sluicegate.manifests.pod import grace_seconds
from sluicegate.policy.model.attended_time import attended_seconds, seconds_without, with_absences
from sluicegate.policy.model.decision import ENDED_BY_FAULTS, Inconclusive, Promote, Rollback
from sluicegate.policy.model.observed import Failure, RolloutProgress
from sluicegate.policy.rollout.api_gate import comparison_of, take_share, with_statements
from sluicegate.policy.rollout.outcome import complete_decision, with_ended_shares
from sluicegate.reconcile.decide.events import EventNote, decision_status
from sluicegate.reconcile.decide.layout import (
    FOLLOW_SECONDS,
    allocation,
    is_before_share,
    is_route_gone,
    preview_end_time,
    return_seconds,
)
from sluicegate.reconcile.live.failure_attribution import GRACE_SECONDS, attribution_of
from sluicegate.reconcile.live.pods import pods_of_revision, problem_of
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import share_in_force, target_weight
from sluicegate.reconcile.traffic.split_verification import VerificationLevel, is_drained
from sluicegate.views.numbers import duration

DRAIN_SECONDS: Final = 600
"""Pods whose requests can't be counted go so long after the last of the traffic did, at the latest."""


# ---- how far the cluster has followed -------------------------------------------------------
def progress_of(observation: Observation, status: DataProductStatus) -> RolloutProgress | None:
    """Compute how far the cluster has followed the decision; None without a candidate."""
    candidate, stable, now = status.candidate, status.stable, observation.now
    if candidate is None:
        return None
    frozen = observation.is_frozen(status)
    weight = target_weight(observation.product.spec, candidate)
    promoting = candidate.phase is CandidatePhase.PROMOTING
    pod = problem_of(pods_of_revision(observation.pods, candidate.revision))
    split = observation.split
    weights_in_force = split is None or (_is_accepted(observation) and not split.mismatched)
    ready_pods = _ready(observation, candidate.revision)
    is_previewed = ready_pods > 0 and is_before_share(observation, status)
    desired_weight = FULL_WEIGHT if promoting else weight
    waits_since = _waits_since(observation, status, candidate)
    return replace(
        _WAITING if frozen else _next_progress(observation, status, candidate),
        frozen=frozen,
        wants_share=candidate.weight != desired_weight and not is_previewed,
        waited_seconds=attended_seconds(status, waits_since, now),
        deadline=observation.product.spec.serving.progress_deadline_seconds,
        problem=None if pod is None else Failure(pod.reason, pod.problem),
        unrecoverable=pod is not None and pod.unrecoverable,
        attribution=_attribution(observation, status, candidate),
        serves=ready_pods > 0,
        stable_serves=stable is not None and _ready(observation, stable.revision) > 0,
        given_since=attended_seconds(status, _changed_at(candidate), now),
        not_followed="" if weights_in_force or split is None else split.message,
        committed=observation.committed,
    )


def _waits_since(observation: Observation, status: DataProductStatus, candidate: Candidate) -> int:
    """Return when the deadline of the candidate's pods began, in seconds.

    Pods that were ready in the time of previews have their deadline from their loss, or from its end.
    """
    attempt_start = max(candidate.wait_start_time or candidate.start_time, observation.term)
    live, end_time = observation.live.get(candidate.revision), preview_end_time(observation, status)
    if live is None or end_time is None:
        return attempt_start
    return max(attempt_start, live.unavailable_since or min(end_time, observation.now))


_WAITING: Final = RolloutProgress()
_COMPLETED: Final = RolloutProgress(completed=True)


def _next_progress(
    observation: Observation, status: DataProductStatus, candidate: Candidate
) -> RolloutProgress:
    """Return the next possible step of the rollout: the share that pods are ready for, or its end."""
    layout, share = allocation(observation, status), None
    ready = _is_ready(observation, candidate, layout.needed)
    if status.stable is None:  # it takes everything once it is ready, whatever its phase is called
        return _COMPLETED if ready else _WAITING
    match candidate.phase:
        case CandidatePhase.STARTING | CandidatePhase.STEPPING | CandidatePhase.AWAITING_APPROVAL:
            weight = target_weight(observation.product.spec, candidate)
            is_due = weight != candidate.weight and not is_before_share(observation, status)
            share = layout.part or weight if is_due else None
        case CandidatePhase.PROMOTING if candidate.weight == FULL_WEIGHT:
            return _promotion_progress(
                observation, status, candidate, stable=status.stable.revision
            )
        case CandidatePhase.PROMOTING:
            share = layout.part or FULL_WEIGHT
        case CandidatePhase.ROLLING_BACK:
            return _rollback_progress(observation, status, candidate)
        case CandidatePhase.PARKED:
            pass
    return RolloutProgress(share=share if ready else None)


def _promotion_progress(
    observation: Observation, status: DataProductStatus, candidate: Candidate, *, stable: str
) -> RolloutProgress:
    """Return the progress of a promotion, which ends once stable's pods are unreachable."""
    serves = _ready(observation, candidate.revision) > 0
    all_unreachable = _reachable(observation, status, candidate, stable) == 0 and serves
    if not _is_accepted(observation):
        return _WAITING
    if is_drained(observation.requests, stable=True, pods=0 if all_unreachable else 1):
        return _COMPLETED
    return _is_drained(observation, status, candidate) if serves else _WAITING


def _rollback_progress(
    observation: Observation, status: DataProductStatus, candidate: Candidate
) -> RolloutProgress:
    """Return the progress of a rollback, which ends once the candidate's pods are unreachable."""
    if not candidate.shares:
        return _COMPLETED
    if candidate.returning:  # stable's pods for it aren't ready yet
        return _WAITING
    if not (_is_accepted(observation) and _attribution_is_complete(observation, candidate)):
        return _WAITING
    pods = _reachable(observation, status, candidate, candidate.revision)
    if is_drained(observation.requests, stable=False, pods=pods):
        return _COMPLETED
    return _is_drained(observation, status, candidate)


def _is_drained(
    observation: Observation, status: DataProductStatus, candidate: Candidate
) -> RolloutProgress:
    """Return whether the drained version receives no request and its longest request has ended.

    What can't be counted (no measurements, a crash loop, pods scraped twice) ends no phase
    otherwise. An absence gives the Gateways and the counts no time in which they could be observed.
    """
    moved_at = round(_moved_at(observation, status, candidate))
    waited_seconds = seconds_without(observation.observed.absences, moved_at, observation.now)
    longest_seconds = max(DRAIN_SECONDS, 2 * grace_seconds(observation.product))
    if candidate.phase is CandidatePhase.ROLLING_BACK:
        longest_seconds += return_seconds(observation.product, candidate)
    late = waited_seconds > longest_seconds
    return RolloutProgress(completed=True, uncounted_seconds=waited_seconds) if late else _WAITING


def _ready(observation: Observation, revision: str) -> int:
    """Return the number of ready pods of a version."""
    live = observation.live.get(revision)
    return 0 if live is None else live.ready


def _is_ready(observation: Observation, candidate: Candidate, needed: int) -> bool:
    live = observation.live.get(candidate.revision)
    return live is not None and live.current and live.ready >= max(needed, 1)


def _is_accepted(observation: Observation) -> bool:
    """Return whether the live route has the present weights and each Gateway accepted it."""
    if observation.split is None:
        return is_route_gone(observation)
    return observation.split.level >= VerificationLevel.ACCEPTED


def _attribution_is_complete(observation: Observation, candidate: Candidate) -> bool:
    """Return whether the pods' reports suffice to attribute that no pod was ready."""
    since = candidate.wait_start_time
    if candidate.decision_reason != DecisionReason.INFRASTRUCTURE or since is None:
        return True
    return observation.now - since >= GRACE_SECONDS


def _reachable(
    observation: Observation, status: DataProductStatus, candidate: Candidate, revision: str
) -> int:
    """Return the pods of a version without share that a request may still reach."""
    live = observation.live.get(revision)
    if live is None:
        return 0
    moved_long_ago = observation.now - _moved_at(observation, status, candidate) >= FOLLOW_SECONDS
    return live.ready if moved_long_ago else max(live.ready, live.replicas)


def _moved_at(observation: Observation, status: DataProductStatus, candidate: Candidate) -> float:
    """Return when the weights in force were decided or written, whichever is later, in seconds.

    The API server may refuse the route for long after they were decided, so its own record of the
    last change counts too.
    """
    changed, traffic, route = _changed_at(candidate), status.traffic, observation.route
    if traffic is None or traffic.weight != share_in_force(candidate):
        return changed
    route_changed_at = 0 if route is None else route.changed_by(observation.now)
    return max(changed, traffic.write_time, route_changed_at)


def _changed_at(candidate: Candidate) -> int:
    """Return when the candidate's share was last changed, in seconds."""
    change_times = [share.start_time for share in candidate.shares[-1:]]
    change_times += [candidate.wait_start_time] if candidate.wait_start_time is not None else []
    return max(change_times, default=0)


def _attribution(
    observation: Observation, status: DataProductStatus, candidate: Candidate
) -> Failure | None:
    """Return the cause if no pod of a candidate is ready; None for a first version."""
    if status.stable is None:
        return None
    live = observation.live.get(candidate.revision)
    waits_since = _waits_since(observation, status, candidate)
    return attribution_of(
        live,
        pods_of_revision(observation.pods, candidate.revision),
        observation.live.get(status.stable.revision),
        grace_over=live is not None and observation.now - live.moved_at >= GRACE_SECONDS,
        overdue=attended_seconds(status, waits_since, observation.now)
        > observation.product.spec.serving.progress_deadline_seconds,
    )


# ---- what follows from it -------------------------------------------------------------------
def advance(
    observation: Observation, status: DataProductStatus, progress: RolloutProgress | None
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Compute the status as far as the cluster has followed, and the events to emit."""
    if progress is None or status.candidate is None:
        return status, ()
    if progress.completed:
        after, events = _completed(observation, status, progress)
        return after, (*_uncounted_drain(observation, status, progress), *events)
    after = take_share(status, observation.observed, progress.share, observation.now)
    if after is status or after.candidate is None:
        return status, ()
    if _is_part_of_promotion(observation, after.candidate):
        after = after.with_candidate(target=FULL_WEIGHT)
    candidate = after.candidate
    assert candidate is not None
    text = f"{candidate.version} takes {candidate.weight} % of the traffic"
    if candidate.weight < FULL_WEIGHT and status.decision is not None:
        text = f"{text}. {status.decision.message}"
    text += comparison_of(after)
    event_is_quiet = candidate.weight == FULL_WEIGHT or candidate.has_part
    return after, (
        EventNote(
            EventReason.CANARY_WEIGHT_INCREASED, "ShiftTraffic", text, log_only=event_is_quiet
        ),
    )


def _is_part_of_promotion(observation: Observation, candidate: Candidate) -> bool:
    """Return whether a share is one of the parts in which versions that exchange pods reach 100 %.

    Without a route, a promotion of the others takes one share before it, which is announced.
    """
    is_exchanged = observation.product.spec.rollout.capacity is Capacity.REPLACE
    return is_exchanged and candidate.phase is CandidatePhase.PROMOTING


def _uncounted_drain(
    observation: Observation, status: DataProductStatus, progress: RolloutProgress
) -> tuple[EventNote, ...]:
    """Return the event about removed pods whose requests couldn't be counted."""
    candidate, stable, seconds = status.candidate, status.stable, progress.uncounted_seconds
    if not seconds or candidate is None or stable is None:
        return ()
    drained_version = stable if candidate.phase is CandidatePhase.PROMOTING else candidate
    clause = f" ({observation.observed.problem})" if observation.observed.problem else ""
    text = (
        f"{drained_version.version} has had no share of the traffic for {duration(seconds)}, so its pods"
        f" are removed although its requests can't be counted{clause}"
    )
    return (EventNote(EventReason.DRAIN_NOT_COUNTED, "ScaleDown", text, warning=True),)


def _completed(
    observation: Observation, status: DataProductStatus, progress: RolloutProgress
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status after a completed promotion or rollback, with its history entry."""
    candidate = status.candidate
    assert candidate is not None
    status = with_statements(status, observation.observed)
    after, decision = complete_decision(
        observation.terms, status, progress.attribution, observation.now
    )
    if observation.dependents and isinstance(decision, Promote) and after.stable is not None:
        # A dependent that became worse shows by these whether it follows the release.
        after = after.replace(stable=after.stable.replace(shares=candidate.shares))
    elif observation.dependents and after.history and decision is not None:
        after = with_ended_shares(after, candidate, observation.now)
    if status.stable is None:
        event = EventNote(ConditionReason.SERVING, "Serve", f"{candidate.version} serves")
        return after, (event,)
    if decision is None:
        return after, ()
    if candidate.phase is CandidatePhase.PROMOTING or isinstance(decision, Promote):
        return after, (_serves_all(candidate),)
    if decision.reason in ENDED_BY_FAULTS:
        return _waiting(observation, after, decision)
    return _with_corrected_cause(observation, after, decision)


def _with_corrected_cause(
    observation: Observation, after: DataProductStatus, decision: Rollback | Inconclusive
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status and the event of a rollback whose cause was found after its traffic began to return."""
    decision_before = after.decision
    if decision.reason is DecisionReason.SUPERSEDED:
        return _superseded(observation, after, decision)
    if (
        decision_before is None
        or decision_before.reason == decision.reason
        or decision_before.reason not in ENDED_BY_FAULTS
    ):
        return after, ()
    name = after.history[0].version
    text = f"{name} is rejected: {decision.message}; its traffic has returned to stable"
    corrected_decision = decision_status(decision.type, decision.reason, text, now=observation.now)
    event = EventNote(str(decision.reason), str(decision.type), text, warning=True)
    return after.replace(decision=corrected_decision), (event,)


def _superseded(
    observation: Observation, after: DataProductStatus, decision: Rollback | Inconclusive
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status and the event of a superseded candidate whose successor is no longer in the spec."""
    decision_before, stable, desired = after.decision, after.stable, observation.desired.release
    starts_another = (
        decision_before is not None and decision_before.type == DecisionType.START_ROLLOUT
    )
    if not starts_another or stable is None or desired != stable.release:
        return after, ()
    text = (
        f"spec.model names {stable.version}, which is stable: {after.history[0].version} is"
        " superseded, and no other version begins"
    )
    decision_shown = decision_status(decision.type, decision.reason, text, now=observation.now)
    event = EventNote(str(decision.reason), str(decision.type), text, warning=True)
    return after.replace(decision=decision_shown), (event,)


def _serves_all(candidate: Candidate) -> EventNote:
    if candidate.restoring:
        return EventNote(
            EventReason.ROLLED_BACK, "RollBack", f"{candidate.version} serves all traffic again"
        )
    text = f"{candidate.version} serves all traffic"
    if candidate.decision_message:
        text = f"{text}. {candidate.decision_message}"
    return EventNote(EventReason.PROMOTED, "Promote", text)


def _waiting(
    observation: Observation, after: DataProductStatus, decision: Rollback | Inconclusive
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return a rollout that a fault ended in its waiting state: without verdict or history entry, until its retry."""
    waiting = after.candidate
    assert waiting is not None
    assert waiting.retry_time is not None
    text = (
        f"{waiting.version}: {decision.message}. This is no fault of the model: the rollout is retried"
        f" at {rfc3339(waiting.retry_time)[11:19]} UTC at the earliest"
    )
    if decision.reason is DecisionReason.NO_TRAFFIC:
        text += ", once requests come"
    event = EventNote(EventReason.ROLLOUT_WAITS, "Retry", text, warning=True)
    waiting_decision = decision_status(
        DecisionType.INCONCLUSIVE, decision.reason, text, now=observation.now
    )
    return after.replace(decision=waiting_decision), (event,)


# ---- time that counts against no deadline -----------------------------------------------------
def with_time_held(observation: Observation) -> DataProductStatus:
    """Return the status with the seconds during which the candidate was suspended or not observed."""
    absences, now = observation.observed.absences, observation.now
    status = with_absences(observation.product.status, absences, now)
    candidate = status.candidate
    if candidate is None or candidate.phase is CandidatePhase.PARKED:
        return status
    if observation.is_frozen(status):
        return _with_suspension(status, candidate.suspend_time or now)
    return status if candidate.suspend_time is None else _resumed(status, now)


def _with_suspension(status: DataProductStatus, since: int) -> DataProductStatus:
    """Return the status of a candidate that spec.suspend holds; `since` in seconds."""
    return status.with_candidate(suspend_time=since)


def _resumed(status: DataProductStatus, now: int) -> DataProductStatus:
    """Return the status of a resumed candidate; `now` in seconds. Its pods' deadline starts again."""
    candidate = status.candidate
    assert candidate is not None
    assert candidate.suspend_time is not None
    suspended_seconds = attended_seconds(status, candidate.suspend_time, now)
    return status.with_candidate(
        suspend_time=None,
        suspended_seconds=candidate.suspended_seconds + max(suspended_seconds, 0),
        wait_start_time=now,
    )
