"""Histories that answer: what is counted depends on the weight that was decided, events on acts.

The share of a candidate, or the end of a training, follows from what is decided on the way. So each
block is counted when its turn has come.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.simulation.replay import Replay
from sluicegate.simulation.replay_output import as_object
from sluicegate.simulation.replay_scenario import ReplayBlock, parse_scenario
from tests.support.decisions.scenarios import BLOCK

Line = Mapping[str, Any]
Rate = Callable[[int], float]
Reaction = Callable[[Sequence[Line]], list[dict[str, Any]]]
"""The events that follow from the acts so far; an act adds to them, and changes none."""
TRAFFIC = {"availability": 6000, "latency": 6000, "accuracy": 600}
"""Events a block, both arms together."""


def no_reaction(_lines: Sequence[Line]) -> list[dict[str, Any]]:
    return []


def always(rate: float) -> Rate:
    return lambda _index: rate


def from_block(block: int, before: float, after: float) -> Rate:
    return lambda index: before if index < block else after


def bursts(mean: float, correlation: float, seed: object) -> Rate:
    """Return a rate of each block's own, so that the events of a block are alike (beta-binomial)."""
    events = 1 / correlation - 1

    def rate(index: int) -> float:
        source = random.Random(repr((seed, index)))
        return source.betavariate(mean * events, (1 - mean) * events)

    return rate


def draw(seed: tuple[object, ...], total: int, rate: float) -> dict[str, int]:
    """Return counts of a binomial draw that depends on nothing but the seed.

    About so, where large.
    """
    source = random.Random(repr(seed))
    if total * min(rate, 1 - rate) > 100:
        spread = math.sqrt(total * rate * (1 - rate))
        bad = min(max(round(source.gauss(total * rate, spread)), 0), total)
    elif rate > 0.5:
        bad = total - _rare(source, total, 1 - rate)
    else:
        bad = _rare(source, total, rate)
    return {"bad": bad, "total": total}


def _rare(source: random.Random, total: int, rate: float) -> int:
    """Return a binomial draw by the gaps between its successes."""
    if rate <= 0:
        return 0
    successes, place = 0, 0
    while True:
        place += 1 + int(math.log(1 - source.random()) / math.log1p(-rate))
        if place > total:
            return successes
        successes += 1


@dataclass(frozen=True, slots=True)
class World:
    """A product's traffic, as it would be counted: rates of bad events by version and SLO.

    `traffic` is events a block by SLO, `busy` the share of it that comes in a block, and
    `problem` what replaces a block, from its index and its counts.
    """

    product: dict[str, Any]
    rates: Mapping[str, Mapping[str, Rate]]
    last: int
    traffic: Mapping[str, int] = field(default_factory=lambda: TRAFFIC)
    busy: Rate = field(default_factory=lambda: always(1.0))
    accepted: Mapping[str, Any] | None = None
    events: Sequence[Mapping[str, Any]] = ()
    facts: Sequence[Mapping[str, Any]] = ()
    react: Reaction = no_reaction
    problem: Callable[[int, dict[str, Any]], dict[str, Any]] | None = None
    seed: int = 1

    def play(self) -> list[dict[str, Any]]:
        """Return the lines of the replay."""
        replay = Replay(parse_scenario(self.document([], last=0)))
        lines: list[dict[str, Any]] = []
        line_number = 0
        for index in range(1, self.last + 1):
            step = replay.advance(_parsed(self._block(index, lines)))
            lines.append(json.loads(json.dumps(as_object(step))))
            if lines[-1]["decision"]["type"] != "Hold":
                reaction = self.react(lines)
                document = {**self.document([], last=0), "events": reaction[line_number:]}
                replay.expect(parse_scenario(document).events)
                line_number = len(reaction)
        return lines

    def document(self, lines: Sequence[Line], last: int | None = None) -> dict[str, Any]:
        """Return the scenario of so many blocks, given the lines that are known.

        Later ones are as the last of them.
        """
        last = self.last if last is None else last
        document = {
            "product": self.product,
            "version": "v1",
            "accepted": self.accepted,
            "blocks": [self._block(index, lines) for index in range(1, last + 1)],
            "events": list(self.events),
            "facts": list(self.facts),
        }
        return {name: value for name, value in document.items() if value is not None}

    def _block(self, index: int, lines: Sequence[Line]) -> dict[str, Any]:
        before = lines[min(index - 2, len(lines) - 1)] if lines and index > 1 else None
        stable, candidate, weight = _serving(before)
        shares = {stable: 1 - weight / 100}
        if candidate and weight:
            shares[candidate] = weight / 100
        counts = {version: self._counts(index, version, share) for version, share in shares.items()}
        block = {"at": index * BLOCK, "counts": counts}
        return self.problem(index, block) if self.problem else block

    def _counts(self, index: int, version: str, share: float) -> dict[str, dict[str, int]]:
        return {
            slo: draw(
                (self.seed, index, version, slo),
                round(self.traffic[slo] * share * self.busy(index)),
                rate(index),
            )
            for slo, rate in self.rates[version].items()
        }


def _parsed(block: Mapping[str, Any]) -> ReplayBlock:
    """Return a block as parsed from a file."""
    coverage, unavailable = block.get("coverage"), block.get("unavailable")
    counts = {
        version: {slo: (one["bad"], one["total"]) for slo, one in slos.items()}
        for version, slos in block.get("counts", {}).items()
    }
    return ReplayBlock(
        block["at"],
        counts,
        None if coverage is None else float(coverage),
        None if unavailable is None else DecisionReason(unavailable),
    )


def _serving(line: Line | None) -> tuple[str, str | None, int]:
    """Return stable, candidate and its weight after a line; None for the start."""
    return ("v1", None, 0) if line is None else (line["stable"], line["candidate"], line["weight"])


def good(accuracy: float = 0.1, availability: float = 0.0002) -> dict[str, Rate]:
    """Return rates of a version that stays as it is."""
    return {"availability": always(availability), "accuracy": always(accuracy)}


def decisions(lines: Sequence[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["decision"]["type"] == kind]


def reasons(lines: Sequence[Line]) -> set[str]:
    """Return the reasons of all decisions but Hold."""
    return {line["decision"]["reason"] for line in lines if line["decision"]["type"] != "Hold"}


def fails_each(after: int = 1) -> Reaction:
    """Return a reaction in which each training fails after this many blocks."""

    def react(lines: Sequence[Line]) -> list[dict[str, Any]]:
        return [
            {"at": line["at"] + after * BLOCK, "retrainingFailed": {"message": "out of memory"}}
            for line in decisions(lines, "Retrain")
        ]

    return react


def trains_each(*results: Mapping[str, Any], after: int = 6) -> Reaction:
    """Return a reaction in which trainings end in turn with these results."""

    def react(lines: Sequence[Line]) -> list[dict[str, Any]]:
        started = decisions(lines, "Retrain")
        return [
            {"at": line["at"] + after * BLOCK, "retrained": dict(result)}
            for line, result in zip(started, results, strict=False)
        ]

    return react


def through_json(status: DataProductStatus) -> DataProductStatus:
    """Return a status after a conversion to JSON and back, as by a restart."""
    after = DataProductStatus.model_validate_json(json.dumps(status.to_dict()), by_name=False)
    assert after == status
    return after
