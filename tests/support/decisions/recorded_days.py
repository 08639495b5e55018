"""Seventy days of one product, block by block, as in Prometheus; some samples are late."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from benchmarks.prometheus_stand_in import Row, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 300
DAY = 86_400
LATEST = 3 * DAY - 2 * 3600
"""Seconds after their block at which the last of its labels are there."""
NAMESPACE, PRODUCT = "pricing", "pricing"


Keyed = tuple[tuple[tuple[tuple[str, str], ...], int], ...]
"""Values by labels, these in order."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What happened in one block; the labels of `late` are seen `delay` seconds after its end."""

    version: str
    requests: int
    failed: int
    fast: int
    right: int
    wrong: int
    late_right: int
    late_wrong: int
    delay: int
    market: str


@cache
def recorded(begin: int, days: int, seed: int, switch: int) -> dict[int, Recorded]:
    """Return the rows of each block, by its index."""
    rng = random.Random(seed)
    first = begin // BLOCK + 1
    blocks = {}
    for index in range(first, first + days * DAY // BLOCK):
        requests = rng.randrange(0, 60)
        failed = min(rng.randrange(0, 3), requests)
        labels = rng.randrange(0, requests + 1)
        wrong = rng.randrange(0, labels // 5 + 1)
        blocks[index] = Recorded(
            version="v1" if (index - first) * BLOCK // DAY < switch else "v2",
            requests=requests,
            failed=failed,
            fast=rng.randrange(0, requests - failed + 1),
            right=labels - wrong,
            wrong=wrong,
            late_right=rng.randrange(0, 5),
            late_wrong=rng.randrange(0, 3),
            delay=rng.randrange(0, LATEST),
            market=rng.choice(["FR", "AT", "other"]),
        )
    return blocks


@cache
def kept_rows(*_: int) -> dict[tuple[str, int, bool], Keyed]:
    """Return the cache of parsed rows by kind, block and presence of its late labels; one for each recorded history.

    Tests read the same day many times.
    """
    return {}


@dataclass
class History:
    """The true counts, and the stand-in's rows of those that have arrived at a time."""

    begin: int
    days: int
    wall: Callable[[], float]
    seed: int = 1
    switch: int = 40
    """The day from which v2 serves."""
    blocks: dict[int, Recorded] = field(default_factory=dict)
    _kept: dict[tuple[str, int, bool], Keyed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.blocks = recorded(self.begin, self.days, self.seed, self.switch)
        self._kept = kept_rows(self.begin, self.days, self.seed, self.switch)

    # ---- what Prometheus says -------------------------------------------------------------
    def __call__(self, kind: str, indexes: range, step: int) -> Iterator[Row]:
        now = self.wall()
        # Values by labels and index; a block of the question may hold several of ours.
        counts: dict[tuple[tuple[str, str], ...], Counter[int]] = defaultdict(Counter)
        for number in indexes:
            for index in range((number - 1) * step // BLOCK + 1, number * step // BLOCK + 1):
                block = self.blocks.get(index)
                if block is None or index * BLOCK > now:
                    continue
                late = now >= index * BLOCK + block.delay
                for labels, value in self._rows(kind, index, late=late):
                    counts[labels][number] += value
        for key, values in counts.items():
            yield row(dict(values), step, **dict(key))

    def _rows(self, kind: str, index: int, *, late: bool) -> Keyed:
        """Return the rows of a block, by their labels in order."""
        rows = self._kept.get((kind, index, late))
        if rows is None:
            new_rows = rows_of(kind, self.blocks[index], late=late)
            rows = tuple((tuple(sorted(labels.items())), value) for labels, value in new_rows)
            self._kept[kind, index, late] = rows
        return rows

    # ---- the same, counted independently -------------------------------------------------
    def recount(self, zone: str, *, until: float) -> dict[str, dict[str, tuple[int, int]]]:
        """Return bad events and all of each SLO by date, of the blocks that ended by then."""
        events: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for index, block in self.blocks.items():
            if index * BLOCK > until:
                continue
            middle = datetime.fromtimestamp(index * BLOCK - BLOCK // 2, tz=UTC)
            date = middle.astimezone(ZoneInfo(zone)).date().isoformat()
            answered = block.requests - block.failed
            wrong = block.wrong + block.late_wrong
            counts = {
                "availability": (block.failed, block.requests),
                "latency": (answered - block.fast, answered),
                "accuracy": (wrong, wrong + block.right + block.late_right),
            }
            for slo, (bad, total) in counts.items():
                before = events[date].get(slo, (0, 0))
                events[date][slo] = (before[0] + bad, before[1] + total)
        return events

    def recount_markets(self) -> Counter[str]:
        """Return labels by market, of all."""
        counts: Counter[str] = Counter()
        for block in self.blocks.values():
            counts[block.market] += block.right + block.wrong + block.late_right + block.late_wrong
        return counts


def rows_of(kind: str, block: Recorded, *, late: bool) -> Iterator[tuple[dict[str, str], int]]:
    """Yield labels and growth of each series of a block, as the query of this kind groups them."""
    product_labels = {"namespace": NAMESPACE, "product": PRODUCT}
    served = {**product_labels, "version": block.version, "runner_name": "Pricing"}
    predicted = {**product_labels, "prediction_version": block.version}
    right = block.right + (block.late_right if late else 0)
    wrong = block.wrong + (block.late_wrong if late else 0)
    answered = block.requests - block.failed
    match kind:
        case "targets":
            scrapes = BLOCK // 30
            for fact, value in {"up": scrapes, "scrapes": scrapes, "longest": scrapes}.items():
                yield {**product_labels, "version": block.version, "sluicegate_fact": fact}, value
        case "requests":
            yield served, block.requests
        case "requests_bad":
            yield {**served, "http_response_code": "500"}, block.failed
        case "latency":
            yield {**served, "le": "0.25"}, block.fast
            yield {**served, "le": "+Inf"}, answered
        case "histogram":
            yield {**product_labels, "le": "0.1"}, block.fast // 2
            yield {**product_labels, "le": "0.25"}, block.fast
            yield {**product_labels, "le": "+Inf"}, answered
        case "labelled":
            yield {**predicted, "outcome": "correct"}, right
            yield {**predicted, "outcome": "wrong"}, wrong
        case "markets":
            labels = {**predicted, "indicator": "outcomes", "market": block.market}
            yield {**labels, "outcome": "good"}, right
            yield {**labels, "outcome": "bad"}, wrong
