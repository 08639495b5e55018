"""The blocks of all products in memory, and the products whose past isn't read yet.

Every decision is made from them. They aren't state: after a restart the same blocks are read again,
the newest singly and older ones as sums of twelve.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

from sluicegate.prometheus.targets import (
    Past,
    ProductKey,
    Readings,
    SeriesKey,
    Target,
    TargetFacts,
    VersionKey,
)
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.by_market import split_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.means import Means
from sluicegate.slo.pod_seconds import POD_SECONDS

BLOCKS_PER_SLICE: Final = 1_000
"""Blocks that are recorded before other tasks of the event loop run: some two milliseconds."""


class BlockCache:
    """Blocks by SLO and block length; facts by version. Only for the event loop's thread."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, SeriesKey], Series] = {}
        self._means: dict[tuple[int, SeriesKey], Means] = {}
        self._facts: dict[tuple[int, VersionKey], TargetFacts] = {}
        self._filled_until: dict[ProductKey, int] = {}

    # ---- writing ---------------------------------------------------------------------------

    async def record(self, readings: Readings) -> None:
        """Record blocks; a repeated block replaces the earlier value.

        Thousands of products are recorded in slices, so that the event loop stays responsive.
        """
        length = readings.block_seconds
        async for key, blocks in _yielding_in_slices(readings.blocks):
            series = self._series.setdefault((length, key), Series())
            for block in blocks:
                series.record(block)
        for key, means in readings.means.items():
            cached_means = self._means.setdefault((length, key), Means())
            for block_mean in means:
                cached_means.record(
                    block_mean.index,
                    block_mean.value if block_mean.quality is Quality.COUNTED else None,
                )
        for version, facts in readings.facts.items():
            self._facts[length, version] = facts

    async def record_past(self, past_readings: Past) -> None:
        """Record the result of a backfill: single blocks, then sums of twelve, which replace them.

        The current hour keeps the sum of its single blocks, and so does an hour whose coverage as a
        whole is too low.
        """
        await self.record(past_readings.singles)
        async for key, blocks in _yielding_in_slices(past_readings.hours.blocks):
            series = self._series.get((past_readings.singles.block_seconds, key))
            if series is None:
                continue  # it was removed from the targets meanwhile
            for block in blocks:
                if block.quality is Quality.COUNTED:
                    series.record_hour(block.index - 1, block.count)
        for key, means in past_readings.hours.means.items():
            cached_means = self._means.get((past_readings.singles.block_seconds, key))
            if cached_means is None:
                continue
            for block_mean in means:
                if block_mean.quality is Quality.COUNTED:
                    cached_means.record_sum(block_mean.index - 1, block_mean.value)

    def record_filled(self, targets: Iterable[Target]) -> None:
        """Record that the past of these targets was read."""
        self._filled_until |= {target.key: target.block_seconds for target in targets}

    def record_unfilled(self, products: Iterable[ProductKey]) -> None:
        """Record that missing blocks of these products are readable, so that their past is read again."""
        for product in products:
            self._filled_until.pop(product, None)

    def clear(self) -> None:
        """Drop all readings."""
        for by_key in (self._series, self._means, self._facts, self._filled_until):
            by_key.clear()

    def prune(self, targets: Iterable[Target]) -> None:
        """Drop products, versions, SLOs and lengths that are no longer targets."""
        live_versions = {
            (*target.key, version): target for target in targets for version in target.versions
        }
        for by_key in (self._series, self._means):
            for length, key in [*by_key]:
                target = live_versions.get(key[:3])
                if target is None or not _needs_series(target, length, key.slo):
                    del by_key[length, key]
        self._facts = {
            (length, version): facts
            for (length, version), facts in self._facts.items()
            if version in live_versions and live_versions[version].block_seconds == length
        }
        products = {target.key for target in live_versions.values()}
        self._filled_until = {
            key: length for key, length in self._filled_until.items() if key in products
        }

    # ---- reading ---------------------------------------------------------------------------

    def pending(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Return the products whose past is not read yet; they are Unknown with reason Backfilling."""
        return tuple(
            target
            for target in targets
            if self._filled_until.get(target.key) != target.block_seconds
        )

    def series(self, key: SeriesKey, block_seconds: int) -> Series:
        """Return the blocks of one SLO; an empty series if nothing was read."""
        return self._series.get((block_seconds, key)) or Series()

    def means(self, key: SeriesKey, block_seconds: int) -> Means:
        """Return the block means of one gauge; none if nothing was read."""
        return self._means.get((block_seconds, key)) or Means()

    def facts(self, version: VersionKey, block_seconds: int) -> TargetFacts | None:
        """Return the other facts of a version at its newest block; None before the first."""
        return self._facts.get((block_seconds, version))


def _needs_series(target: Target, block_seconds: int, slo: str) -> bool:
    if target.block_seconds != block_seconds:
        return False
    name, market = split_series(slo)
    if market:
        return name in target.slos and market in target.markets
    extra_series = {CLIENT_ERRORS: target.client_errors, POD_SECONDS: target.counts_pods}
    return not slo or slo in target.slos or extra_series.get(slo, False)


async def _yielding_in_slices(
    rows: Mapping[SeriesKey, Sequence[Block]],
) -> AsyncIterator[tuple[SeriesKey, Sequence[Block]]]:
    """Yield the rows, with a pause for other tasks after every few milliseconds."""
    handed_out = 0
    for key, blocks in rows.items():
        handed_out += len(blocks)
        if handed_out > BLOCKS_PER_SLICE:
            handed_out = 0
            await asyncio.sleep(0)
        yield key, blocks
