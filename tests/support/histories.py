"""Histories that answer: what is counted depends on the weight that was decided, events on acts.

A replay takes a whole history at once, while the share of a candidate, or the end of a
training, follows from what is decided on the way. So the history is made again, from the lines
that are known to hold, until nothing changes: each round settles at least one act more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.scenarios import BLOCK, run

Line = Mapping[str, Any]
Rate = Callable[[int], float]
Reaction = Callable[[Sequence[Line]], list[dict[str, Any]]]
ROUNDS = 60
"""More acts than any history here has."""
ACTING = {"Retrain", "StartRollout", "Advance", "Promote"}
TRAFFIC = {"availability": 6000, "latency": 6000, "accuracy": 600}
"""Events a block, both arms together."""


def no_reaction(_lines: Sequence[Line]) -> list[dict[str, Any]]:
    return []


def always(rate: float) -> Rate:
    return lambda _index: rate


def from_block(block: int, before: float, after: float) -> Rate:
    return lambda index: before if index < block else after


def bursts(mean: float, correlation: float, seed: object) -> Rate:
    """A rate of each block's own, so that the events of a block are alike (beta-binomial)."""
    events = 1 / correlation - 1

    def rate(index: int) -> float:
        source = random.Random(repr((seed, index)))
        return source.betavariate(mean * events, (1 - mean) * events)

    return rate


def draw(seed: tuple[object, ...], total: int, rate: float) -> dict[str, int]:
    """Counts of a binomial draw that depends on nothing but the seed; about so, where large."""
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
    """A binomial draw by the gaps between its successes."""
    if rate <= 0:
        return 0
    found, place = 0, 0
    while True:
        place += 1 + int(math.log(1 - source.random()) / math.log1p(-rate))
        if place > total:
            return found
        found += 1


@dataclass(frozen=True, slots=True)
class World:
    """A product's traffic, as it would be counted: rates of bad events by version and SLO.

    `traffic` is events a block by SLO, `busy` the share of it that comes in a block, and
    `trouble` what replaces a block, from its index and its counts.
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
    trouble: Callable[[int, dict[str, Any]], dict[str, Any]] | None = None
    seed: int = 1

    def play(self) -> list[dict[str, Any]]:
        """The lines of the replay in which counts and decisions agree."""
        known: list[dict[str, Any]] = []
        for _ in range(ROUNDS):
            document = self.document(known)
            lines = run(document)
            wrong = self._first_wrong(known, lines)
            if wrong is None and document["events"] == self.document(lines)["events"]:
                return lines
            known = lines if wrong is None else lines[: wrong + 1]
        raise AssertionError("counts and decisions never agree")

    @staticmethod
    def _first_wrong(known: Sequence[Line], lines: Sequence[Line]) -> int | None:
        """Index of the first line that isn't as it was taken to be when blocks were counted."""
        for index, line in enumerate(lines):
            if _serving(line) != _serving(known[min(index, len(known) - 1)] if known else None):
                return index
        return None

    def document(self, known: Sequence[Line]) -> dict[str, Any]:
        """The scenario, given the lines that are known; later ones are as the last of them."""
        document = {
            "product": self.product,
            "version": "v1",
            "accepted": self.accepted,
            "blocks": [self._block(index, known) for index in range(1, self.last + 1)],
            "events": [*self.events, *self.react(known)],
            "facts": list(self.facts),
        }
        return {name: value for name, value in document.items() if value is not None}

    def _block(self, index: int, known: Sequence[Line]) -> dict[str, Any]:
        before = known[min(index - 2, len(known) - 1)] if known and index > 1 else None
        stable, candidate, weight = _serving(before)
        shares = {stable: 1 - weight / 100}
        if candidate and weight:
            shares[candidate] = weight / 100
        counts = {version: self._counts(index, version, share) for version, share in shares.items()}
        block = {"at": index * BLOCK, "counts": counts}
        return self.trouble(index, block) if self.trouble else block

    def _counts(self, index: int, version: str, share: float) -> dict[str, dict[str, int]]:
        return {
            slo: draw(
                (self.seed, index, version, slo),
                round(self.traffic[slo] * share * self.busy(index)),
                rate(index),
            )
            for slo, rate in self.rates[version].items()
        }


def _serving(line: Line | None) -> tuple[str, str | None, int]:
    """Stable, candidate and its weight after a line; None: at the start."""
    return ("v1", None, 0) if line is None else (line["stable"], line["candidate"], line["weight"])


def good(accuracy: float = 0.1, availability: float = 0.0002) -> dict[str, Rate]:
    """Rates of a version that stays as it is."""
    return {"availability": always(availability), "accuracy": always(accuracy)}


def decisions(lines: Sequence[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["decision"]["type"] == kind]


def reasons(lines: Sequence[Line]) -> set[str]:
    """Of everything but holding."""
    return {line["decision"]["reason"] for line in lines if line["decision"]["type"] != "Hold"}


def fails_each(after: int = 1) -> Reaction:
    """Every training fails so many blocks after it was started."""

    def react(lines: Sequence[Line]) -> list[dict[str, Any]]:
        return [
            {"at": line["at"] + after * BLOCK, "retrainingFailed": {"message": "out of memory"}}
            for line in decisions(lines, "Retrain")
        ]

    return react


def trains_each(*results: Mapping[str, Any], after: int = 6) -> Reaction:
    """Trainings end one after the other with these results."""

    def react(lines: Sequence[Line]) -> list[dict[str, Any]]:
        started = decisions(lines, "Retrain")
        return [
            {"at": line["at"] + after * BLOCK, "retrained": dict(result)}
            for line, result in zip(started, results, strict=False)
        ]

    return react
