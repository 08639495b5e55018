"""Replay of a scenario: the decisions of the operator, block by block, on this history.

It calls the operator's own functions, with inputs that are built by the same rules; only the
environment differs. Actions take effect at once, and a version's counts are those of the file,
whatever its share.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.diagnosis.checks import diagnosis_status
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.model.container_limits import at_limit
from sluicegate.policy.model.decision import Alert, Hold, Retrain
from sluicegate.policy.model.inputs import Surroundings, observed, read_measurements
from sluicegate.policy.model.observed import (
    NO_OTHER_PRODUCTS,
    Facts,
    Observed,
    TrainingFailed,
    TrainingResult,
    TrainingSucceeded,
)
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.simulation.followed_history import FollowedHistory
from sluicegate.simulation.replay_blocks import ReplayBlocks, ReplayedProduct
from sluicegate.simulation.replay_consumers import ReplayConsumers
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
    """One evaluation: its results, its decision, and the status after it."""

    at: int
    evaluation: Evaluation
    status: DataProductStatus


def replay(
    scenario: ReplayScenario,
    restart: Callable[[DataProductStatus], DataProductStatus] = lambda status: status,
) -> Iterator[ReplayStep]:
    """Yield an evaluation after each block of the scenario.

    Parameters
    ----------
    restart : function applied to status between two evaluations; tests serialise and parse it.
    """
    running_replay = Replay(scenario)
    for block in scenario.blocks:
        running_replay.status = restart(running_replay.status)
        yield running_replay.advance(block)


@dataclass(slots=True)
class _Happened:
    """Events that are not applied yet, and facts that hold until another change."""

    spec_model: Release | None
    desired_evaluation: Mapping[str, Count]
    results: deque[Retrained | RetrainingFailed] = field(default_factory=deque)
    facts: FactsChange = field(default_factory=FactsChange)
    since: dict[str, int] = field(default_factory=dict)
    """Time since when each fact is true, in seconds."""


class Replay:
    """A replay that continues block by block.

    It simulates the environment of the decisions: series, events, trainings.

    Parameters
    ----------
    follows : versions are promoted at the times of the history, if it has them. Otherwise the
        replay decides: a version that it replaces too late, or not at all, has no events any more,
        and nothing is detected in the rest of the history.
    """

    def __init__(self, scenario: ReplayScenario, *, follows_history: bool = False) -> None:
        has_promotions = any(isinstance(event, Promoted) for _, event in scenario.events)
        self._follows = follows_history and has_promotions
        self._read_seconds = scenario.read_seconds
        self._product = scenario.product
        self.terms = terms_of(scenario.product)
        stable = Release(scenario.version)
        self.status = _initial_status(self.terms, stable, scenario)
        self._facts, self._events = deque(scenario.facts), deque(scenario.events)
        self._happened = _Happened(None if self._follows else stable, scenario.accepted)
        self._history = FollowedHistory(self.terms)
        counted_slos = tuple(slo.name for slo in self.terms.slos if slo.gauge is None)
        self._blocks = ReplayBlocks.of(counted_slos, self.terms.block_seconds, scenario.blocks)
        self._consumers = ReplayConsumers.of(scenario)
        self._orphan: Release | None = None

    def advance(self, block: ReplayBlock) -> ReplayStep:
        """Process one block: apply due events, read, evaluate, act."""
        now = self.take_in(block)
        previous_status = self.status
        evaluation = evaluate(self.terms, previous_status, self.observed(now), now)
        if evaluation.training_taken_up and self._happened.results:
            self._happened.results.popleft()
            self._orphan = None
        self.status = self._carry_out(evaluation, now)
        self._find_orphan(previous_status, evaluation)
        return ReplayStep(block.at, evaluation, self.status)

    def take_in(self, block: ReplayBlock) -> int:
        """Apply due events and read a block; return its evaluation time in seconds."""
        self._let_happen(block.at)
        self._end_follow_up(block.at)
        self._blocks.record(block, self.status)
        self._consumers.record(block, self.status)
        return block.at + self._read_seconds

    def observed(self, now: int) -> Observed:
        """Return the inputs of a decision at `now`, in seconds.

        The file has results of trainings, changes of spec.model, and some facts. There is only one
        product, decisions take effect at once, so no rollout waits for pods or traffic, and there
        are no requests of people.
        """
        past_events = self._happened
        replayed_product = ReplayedProduct(self._blocks, self.status)
        return observed(
            read_measurements(self._product.spec, self.status, replayed_product, now),
            Surroundings(
                desired=past_events.spec_model,
                withheld="",
                desired_evaluation=past_events.desired_evaluation,
                training=self._training(),
                shadow=None,
                facts=self._stated(),
                rollout=None,
                portfolio=NO_OTHER_PRODUCTS,
                requests=(),
                answers=(),
                consumers=(),
                consumer_readings=tuple(self._consumers.readings(self.status)),
                absences=(),
                term=0,
            ),
        )

    def expect(self, events: Iterable[tuple[int, Event]]) -> None:
        """Schedule events, each at its time in seconds."""
        self._events = deque(sorted((*self._events, *events), key=lambda event: event[0]))

    # ---- what happens -------------------------------------------------------------------
    def _let_happen(self, now: int) -> None:
        while self._facts and self._facts[0][0] <= now:
            change_time, change = self._facts.popleft()
            self._change_facts(change_time, change)
        while self._events and self._events[0][0] <= now:
            change_time, event = self._events.popleft()
            if self._follows:
                self.status = self._history.after(self.status, event, change_time)
            else:
                self._apply_event(event)

    def _end_follow_up(self, now: int) -> None:
        """End a follow-up training whose result isn't in the file.

        A file has the versions that were served, and few follow-ups lead to one. Its time is that of
        the training before it.
        """
        running_training = self.status.training
        if (
            running_training is None
            or running_training.cause != Reason.FOLLOW_UP
            or self._happened.results
        ):
            return
        assert self.status.retraining is not None
        usual_seconds = self.status.retraining.last_duration_seconds or 0
        lasts_seconds = max(usual_seconds, self.terms.block_seconds)
        if now - running_training.trigger_time > lasts_seconds:
            self.status = self.status.with_retraining(
                trigger=None, last_reason=str(Reason.NOT_SHOWN_BETTER)
            )

    def _change_facts(self, change_time: int, change: FactsChange) -> None:
        since_times, previous_facts = self._happened.since, self._happened.facts
        self._happened.facts = previous_facts.changed(change)
        for name, fact_value in self._happened.facts.items():
            if not fact_value:
                since_times.pop(name, None)
            else:
                since_times.setdefault(name, change_time)

    def _apply_event(self, event: Event) -> None:
        """Apply an event; that of a version that was promoted is ignored unless the history is followed."""
        match event:
            case ModelChanged(version, evaluation):
                self._happened.spec_model = Release(version)
                self._happened.desired_evaluation = evaluation
            case Retrained() | RetrainingFailed():
                self._happened.results.append(event)
            case Promoted():
                pass

    def _stated(self) -> Facts:
        """Return the cluster facts of the file, completed by defaults.

        Without a limit in the spec, containers aren't at their limit; with one, this is unknown.
        """
        stated_facts, since_times = self._happened.facts, self._happened.since
        unmeasured_usage = at_limit(None, self._product.spec.serving.resources)
        cpu, memory = stated_facts.cpu_throttled, stated_facts.memory_pressure
        return Facts(
            upstream_degraded=stated_facts.upstream_degraded or (),
            upstream_since=since_times.get("upstream_degraded"),
            upstream_degrading=stated_facts.upstream_degrading or (),
            upstream_block_seconds=self.terms.block_seconds
            if stated_facts.upstream_degrading
            else 0,
            upstream_releases=stated_facts.upstream_releases or (),
            degraded_consumers=(),
            pods_unhealthy=bool(stated_facts.pods_unhealthy),
            stable_down=False,
            canary_unhealthy=bool(stated_facts.canary_unhealthy) or self._fails_in_canary(),
            canary_lost="",
            node_busy=bool(stated_facts.node_busy),
            canary_node_busy=bool(stated_facts.canary_node_busy),
            cpu_throttled=unmeasured_usage.cpu if cpu is None else cpu,
            memory_pressure=unmeasured_usage.memory if memory is None else memory,
            outage="",
            secret_missing=False,
            pods=1.0,
            split_verified=True,
            route_objection="",
            api_changes=None,
            api_added=(),
            api_deprecated=(),
            inputs=(),
            iteration=None,
            stable_iteration=None,
            complete=True,
        )

    def _fails_in_canary(self) -> bool:
        """Return whether failing pods count as the candidate's.

        It receives traffic, and the file doesn't attribute them.
        """
        candidate, unhealthy_since = self.status.trial, self._happened.since.get("pods_unhealthy")
        if candidate is None or candidate.is_parked or unhealthy_since is None:
            return False
        return unhealthy_since > candidate.rollout_start_time

    def _training(self) -> TrainingResult | None:
        """Return the pending result as the running training's own, if a training runs."""
        if not self._happened.results:
            return None
        running_training = self.status.training
        orphan_training = self._orphan if running_training is None else None
        training_trigger = (
            running_training.id
            if running_training
            else SUPERSEDED_TRAINING
            if orphan_training
            else ""
        )
        parent = self.status.parent if running_training else orphan_training
        stable = self.status.stable
        match self._happened.results[0]:
            case RetrainingFailed(message):
                return TrainingFailed(training_trigger, Reason.JOB_FAILED, message or "no message")
            case Retrained(version, evaluation, stable_evaluation, pairs):
                started_from = parent or (stable.release if stable else Release(""))
                return TrainingSucceeded(
                    training_trigger,
                    started_from,
                    Release(version),
                    evaluation,
                    stable_evaluation,
                    pairs,
                )

    # ---- what follows -------------------------------------------------------------------
    def _carry_out(self, evaluation: Evaluation, now: int) -> DataProductStatus:
        decision, status = evaluation.decision, evaluation.status
        diagnosis = diagnosis_status(status.diagnosis, evaluation.diagnosis, now)
        if evaluation.judged and diagnosis != status.diagnosis:
            status = status.replace(diagnosis=diagnosis)
        if self._follows and not isinstance(decision, Hold | Alert | Retrain):
            return status
        return carry_out_at_once(self.terms, status, decision, now)

    def _find_orphan(self, previous_status: DataProductStatus, evaluation: Evaluation) -> None:
        """Discard the result of a training that was superseded."""
        training_ended = previous_status.training is not None and self.status.training is None
        if training_ended and not evaluation.training_taken_up:
            self._orphan = previous_status.parent


def _initial_status(
    product_terms: Terms, stable: Release, scenario: ReplayScenario
) -> DataProductStatus:
    stable_since = scenario.promotion_time
    baseline = from_evaluation(scenario.accepted, product_terms.slos, stable_since) | dict(
        scenario.baselines
    )
    return DataProductStatus(
        stable=Version.of(
            stable, VersionSource.SPEC, promotion_time=stable_since, baseline=baseline
        ),
        spec_model=SpecModel.of(stable, Outcome.PROMOTED, stable_since),
    )
