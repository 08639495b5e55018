"""What a decision leaves in memory once it has been carried out.

Kept apart from deciding: a replay carries a decision out at once, the operator over minutes, and
remembers it when traffic was seen to follow.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import SpecModelOutcome
from sluicegate.api.versions import VersionSource
from sluicegate.policy.model.decision import (
    NOT_ITS_DOING,
    Advance,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Retrain,
    Rollback,
    StartRollout,
)
from sluicegate.policy.model.history import kept
from sluicegate.policy.model.state import (
    Accepted,
    Baselines,
    Candidate,
    HandledModel,
    Memory,
    Probation,
    RetrainingMemory,
    SloMemory,
    Training,
    WeightChange,
    alert_key,
)
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import preconditions
from sluicegate.policy.slo_health.baseline import from_evaluation

FIRST_RETRY_SECONDS: Final = 60
LONGEST_RETRY_SECONDS: Final = 1800


def retry_seconds(retries: int) -> int:
    """How long a rollout waits that trouble of the cluster has ended so often before: 1, 2, 4 … 30 min."""
    return min(FIRST_RETRY_SECONDS << min(retries, 10), LONGEST_RETRY_SECONDS)


def act(terms: Terms, memory: Memory, decision: Decision, now: int) -> Memory:  # noqa: PLR0911 - one an outcome
    """Memory after a decision was carried out at `now`, in seconds.

    A rollout that starts has no share yet: `take_share` follows when the route is written.
    """
    match decision:
        case Hold():
            return memory
        case Alert():
            return _alert(memory, decision)
        case Retrain():
            return _retrain(memory, decision, now)
        case StartRollout():
            return _start(terms, memory, decision, now)
        case Advance():
            return take_share(memory, decision.weight, now)
        case Promote():
            return _promote(terms, memory, decision, now)
        case Rollback():
            return _roll_back(terms, memory, decision, now)
        case Inconclusive():
            return _park(terms, memory, decision.reason, now)
        case _:
            assert_never(decision)


def take_share(memory: Memory, weight: int, now: int) -> Memory:
    """The candidate has got this share of the traffic, in percent, at `now`."""
    assert memory.candidate is not None
    weights = (*memory.candidate.weights, WeightChange(now, weight))
    return replace(memory, candidate=replace(memory.candidate, weights=weights))


def _alert(memory: Memory, decision: Alert) -> Memory:
    if not decision.about:
        return memory
    key = alert_key(decision.reason, decision.about)
    return replace(memory, alerted=(*memory.alerted, key))


def _retrain(memory: Memory, decision: Retrain, now: int) -> Memory:
    training = Training(decision.trigger, decision.slo, decision.parent, decision.attempt, now)
    started = memory.retraining.started + 1
    return replace(
        memory, retraining=replace(memory.retraining, under_way=training, started=started)
    )


def _start(terms: Terms, memory: Memory, decision: StartRollout, now: int) -> Memory:
    candidate = Candidate(
        decision.candidate,
        decision.source,
        now,
        (),
        evaluation=decision.evaluation,
        trigger=decision.trigger,
        requested=terms.suspend,  # nothing else starts one then
    )
    before = memory.candidate
    if before is not None and before.release == decision.candidate:
        candidate = replace(candidate, retries=before.retries, changes_api=before.changes_api)
    model = memory.model
    if decision.source is VersionSource.SPEC:
        handled = decision.handles or decision.candidate
        model = HandledModel(handled, SpecModelOutcome.IN_PROGRESS, now)
    return replace(memory, candidate=candidate, model=model, retraining=_training_over(memory, now))


def _training_over(memory: Memory, now: int) -> RetrainingMemory:
    """No training is under way any more, and none has failed."""
    running = memory.retraining.under_way
    if running is None:
        return memory.retraining
    return replace(memory.retraining, under_way=None, last_seconds=now - running.started_at)


def fresh_slos(terms: Terms, now: int) -> Mapping[str, SloMemory]:
    """What is remembered of each SLO when another version begins to serve: nothing yet."""
    return {
        slo.name: SloMemory(steady_since=now, since=now, terms_hash=slo.hash) for slo in terms.slos
    }


def _promote(terms: Terms, memory: Memory, decision: Promote, now: int) -> Memory:
    before, candidate = memory.stable, memory.candidate
    assert before is not None
    assert candidate is not None
    held = decision.held_against or before.baselines
    others = (one for one in memory.history if one.release != candidate.release)
    trained = replace(memory.retraining, under_way=None, failures=0)
    if candidate.source is VersionSource.RETRAINING:
        pause = preconditions.cooldown(terms, trained)
        trained = replace(trained, next_allowed_at=now + pause, last_reason=decision.reason)
    return replace(
        memory,
        stable=Accepted(
            candidate.release,
            now,
            candidate.source,
            from_evaluation(candidate.evaluation, terms.slos, now),
        ),
        candidate=None,
        history=kept((_replaced(memory, before, held), *others), terms.history_limit),
        original={**before.baselines, **memory.original},
        slos=fresh_slos(terms, now),
        retraining=trained,
        probation=Probation(before.release, held),
        model=_model(memory, candidate, SpecModelOutcome.PROMOTED, now),
        alerted=(),
    )


def _replaced(memory: Memory, before: Accepted, held: Baselines) -> Accepted:
    """The version that was replaced, with how it did at last: whoever would go back to it has to know."""
    worse = {
        name: one.count
        for name, one in held.items()
        if one != before.baselines.get(name) and one.count.total
    }
    degraded = tuple(sorted(name for name, slo in memory.slos.items() if slo.degraded))
    return replace(before, record=worse, degraded=degraded)


def _model(
    memory: Memory, candidate: Candidate, outcome: SpecModelOutcome, now: int
) -> HandledModel | None:
    """What became of spec.model, if it is this candidate."""
    if memory.model is None or candidate.source is not VersionSource.SPEC:
        return memory.model
    return replace(memory.model, outcome=outcome, at=now)


def _roll_back(terms: Terms, memory: Memory, decision: Rollback, now: int) -> Memory:
    if memory.candidate is not None and decision.leaving == memory.candidate.release:
        return _drop_candidate(terms, memory, decision.reason, now)
    return _return(terms, memory, decision, now)


def _drop_candidate(terms: Terms, memory: Memory, reason: Reason, now: int) -> Memory:
    candidate = memory.candidate
    assert candidate is not None
    superseded = reason is Reason.SUPERSEDED
    trained = memory.retraining
    if candidate.source is VersionSource.RETRAINING:
        trained = _after_candidate(terms, memory, reason, now, failed=not superseded)
    return replace(
        memory,
        candidate=None,
        model=_untried(memory, candidate)
        if superseded
        else _model(memory, candidate, SpecModelOutcome.REJECTED, now),
        retraining=trained,
    )


def _untried(memory: Memory, candidate: Candidate) -> HandledModel | None:
    """A spec.model that made way for something else isn't handled: if it is still named, it begins anew."""
    own = memory.model is not None and memory.model.release == candidate.release
    return None if own and candidate.source is VersionSource.SPEC else memory.model


def _after_candidate(
    terms: Terms, memory: Memory, reason: Reason, now: int, *, failed: bool
) -> RetrainingMemory:
    after = replace(
        memory.retraining,
        failures=memory.retraining.failures + int(failed),
        last_reason=reason,
    )
    if reason is Reason.SUPERSEDED:
        return after
    return replace(after, next_allowed_at=now + preconditions.cooldown(terms, after))


def _return(terms: Terms, memory: Memory, decision: Rollback, now: int) -> Memory:
    """The stable version goes, an earlier one comes back; a candidate on its way is dropped."""
    leaving = memory.stable
    assert leaving is not None
    entry = next(entry for entry in memory.history if entry.release == decision.to)
    others = tuple(other for other in memory.history if other.release != decision.to)
    back = replace(entry, promoted_at=now, returned=True, withdrawn=False, record={}, degraded=())
    trained = _training_over(memory, now)
    if leaving.source is VersionSource.RETRAINING:
        trained = replace(trained, failures=trained.failures + 1, last_reason=decision.reason)
        trained = replace(trained, next_allowed_at=now + preconditions.cooldown(terms, trained))
    model = memory.model
    if memory.candidate is not None and decision.reason is not Reason.ROLLBACK_REQUESTED:
        model = _untried(memory, memory.candidate)  # what it was tried against is gone
    if model is not None and model.release == leaving.release:
        model = replace(model, outcome=SpecModelOutcome.REJECTED, at=now)
    return replace(
        memory,
        stable=back,
        candidate=None,
        history=kept((replace(leaving, withdrawn=True), *others), terms.history_limit),
        slos=fresh_slos(terms, now),
        retraining=trained,
        probation=None,
        model=model,
        alerted=(),
    )


def _park(terms: Terms, memory: Memory, reason: Reason, now: int) -> Memory:
    candidate = memory.candidate
    assert candidate is not None
    if reason in NOT_ITS_DOING:
        waits = retry_seconds(candidate.retries)
        waiting = replace(
            candidate, parked=True, retry_at=now + waits, retries=candidate.retries + 1
        )
        return replace(memory, candidate=waiting)
    trained = memory.retraining
    if candidate.source is VersionSource.RETRAINING:
        trained = _after_candidate(terms, memory, reason, now, failed=False)
    return replace(
        memory,
        candidate=replace(candidate, parked=True),
        model=_model(memory, candidate, SpecModelOutcome.REJECTED, now),
        retraining=trained,
    )
