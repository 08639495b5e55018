"""Reads the blocks of all products as they settle, and says which products to look at then.

One loop for all of them: the queries don't depend on how many there are. It runs on a standby
too, so that a new leader has its measurements at once.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from sluicegate.api.canary import CandidatePhase
from sluicegate.api.product import DataProduct
from sluicegate.api.slos import Indicator
from sluicegate.kube.resources import Key
from sluicegate.policy.canary import LOOK_BACK_SECONDS
from sluicegate.policy.planning import warmed_up
from sluicegate.prometheus.cache import BlockCache
from sluicegate.prometheus.canaries import CanaryBlocks
from sluicegate.prometheus.evaluation import Evaluation
from sluicegate.prometheus.readings import ProductKey, Target, VersionKey
from sluicegate.prometheus.schedule import Timing
from sluicegate.reconcile.punctuality import Punctuality
from sluicegate.runtime.contracts import Priority
from sluicegate.runtime.metrics import BACKFILLING, EVALUATION_TIME
from sluicegate.slo.dispersion import LEAST_BLOCKS
from sluicegate.spans import Spans, no_spans

logger = logging.getLogger(__name__)

SHORTEST_LOOK: Final = 1.0
"""Seconds between two looks at the clock, while nothing is due."""
RETRY_SECONDS: Final = 10.0
"""How soon to ask again for what wasn't answered: a block may be minutes long, an outage not."""


class Measurements:
    """What is measured, and up to where. Used from the event loop only."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.blocks = BlockCache()
        self.canaries = CanaryBlocks()
        self.targets: dict[Key, Target] = {}
        self.news = asyncio.Event()
        """Set when a product wants to know something for the first time."""
        self._warming_up: set[Key] = set()
        self._newest: dict[int, int] = {}
        self._problems: dict[int, str] = {}
        self.punctuality = Punctuality(timing)
        self._read_at = 0.0
        self._incomplete = False

    def newest(self, block_seconds: int) -> int:
        """Index of the newest block of this length that was asked for; 0 before the first."""
        return self._newest.get(block_seconds, 0)

    def problem(self, block_seconds: int) -> str:
        """Why the newest block of this length couldn't be read; empty when it could."""
        return self._problems.get(block_seconds, "")

    def is_filled(self, key: Key) -> bool:
        """Whether the product's past was read."""
        target = self.targets.get(key)
        return target is not None and not self.blocks.pending([target])

    @property
    def owing(self) -> bool:
        """Whether something that was asked for wasn't answered yet."""
        return self._incomplete or bool(self.blocks.pending(self.targets.values()))

    def urgency(self, key: Key) -> Priority:
        """How urgent it is to look at a product of which a block has settled.

        A canary before products at rest: each of its steps would wait for all of them.
        """
        target = self.targets.get(key)
        in_canary = target is not None and target.canary_from is not None
        return Priority.NORMAL if in_canary else Priority.BACKGROUND

    def want(self, key: Key, target: Target | None, *, warms_up: bool = False) -> None:
        """Say what a product wants to know from now on; None when nothing any more.

        With `warms_up`, nothing is expected of its blocks before those that count.
        """
        (self._warming_up.add if warms_up else self._warming_up.discard)(key)
        if target is None:
            self.targets.pop(key, None)
        else:
            if key not in self.targets:
                self.news.set()
            self.targets[key] = target

    async def read(self, evaluation: Evaluation, now: float) -> Iterable[Key]:
        """Read what has settled; return the products that are to be looked at for it.

        Those aren't that only warm up, unless the reading fails: blocks say nothing of them yet.
        """
        self._mind_the_clock(evaluation, now)
        targets = tuple(self.targets.values())
        self.punctuality.expect(targets, now)
        filled = await self._fill(evaluation, targets, now)
        lengths: set[tuple[int, bool]] = set()
        begun = time.monotonic()
        fetched = await evaluation.fetch_blocks(targets, now)
        if fetched:
            EVALUATION_TIME.observe(time.monotonic() - begun)
        self._incomplete = not all(readings.complete for readings in fetched)
        for readings in fetched:
            lengths.add((readings.block_seconds, readings.canary))
            if readings.canary:
                self.canaries.record(readings)
                continue
            await self.blocks.record(readings)
            self.punctuality.record(readings)
            self._newest[readings.block_seconds] = readings.last
            self._problems[readings.block_seconds] = "" if readings.complete else readings.problem
        self._prune(targets)
        return [
            key
            for key, target in self.targets.items()
            if (target.key in filled or self._moved(target, lengths))
            and not self._only_warms_up(key, target, now)
        ]

    def _prune(self, targets: tuple[Target, ...]) -> None:
        """Forget what nobody asks for any more."""
        self.blocks.prune(targets)
        self.canaries.prune(targets)
        lengths = {target.block_seconds for target in targets}
        for kept in (self._newest, self._problems):
            for length in kept.keys() - lengths:
                del kept[length]

    def _mind_the_clock(self, evaluation: Evaluation, now: float) -> None:
        """Forget what was read, if the clock was set back: blocks of the future say nothing."""
        if now < self._read_at - SHORTEST_LOOK:
            logger.warning("the clock was set back by %.0f s: reading anew", self._read_at - now)
            self.blocks.clear()
            self.canaries.clear()
            self._newest.clear()
            evaluation.forget()
        self._read_at = now

    async def _fill(
        self, evaluation: Evaluation, targets: tuple[Target, ...], now: float
    ) -> set[ProductKey]:
        """Read the past of products that are new here; return those whose past is known now.

        A version that was just accepted has none: thousands that are created at once would be
        asked about for nothing.
        """
        waiting = self.blocks.pending(targets)
        young = [target for target in waiting if self._is_young(target, now)]
        self.blocks.record_filled(young)
        filled = {target.key for target in young}
        pending = [target for target in waiting if target.key not in filled]
        if pending:
            async for past in evaluation.backfill(pending, now):
                await self.blocks.record_past(past)
                filled |= {target.key for target in past.targets}
        BACKFILLING.set(sum(target.key not in filled for target in pending))
        return filled

    def _is_young(self, target: Target, now: float) -> bool:
        """Whether no block says anything of the stable version yet."""
        newest = self.timing.newest_settled(now, target.block_seconds)
        return newest * target.block_seconds <= target.evidence_from

    def _only_warms_up(self, key: Key, target: Target, now: float) -> bool:
        """Whether a product needn't be looked at: it waits for its first block, and all is well."""
        if key not in self._warming_up or self._incomplete or not self._is_young(target, now):
            return False
        facts = [
            self.blocks.facts(VersionKey(*target.key, version), target.block_seconds)
            for version in target.versions
        ]
        return not any(one is not None and one.stale for one in facts)

    def _moved(self, target: Target, lengths: set[tuple[int, bool]]) -> bool:
        canary = self.timing.canary_block(target.block_seconds)
        in_canary = target.canary_from is not None and (canary, True) in lengths
        return in_canary or (target.block_seconds, False) in lengths


async def keep_measuring(
    measurements: Measurements,
    evaluation: Evaluation,
    look_at: Callable[[Key, Priority], None],
    spans: Spans = no_spans,
) -> None:
    """Measure for ever; `look_at` is told each product of which a block settled, how urgently."""
    while True:
        now = time.time()
        measurements.news.clear()
        if measurements.targets:
            with spans("measure", {"sluicegate.products": len(measurements.targets)}):
                moved = await measurements.read(evaluation, now)
            for key in moved:
                look_at(key, measurements.urgency(key))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_pause(measurements, now)):
                await measurements.news.wait()
                await asyncio.sleep(SHORTEST_LOOK)  # others come along with it


def _pause(measurements: Measurements, asked_at: float) -> float:
    """Seconds until the next block of any length settles."""
    lengths = {
        length for t in measurements.targets.values() for length in _lengths(measurements, t)
    }
    timing = measurements.timing
    ends = [
        timing.settled_at(timing.newest_settled(asked_at, length) + 1, length) for length in lengths
    ]
    pause = max(min(ends, default=asked_at + SHORTEST_LOOK) - time.time(), SHORTEST_LOOK / 4)
    # A clock that was set back since then would have it wait for as long as that, and a block of
    # the shortest length ends at least once in its length.
    longest = min(lengths, default=SHORTEST_LOOK)
    return min(pause, longest, RETRY_SECONDS if measurements.owing else longest)


def _lengths(measurements: Measurements, target: Target) -> Iterator[int]:
    yield target.block_seconds
    if target.canary_from is not None:
        yield measurements.timing.canary_block(target.block_seconds)


@lru_cache(maxsize=4096)
def _shared(slos: tuple[tuple[str, Indicator], ...]) -> Mapping[str, Indicator]:
    """Indicators by SLO; thousands of products measure the same few, which are kept once."""
    return dict(slos)


def target_of(product: DataProduct, timing: Timing) -> Target | None:
    """What a product wants to know; None before it has a version that serves."""
    status = product.status
    if status.stable is None:
        return None
    candidate = status.candidate
    versions = [status.stable.version, *([candidate.version] if candidate else [])]
    canary_from = None
    if candidate is not None and candidate.phase is not CandidatePhase.PARKED:
        canary_block = timing.canary_block(product.spec.analysis.block_seconds)
        before = max(LOOK_BACK_SECONDS, LEAST_BLOCKS * canary_block)
        canary_from = int(candidate.since.timestamp()) - before
    meta, seconds = product.metadata, product.spec.analysis.block_seconds
    return Target(
        key=ProductKey(meta.namespace, meta.name),
        versions=tuple(dict.fromkeys(versions)),
        slos=_shared(tuple((slo.name, slo.indicator) for slo in product.spec.slos)),
        block_seconds=seconds,
        service=status.stable.service,
        canary_from=canary_from,
        evidence_from=warmed_up(status.stable.promoted_at.timestamp(), seconds) * seconds,
    )
