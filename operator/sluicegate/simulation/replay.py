"""Replay a scenario: what would have been decided, block by block, had this been the history.

The very functions that the operator calls are called here; only the world is another. Actions
take effect at once, and a version's counts are what the file says, whatever share it was given.
A file may have blocks of an hour; a canary is judged in blocks of five minutes at most all the
same, with the file's counts spread evenly over them.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.canary.analysis import LOOK_BACK_SECONDS, began
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.model.decision import StartRollout
from sluicegate.policy.model.observed import (
    ALONE,
    CanaryBlock,
    Facts,
    Observed,
    TrainingFailed,
    TrainingResult,
    TrainingSucceeded,
)
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.policy.transitions import apply_decision, with_share
from sluicegate.simulation.replay_scenario import (
    Event,
    FactsChange,
    ModelChanged,
    ReplayBlock,
    ReplayScenario,
    Retrained,
    RetrainingFailed,
)
from sluicegate.slo.blocks import Block, BlockValue, Quality, Series, read_block
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.dispersion import LEAST_BLOCKS

Versions = Mapping[str, Mapping[str, BlockValue]]
"""What a block says, by version and SLO."""
SUPERSEDED_TRAINING = "superseded"
LONGEST_CANARY_BLOCK_SECONDS = 300
"""A canary's steps last seven blocks at least, so they must not be hours."""


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

    wanted: Release
    facts: Facts
    wanted_evaluation: Mapping[str, Count] = field(default_factory=dict)
    results: deque[Retrained | RetrainingFailed] = field(default_factory=deque)
    pods_unhealthy_since: int = 0


class Replay:
    """A replay that continues block by block.

    Everything around the decisions is here: series that grow, events that come, versions that train.

    Parameters
    ----------
    read_seconds : after the end of a block it is read and decided on; in the operator a scrape
        interval and the settling time.
    """

    def __init__(self, scenario: ReplayScenario, *, read_seconds: int = 0) -> None:
        self._read_seconds = read_seconds
        self.terms = terms_of(scenario.product)
        stable = Release(scenario.version)
        self.status = _initial(self.terms, stable, scenario)
        self._facts, self._events = deque(scenario.facts), deque(scenario.events)
        self._happened = _Happened(stable, Facts(cpu_throttled=False, memory_pressure=False))
        self._series: dict[str, dict[str, Series]] = {}
        self._read: list[tuple[int, Quality, Versions]] = []
        self._orphan: Release | None = None
        ends = [0, *(block.at for block in scenario.blocks)]
        gaps = (later - earlier for earlier, later in pairwise(ends))
        self._file_seconds = min(gaps, default=self.terms.block_seconds)
        self._canary_seconds = min(self._file_seconds, LONGEST_CANARY_BLOCK_SECONDS)

    def advance(self, block: ReplayBlock) -> ReplayStep:
        """One block: let happen what is due, read, evaluate, act."""
        self._let_happen(block.at)
        index = -(-block.at // self.terms.block_seconds)
        self._record(block, index)
        before, complete = self.status, block.at // self.terms.block_seconds
        now = block.at + self._read_seconds
        evaluation = evaluate(self.terms, before, self._observed(block, complete), now)
        if evaluation.training_taken_up:
            self._happened.results.popleft()
            self._orphan = None
        self.status = self._carry_out(evaluation, now)
        self._find_orphan(before, evaluation)
        return ReplayStep(block.at, evaluation, self.status)

    def expect(self, events: Iterable[tuple[int, Event]]) -> None:
        """Add events that are still to come, each with the second from which it holds."""
        self._events = deque(sorted((*self._events, *events), key=lambda event: event[0]))

    # ---- what happens -------------------------------------------------------------------
    def _let_happen(self, now: int) -> None:
        while self._facts and self._facts[0][0] <= now:
            at, change = self._facts.popleft()
            self._change_facts(at, change)
        while self._events and self._events[0][0] <= now:
            self._happen(self._events.popleft()[1])

    def _change_facts(self, at: int, change: FactsChange) -> None:
        happened = self._happened
        if change.pods_unhealthy and not happened.facts.pods_unhealthy:
            happened.pods_unhealthy_since = at
        changed = {name: fact for name, fact in asdict(change).items() if fact is not None}
        happened.facts = replace(happened.facts, **changed)

    def _happen(self, event: Event) -> None:
        match event:
            case ModelChanged(version, evaluation):
                self._happened.wanted = Release(version)
                self._happened.wanted_evaluation = evaluation
            case Retrained() | RetrainingFailed():
                self._happened.results.append(event)

    # ---- what is read -------------------------------------------------------------------
    def _record(self, block: ReplayBlock, index: int) -> None:
        names = [slo.name for slo in self.terms.slos]
        for version, counts in block.counts.items():
            kept = self._series.setdefault(version, {name: Series() for name in names})
            if CLIENT_ERRORS in counts:
                kept.setdefault(CLIENT_ERRORS, Series())
        read = {
            version: {name: _read(block, index, version, name) for name in kept}
            for version, kept in self._series.items()
        }
        for version, blocks in read.items():
            for name, one in blocks.items():
                series = self._series[version][name]
                count = summed((series.block(index).count, one.count))
                series.record(replace(one, count=count))
        parts = max(self._file_seconds // self._canary_seconds, 1)
        for part in range(1, parts + 1):
            end = block.at - (parts - part) * self._canary_seconds
            share = {
                version: {name: _part(one, part, parts) for name, one in blocks.items()}
                for version, blocks in read.items()
            }
            self._read.append((end, _quality(block), share))

    def _observed(self, block: ReplayBlock, index: int) -> Observed:
        happened = self._happened
        return Observed(
            block=index,
            problem=block.unavailable,
            series=self._series,
            canary_blocks=self._canary_blocks(),
            canary_block_seconds=self._canary_seconds,
            wanted=happened.wanted,
            wanted_evaluation=happened.wanted_evaluation,
            training=self._training(),
            facts=replace(happened.facts, canary_unhealthy=self._canary_unhealthy()),
            portfolio=ALONE,
        )

    def _canary_unhealthy(self) -> bool:
        """Pods that fell ill since the candidate takes traffic are taken for the candidate's."""
        candidate = self.status.trial
        if candidate is None or candidate.parked or not self._happened.facts.pods_unhealthy:
            return False
        return self._happened.pods_unhealthy_since > began(candidate)

    def _canary_blocks(self) -> tuple[CanaryBlock, ...]:
        candidate, stable = self.status.trial, self.status.stable
        if candidate is None or candidate.parked or stable is None:
            return ()
        back = max(LOOK_BACK_SECONDS, LEAST_BLOCKS * self._canary_seconds)
        first = began(candidate) - back
        ours, theirs = candidate.release.version, stable.release.version
        begin = bisect_right(self._read, first, key=lambda one: one[0])
        return tuple(
            CanaryBlock(at, quality, read.get(theirs, {}), read.get(ours, {}))
            for at, quality, read in self._read[begin:]
        )

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


def _part(block: Block, part: int, parts: int) -> BlockValue:
    """One of equal parts of a block: its events are spread evenly, and the bad ones over them."""
    bad, total = block.count
    before, after = total * (part - 1) // parts, total * part // parts
    share = (
        Count(bad * after // total - bad * before // total, after - before) if total else NOTHING
    )
    return BlockValue(block.quality, share)


def _quality(block: ReplayBlock) -> Quality:
    if block.unavailable is not None:
        return Quality.UNAVAILABLE
    return read_block(0, 0, 0, coverage=block.coverage).quality


def _read(block: ReplayBlock, index: int, version: str, slo: str) -> Block:
    if block.unavailable is not None:
        return Block(index, Quality.UNAVAILABLE)
    count = block.counts.get(version, {}).get(slo, (None, None))
    if isinstance(count, Quality):
        return Block(index, count)
    bad, total = count
    return read_block(index, bad, total, coverage=block.coverage)
