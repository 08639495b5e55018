"""Coverage of blocks: whether a version was scraped, how completely, and how recently."""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from sluicegate.prometheus.result_table import Table
from sluicegate.slo.indicators import Labels
from sluicegate.slo.queries import Fact

STALE_INTERVALS: Final = 2
"""Scrape intervals after which the newest sample of an existing target is stale."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Scrape results of a version's targets in one block.

    Attributes
    ----------
    coverage
        Share of the expected scrapes that succeeded.
    scraped
        Whether any scrape succeeded.
    stale
        Whether the newest sample is older than two scrape intervals at the block's end.
    duplicated
        Pods that are scraped by more than one target.
    pod_seconds
        Seconds for which its pods answered, added up over the pods.
    secretless
        Pods whose feedback Secret lacks a key.
    """

    coverage: float
    scraped: bool
    stale: bool
    duplicated: int
    pod_seconds: float = 0.0
    secretless: int = 0


class Scrapes:
    """Scrapes by the first labels of their targets: a version's own, or a product's.

    Coverage has two factors. Failed scrapes are visible for each version: `up` is 0 in a sample.
    Scrapes that were not attempted, because Prometheus was down, leave no sample, so they are
    visible only in all products together: no target has as many samples as the block has scrape
    intervals. A pod that exists for half a block must not count as a gap.
    """

    def __init__(self, targets: Table, *, block_seconds: int, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._stale_after = STALE_INTERVALS * interval_seconds
        fullest_series: dict[int, float] = defaultdict(float)
        self._facts: dict[Labels, dict[int, dict[str, float]]] = {}
        self._max_scrapes: dict[Labels, float] = defaultdict(float)
        for (namespace, product, version, fact_label), values in targets.items():
            owners = ((namespace, product), (namespace, product, version))
            if fact_label == Fact.LONGEST:
                max_scrapes = max(values.values(), default=0.0)
                for owner in owners:
                    self._max_scrapes[owner] = max(self._max_scrapes[owner], max_scrapes)
            for index, value in values.items():
                if fact_label == Fact.LONGEST:
                    fullest_series[index] = max(fullest_series[index], value)
                for owner in owners:
                    self._add(owner, index, fact_label, value)
        self._block_seconds = block_seconds
        expected_scrapes = block_seconds / interval_seconds
        self._attempted = {
            index: min(1.0, max_scrapes / expected_scrapes)
            for index, max_scrapes in fullest_series.items()
        }

    def _add(self, owner: Labels, index: int, fact_label: str, value: float) -> None:
        facts = self._facts.setdefault(owner, {}).setdefault(index, {})
        if fact_label == Fact.AGE:
            facts[fact_label] = min(value, facts.get(fact_label, value))
        else:
            facts[fact_label] = value + facts.get(fact_label, 0.0)

    def indexes(self, owner: Labels) -> AbstractSet[int]:
        """Return the blocks with any scrape of the owner."""
        return self._facts.get(owner, {}).keys()

    def of(self, owner: Labels, index: int) -> Scrape | None:
        """Return the scrapes of a block; None without any scrape target.

        `owner` is (namespace, product) or (namespace, product, version).
        """
        facts = self._facts.get(owner, {}).get(index)
        if not facts or not facts.get(Fact.SCRAPES):
            return None
        succeeded_share, attempted_share = facts.get(Fact.UP, 0.0), self._attempted.get(index, 0.0)
        return Scrape(
            coverage=succeeded_share / facts[Fact.SCRAPES] * attempted_share,
            scraped=succeeded_share > 0,
            # A deleted target has no newest sample: it isn't stale, it ended.
            stale=facts.get(Fact.AGE, 0.0) > self._stale_after,
            duplicated=int(facts.get(Fact.DUPLICATES, 0.0)),
            pod_seconds=succeeded_share * self._interval_of(owner) / attempted_share
            if attempted_share
            else 0.0,
            secretless=int(facts.get(Fact.SECRETLESS, 0.0)),
        )

    def _interval_of(self, owner: Labels) -> float:
        """Return the seconds between two scrapes: fewer than configured if a block has more."""
        max_scrapes = self._max_scrapes.get(owner, 0.0)
        # Samples at both ends of a block are one more than it has intervals.
        if max_scrapes > self._block_seconds / self._interval + 1:
            return self._block_seconds / max_scrapes
        return self._interval
