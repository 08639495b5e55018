"""Sums over long sequences of blocks: equal to those without a cache, which is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.stats import cached_fold
from sluicegate.stats.cached_fold import CHUNK_BLOCKS, MAX_CACHED_CHUNKS, Derived, fold_cached


def added(sums, blocks, rule):
    return sums + rule[0] * sum(blocks)


@given(st.lists(st.integers(0, 9), max_size=3 * CHUNK_BLOCKS), st.integers(1, 3))
def test_cached_sums_equal_the_sums_of_all_blocks(numbers, factor):
    for _ in range(2):
        found = fold_cached(added, 7, tuple(numbers), (factor, 0.0))
        assert found == 7 + factor * sum(numbers)


def test_derived_counts_are_read_only_where_their_sums_are_not_cached():
    values = [3, 1, 4, 1, 5] * CHUNK_BLOCKS
    values, reads = values[: 3 * CHUNK_BLOCKS + 1], []

    def read(stretch: slice) -> list[int]:
        reads.append(stretch.start)
        return values[stretch]

    def folded(numbers, rule):
        reads.clear()
        found = fold_cached(added, 0, Derived(rule, numbers, read), (1.0, 0.0))
        assert found == sum(values[: len(numbers)])
        return [*reads]

    numbers = tuple(range(10**9, 10**9 + 3 * CHUNK_BLOCKS + 1))
    assert folded(numbers, ("one",)) == [0, CHUNK_BLOCKS, 2 * CHUNK_BLOCKS, 3 * CHUNK_BLOCKS]
    assert folded(numbers, ("one",)) == [3 * CHUNK_BLOCKS]
    assert folded((*numbers[:-2], 7, 8), ("one",)) == [2 * CHUNK_BLOCKS, 3 * CHUNK_BLOCKS]
    assert folded(numbers, ("another",))[0] == 0


def test_the_cache_of_evidence_sums_is_bounded(monkeypatch):
    assert CHUNK_BLOCKS * MAX_CACHED_CHUNKS == 2_097_152, "blocks"
    monkeypatch.setattr(cached_fold, "MAX_CACHED_CHUNKS", 3)
    monkeypatch.setattr(cached_fold, "_CACHED_SUMS", known := {})
    fold_cached(added, 0, tuple(range(9 * CHUNK_BLOCKS)), (1.0, 0.0))
    assert len(known) == 3
