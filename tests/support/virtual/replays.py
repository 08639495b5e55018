"""Records of lives on virtual time, and comparisons of a replay's inputs with the operator's."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import yaml

from sluicegate.api.product import DataProduct
from sluicegate.cli.trials.past_record import record
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.model.observed import CanaryBlock, Facts, Observed
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.past_blocks import PastReader
from sluicegate.simulation.replay import Replay, replay
from sluicegate.simulation.replay_scenario import parse_scenario
from sluicegate.spans import no_spans
from sluicegate.wiring import timing_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.virtual.operator import World
    from sluicegate.api.status import DataProductStatus
    from sluicegate.kube.resources import Key
    from sluicegate.policy.evaluate import Evaluation
    from sluicegate.policy.model.consumers import ConsumerReading
    from sluicegate.reconcile.decide.planner import Plan
    from sluicegate.reconcile.observe.observation import Observation
    from sluicegate.simulation.replay_scenario import ReplayScenario
    from sluicegate.slo.blocks import Series

COMPARED_BLOCKS: Final = 3
"""Of a series: older ones were compared when they were new, and are in the sums of hours."""
Made = tuple[int, str, str, str]
"""End of the newest block, type and reason of a decision, and the version that is about."""


async def recorded(
    world: World, key: Key, *, days: float = 5, consumers: tuple[Key, ...] = ()
) -> ReplayScenario:
    """Return a product's present `sluicegate record` file, as `replay` and `tune` read it."""
    body, settings = world.product(key), world.settings
    endpoint = Endpoint(url=settings.prometheus_url)
    async with world.prometheus.connect(endpoint, no_spans) as source:
        reader = PastReader(source, timing_of(settings))
        _, lines = await record(
            DataProduct.parse(body),
            body,
            reader,
            days=days,
            now=world.loop.wall(),
            others=[world.product(consumer) for consumer in consumers],
        )
    return parse_scenario(yaml.load("\n".join(lines), yaml.CSafeLoader))


@dataclass(frozen=True, slots=True)
class Judged:
    """One judgement of the operator: its time in seconds, and what it was made from.

    `series` and `days` are what was kept then, as the operator goes on to append to it.
    """

    now: int
    status: DataProductStatus
    observed: Observed
    evaluation: Evaluation
    series: dict[tuple[str, str], Any]
    days: dict[str, dict[str, tuple[int, int]]]
    """Events of consumers in the day before."""

    @property
    def canary_end(self) -> int:
        """When the newest canary block ended that was read, in seconds; 0 without any."""
        blocks = self.observed.canary_blocks
        return blocks[-1].end if blocks else 0

    def has_read(self, end: int, block_seconds: int) -> bool:
        """Return whether the newest blocks of each length are those up to this time, in seconds."""
        newest = end // block_seconds
        return self.observed.block == newest and self.canary_end in (0, end)


@dataclass(slots=True)
class Watch:
    """All judgements of the operator in a world, of one product if it has a key."""

    judged: list[Judged] = field(default_factory=list)
    key: Key | None = None

    def __call__(self, observation: Observation, plan: Plan) -> None:
        """Take in a plan."""
        if self.key is not None and observation.product.metadata.key != tuple(self.key):
            return
        if plan.evaluation is not None and observation.product.status.stable is not None:
            self.judged.append(
                Judged(
                    observation.now,
                    observation.product.status,
                    observation.observed,
                    plan.evaluation,
                    _series(observation.observed),
                    _days(observation.observed),
                )
            )

    def decisions(self, block_seconds: int) -> list[Made]:
        """Return the decisions, each step once: pods may be ready after the next evaluation only."""
        decisions = [
            _made(max(one.canary_end, one.observed.block * block_seconds), one.evaluation)
            for one in self.judged
            if not isinstance(one.evaluation.decision, Hold)
        ]
        return list(dict.fromkeys(decisions))


def replayed(scenario: ReplayScenario) -> list[Made]:
    """Return the decisions of a replay."""
    return [
        _made(step.at, step.evaluation)
        for step in replay(scenario)
        if not isinstance(step.evaluation.decision, Hold)
    ]


def _made(end: int, evaluation: Evaluation) -> Made:
    decision = evaluation.decision
    named = getattr(decision, "candidate", None) or getattr(decision, "parent", None)
    return (
        end,
        str(decision.type),
        str(decision.reason),
        "" if named is None else named.version,
    )


# ---- field by field ---------------------------------------------------------------------------
def differences(scenario: ReplayScenario, judged: list[Judged]) -> dict[str, list[Any]]:
    """Return the differences between the operator's inputs and those of a replay of its record, by field.

    The replay is given the operator's status before each block, so that one difference doesn't
    lead to others. Each entry has the time, and both values.
    """
    by_field: dict[str, list[Any]] = defaultdict(list)
    seconds = scenario.product.spec.analysis.block_seconds
    running, place = Replay(scenario), 0
    for block in scenario.blocks:
        read = block.at + scenario.read_seconds
        while place < len(judged) and judged[place].now < read:
            place += 1
        running.status = judged[max(place - 1, 0)].status
        running.take_in(block)
        first = next((one for one in judged[place:] if one.now >= read), None)
        if first is None or not first.has_read(block.at, seconds):
            later = (one for one in judged[place : place + 5] if one.has_read(block.at, seconds))
            first = next(later, None)
        if first is None:
            continue  # the operator judged several blocks at once
        running.status = first.status
        for name, original, replayed in _compared(first, running.observed(first.now)):
            by_field[name].append((first.now, original, replayed))
    return dict(by_field)


def _compared(judged: Judged, replayed: Observed) -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields that differ, with both values; of structures, the parts that do."""
    original = judged.observed
    parts = {"facts", "canary_blocks", "series", "desired", "consumer_readings"}
    for part in fields(Observed):
        if part.name not in parts:
            yield from _unequal(
                part.name, getattr(original, part.name), getattr(replayed, part.name)
            )
    for part in fields(Facts):
        values = (getattr(each.facts, part.name) for each in (original, replayed))
        yield from _unequal(f"facts.{part.name}", *values)
    names = (each.desired and each.desired.version for each in (original, replayed))
    yield from _unequal("desired", *names)
    kept = _series(replayed)
    for key in sorted({*judged.series, *kept}):
        yield from _unequal("series", *((key, each.get(key)) for each in (judged.series, kept)))
    ends = [[block.end for block in each.canary_blocks] for each in (original, replayed)]
    yield from _unequal("canary_blocks", *ends)
    newest = {block.end: block for block in original.canary_blocks[-COMPARED_BLOCKS:]}
    compared = [one for one in fields(CanaryBlock) if one.compare]
    for block in replayed.canary_blocks[-COMPARED_BLOCKS:]:
        for part in compared if block.end in newest else ():
            values = (getattr(each, part.name) for each in (newest[block.end], block))
            yield from _unequal(f"canary_blocks.{part.name}", *values)

    yield from _of_consumers(original, replayed)
    yield from _unequal("consumers.series", judged.days, _days(replayed))


def _of_consumers(original: Observed, replayed: Observed) -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields of consumers' readings that differ."""
    read = [
        {consumer_reading.name: consumer_reading for consumer_reading in each.consumer_readings}
        for each in (original, replayed)
    ]
    yield from _unequal("consumers", *map(sorted, read))
    for name in read[0].keys() & read[1].keys():
        ours, yours = (each[name] for each in read)
        yield from _unequal("consumers.terms", ours.terms, yours.terms)
        yield from _unequal("consumers.block", ours.block, yours.block)
        newest = [list(one.blocks[-COMPARED_BLOCKS:]) for one in (ours, yours)]
        yield from _unequal("consumers.blocks", *newest)


def _days(observed: Observed) -> dict[str, dict[str, tuple[int, int]]]:
    return {
        consumer_reading.name: _day_of(consumer_reading)
        for consumer_reading in observed.consumer_readings
    }


def _day_of(reading: ConsumerReading) -> dict[str, tuple[int, int]]:
    """Return the events of the last day by SLO, of all versions."""
    hour = reading.block // 12
    bad, total = Counter[str](), Counter[str]()
    for kept in reading.series.values():
        for slo, series in kept.items():
            wrong, every = series.hours(max(hour - 24, 0), hour)
            bad[slo] += sum(wrong)
            total[slo] += sum(every)
    return {slo: (bad[slo], total[slo]) for slo in total}


def _unequal(name: str, original: Any, replayed: Any) -> Iterator[tuple[str, Any, Any]]:
    if original != replayed:
        yield name, original, replayed


def _series(observed: Observed) -> dict[tuple[str, str], Any]:
    """Return the parts of each series that are compared.

    A replay names a version without its hash.
    """
    return {
        (version.partition("/")[0], name): _kept(one, observed.block)
        for version, kept in observed.series.items()
        for name, one in kept.items()
    }


def _kept(series: Series, now: int) -> Any:
    hour = now // 12
    blocks = [series.block(index) for index in range(now - COMPARED_BLOCKS + 1, now + 1)]
    return blocks, [list(one) for one in series.hours(max(hour - 48, 0), hour)]
