"""The blocks of all products in memory, and which products still wait for their past.

Every decision is made from here. Nothing in it is state: after a restart the same blocks are
read again, the newest singly and older ones as sums of twelve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate.slo.blocks import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sluicegate.prometheus.readings import (
        Facts,
        Mean,
        ProductKey,
        Readings,
        SeriesKey,
        Target,
        VersionKey,
    )

MEANS: Final = 408
"""Block means of a gauge that are kept."""


class BlockCache:
    """Blocks by SLO and length of block; facts by version. Used from the event loop only."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, SeriesKey], Series] = {}
        self._means: dict[tuple[int, SeriesKey], dict[int, Mean]] = {}
        self._facts: dict[tuple[int, VersionKey], Facts] = {}
        self._filled: dict[ProductKey, int] = {}

    # ---- writing ---------------------------------------------------------------------------

    def record(self, readings: Readings) -> None:
        """Take in blocks; one that is read again replaces what it said before."""
        length = readings.block_seconds
        for key, blocks in readings.blocks.items():
            series = self._series.setdefault((length, key), Series())
            for block in blocks:
                series.record(block)
        for key, means in readings.means.items():
            self._record_means((length, key), means)
        for version, facts in readings.facts.items():
            self._facts[length, version] = facts

    def record_hours(self, block_seconds: int, hours: Readings) -> None:
        """Take in sums of twelve blocks; they replace what single blocks of the hour added up to.

        The hour that is still going on keeps the sum of its single blocks.
        """
        for key, blocks in hours.blocks.items():
            series = self._series.setdefault((block_seconds, key), Series())
            for block in blocks:
                series.record_hour(block.index - 1, block.count)

    def mark_filled(self, targets: Iterable[Target]) -> None:
        """These products' past was read."""
        self._filled |= {target.key: target.block_seconds for target in targets}

    def prune(self, targets: Iterable[Target]) -> None:
        """Forget products, versions and SLOs that nobody asks for any more."""
        live = {(*target.key, version): target for target in targets for version in target.versions}
        for kept in (self._series, self._means):
            for length, key in [*kept]:
                target = live.get(key[:3])
                if target is None or (key.slo and key.slo not in target.slos):
                    del kept[length, key]
        self._facts = {key: facts for key, facts in self._facts.items() if key[1] in live}
        products = {target.key for target in live.values()}
        self._filled = {key: length for key, length in self._filled.items() if key in products}

    def _record_means(self, key: tuple[int, SeriesKey], means: Sequence[Mean]) -> None:
        kept = self._means.setdefault(key, {})
        kept.update((mean.index, mean) for mean in means)
        for index in sorted(kept)[:-MEANS]:
            del kept[index]

    # ---- reading ---------------------------------------------------------------------------

    def pending(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Products whose past isn't read yet: Unknown, reason Backfilling, until it is."""
        return tuple(t for t in targets if self._filled.get(t.key) != t.block_seconds)

    def series(self, key: SeriesKey, block_seconds: int) -> Series:
        """The blocks of one SLO; an empty series where nothing was read."""
        return self._series.get((block_seconds, key)) or Series()

    def means(self, key: SeriesKey, block_seconds: int) -> tuple[Mean, ...]:
        """The block means of one gauge, oldest first."""
        kept = self._means.get((block_seconds, key), {})
        return tuple(kept[index] for index in sorted(kept))

    def facts(self, version: VersionKey, block_seconds: int) -> Facts | None:
        """What else is known of a version at its newest block; None before the first."""
        return self._facts.get((block_seconds, version))
