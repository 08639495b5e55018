"""Replay a scenario: what would have been decided, block by block, had this been the history.

The very functions that the operator calls are called here, with inputs that are built by the same
rules; only the world is another. Actions take effect at once, and a version's counts are what the
file says, whatever share it was given.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.canary.analysis import began
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.model.container_limits import at_limit
from sluicegate.policy.model.decision import Alert, Hold, Retrain, StartRollout
from sluicegate.policy.model.inputs import Surroundings, measured, observed
from sluicegate.policy.model.observed import (
    ALONE,
    Facts,
    Observed,
    TrainingFailed,
    TrainingResult,
    TrainingSucceeded,
)
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.policy.rollout.transitions import apply_decision, with_share
from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.simulation.followed_history import FollowedHistory
from sluicegate.simulation.replay_blocks import ReplayBlocks, ReplayedProduct
from sluicegate.simulation.replay_scenario import (
    Event,
    FactsChange,
    ModelChanged,
    Promoted,
    ReplayBlock,
    ReplayScenario,
    Retrained,
    RetrainingFailed,
)
from sluicegate.stats.counts import Count

SUPERSEDED_TRAINING = "superseded"


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One evaluation: what was found and decided, and how things are after it."""

    at: int
    evaluation: Evaluation
    status: DataProductStatus


def replay(
    scenario: ReplayScenario,
    restart: Callable[[DataProductStatus], DataProductStatus] = lambda status: status,
) -> Iterator[ReplayStep]:
    """Evaluate after each block of the scenario.

    Parameters
    ----------
    restart : what becomes of status between two evaluations; a test writes it down and reads it
        back here.
    """
    running = Replay(scenario)
    for block in scenario.blocks:
        running.status = restart(running.status)
        yield running.advance(block)


@dataclass(slots=True)
class _Happened:
    """What has happened and isn't dealt with yet, or holds until it is said otherwise."""

    wanted: Release | None
    wanted_evaluation: Mapping[str, Count]
    results: deque[Retrained | RetrainingFailed] = field(default_factory=deque)
    facts: FactsChange = field(default_factory=FactsChange)
    since: dict[str, int] = field(default_factory=dict)
    """Since when each fact is true, in seconds."""


class Replay:
    """A replay that continues block by block.

    Everything around the decisions is here: series that grow, events that come, versions that train.

    Parameters
    ----------
    follows : versions are promoted when they were promoted in the history, if it says when. Else
        they are as it is decided here: what is replaced too late, or not at all, has no events any
        more, and nothing is found in the rest of the history.
    """

    def __init__(self, scenario: ReplayScenario, *, follows: bool = False) -> None:
        promotes = any(isinstance(event, Promoted) for _, event in scenario.events)
        self._follows = follows and promotes
        self._read_seconds = scenario.read_seconds
        self._product = scenario.product
        self.terms = terms_of(scenario.product)
        stable = Release(scenario.version)
        self.status = _initial(self.terms, stable, scenario)
        self._facts, self._events = deque(scenario.facts), deque(scenario.events)
        self._happened = _Happened(None if self._follows else stable, scenario.accepted)
        self._history = FollowedHistory(self.terms)
        counted = tuple(slo.name for slo in self.terms.slos if slo.gauge is None)
        self._blocks = ReplayBlocks.of(counted, self.terms.block_seconds, scenario.blocks)
        self._orphan: Release | None = None

    def advance(self, block: ReplayBlock) -> ReplayStep:
        """One block: let happen what is due, read, evaluate, act."""
        now = self.take_in(block)
        before = self.status
        evaluation = evaluate(self.terms, before, self.observed(now), now)
        if evaluation.training_taken_up:
            self._happened.results.popleft()
            self._orphan = None
        self.status = self._carry_out(evaluation, now)
        self._find_orphan(before, evaluation)
        return ReplayStep(block.at, evaluation, self.status)

    def take_in(self, block: ReplayBlock) -> int:
        """Let happen what is due, and read the block; when it is evaluated, in seconds."""
        self._let_happen(block.at)
        self._end_follow_up(block.at)
        self._blocks.record(block, self.status)
        return block.at + self._read_seconds

    def observed(self, now: int) -> Observed:
        """What a decision at `now`, in seconds, is made from.

        Of the surroundings, a file says what trainings report, what spec.model names, and some
        facts. A product is alone, decisions take effect at once, so no rollout waits for pods or
        traffic, and there are no requests of people.
        """
        happened = self._happened
        kept = ReplayedProduct(self._blocks, self.status)
        return observed(
            measured(self._product.spec, self.status, kept, now),
            Surroundings(
                wanted=happened.wanted,
                withheld="",
                wanted_evaluation=happened.wanted_evaluation,
                training=self._training(),
                shadow=None,
                facts=self._stated(),
                rollout=None,
                portfolio=ALONE,
                requests=(),
                absences=(),
                term=0,
            ),
        )

    def expect(self, events: Iterable[tuple[int, Event]]) -> None:
        """Add events that are still to come, each with the second from which it holds."""
        self._events = deque(sorted((*self._events, *events), key=lambda event: event[0]))

    # ---- what happens -------------------------------------------------------------------
    def _let_happen(self, now: int) -> None:
        while self._facts and self._facts[0][0] <= now:
            at, change = self._facts.popleft()
            self._change_facts(at, change)
        while self._events and self._events[0][0] <= now:
            at, event = self._events.popleft()
            if self._follows:
                self.status = self._history.after(self.status, event, at)
            else:
                self._happen(event)

    def _end_follow_up(self, now: int) -> None:
        """End a follow-up without a version where the file has no result of it in its time.

        A file has the versions that were served, and few follow-ups lead to one. Its time is that of
        the training before it.
        """
        running = self.status.training
        if running is None or running.cause != Reason.FOLLOW_UP or self._happened.results:
            return
        assert self.status.retraining is not None
        usual = self.status.retraining.last_duration_seconds or 0
        lasts = max(usual, self.terms.block_seconds)
        if now - running.trigger_time > lasts:
            self.status = self.status.with_retraining(
                trigger=None, last_reason=str(Reason.NOT_SHOWN_BETTER)
            )

    def _change_facts(self, at: int, change: FactsChange) -> None:
        since, before = self._happened.since, self._happened.facts
        self._happened.facts = before.changed(change)
        for name, fact in self._happened.facts.items():
            if not fact:
                since.pop(name, None)
            else:
                since.setdefault(name, at)

    def _happen(self, event: Event) -> None:
        """Hand an event to the decisions; one of a version that was promoted is what they lead to."""
        match event:
            case ModelChanged(version, evaluation):
                self._happened.wanted = Release(version)
                self._happened.wanted_evaluation = evaluation
            case Retrained() | RetrainingFailed():
                self._happened.results.append(event)
            case Promoted():
                pass

    def _stated(self) -> Facts:
        """What the cluster says, as the file states it; of what it doesn't state, what is usual.

        Containers are at no limit where the spec sets none. Where it sets one, that isn't known.
        """
        stated, since = self._happened.facts, self._happened.since
        unmeasured = at_limit(None, self._product.spec.serving.resources)
        cpu, memory = stated.cpu_throttled, stated.memory_pressure
        return Facts(
            upstream_degraded=stated.upstream_degraded or (),
            upstream_since=since.get("upstream_degraded"),
            pods_unhealthy=bool(stated.pods_unhealthy),
            stable_down=False,
            canary_unhealthy=bool(stated.canary_unhealthy) or self._fell_ill_in_canary(),
            canary_lost="",
            node_busy=bool(stated.node_busy),
            canary_node_busy=bool(stated.canary_node_busy),
            cpu_throttled=unmeasured.cpu if cpu is None else cpu,
            memory_pressure=unmeasured.memory if memory is None else memory,
            pods=1.0,
            split_verified=True,
            api_changes=None,
        )

    def _fell_ill_in_canary(self) -> bool:
        """Pods of which the file doesn't say whose they are, once a candidate takes traffic, are its own."""
        candidate, since = self.status.trial, self._happened.since.get("pods_unhealthy")
        if candidate is None or candidate.parked or since is None:
            return False
        return since > began(candidate)

    def _training(self) -> TrainingResult | None:
        """The result that waits, as the one of the training under way if there is one."""
        if not self._happened.results:
            return None
        running = self.status.training
        orphan = self._orphan if running is None else None
        trigger = running.id if running else SUPERSEDED_TRAINING if orphan else ""
        parent = self.status.parent if running else orphan
        stable = self.status.stable
        match self._happened.results[0]:
            case RetrainingFailed(message):
                return TrainingFailed(trigger, Reason.JOB_FAILED, message or "no message")
            case Retrained(version, evaluation, stable_evaluation, pairs):
                started_from = parent or (stable.release if stable else Release(""))
                return TrainingSucceeded(
                    trigger, started_from, Release(version), evaluation, stable_evaluation, pairs
                )

    # ---- what follows -------------------------------------------------------------------
    def _carry_out(self, evaluation: Evaluation, now: int) -> DataProductStatus:
        decision = evaluation.decision
        if self._follows and not isinstance(decision, Hold | Alert | Retrain):
            return evaluation.status
        status = apply_decision(self.terms, evaluation.status, decision, now)
        if isinstance(decision, StartRollout):
            assert status.candidate is not None
            status = status.replace(candidate=with_share(status.candidate, decision.weight, now))
        return status

    def _find_orphan(self, before: DataProductStatus, evaluation: Evaluation) -> None:
        """A training that was superseded may still report: its result is discarded."""
        ended = before.training is not None and self.status.training is None
        if ended and not evaluation.training_taken_up:
            self._orphan = before.parent


def _initial(terms: Terms, stable: Release, scenario: ReplayScenario) -> DataProductStatus:
    since = scenario.promotion_time
    baseline = from_evaluation(scenario.accepted, terms.slos, since) | dict(scenario.baselines)
    return DataProductStatus(
        stable=Version.of(stable, VersionSource.SPEC, promotion_time=since, baseline=baseline),
        spec_model=SpecModel.of(stable, Outcome.PROMOTED, since),
    )
