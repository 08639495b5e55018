"""Folds over long sequences of blocks, of which nearly all are the same in each evaluation.

An evaluation computes the evidence of a canary from all of its blocks. Sums after whole stretches
are cached by the sums before them and the hash of their blocks, so only the newest are added again.
Hashes of tuples of counts have 64 bits, and the sums before a stretch have to be equal, too.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

CHUNK_BLOCKS: Final = 64
"""Blocks whose sums are cached as one."""
MAX_CACHED_CHUNKS: Final = 2**15
"""Sums in the cache, of all canaries: two million blocks in about twenty megabytes."""
Accumulator = TypeVar("Accumulator")
Counted_co = TypeVar("Counted_co", covariant=True)
Rule = tuple[float, float]
"""Margin and correlation: what else the sums depend on."""
_CACHED_SUMS: Final[dict[tuple[object, ...], Any]] = {}


@dataclass(frozen=True, slots=True)
class Derived(Generic[Counted_co]):
    """Counts that are derived from blocks, and read only where their sums aren't cached.

    Attributes
    ----------
    rule : what they follow from beside their blocks. numbers : of these blocks, each unique.
    read : the counts of a stretch of these blocks, oldest first.
    """

    rule: tuple[object, ...]
    numbers: tuple[int, ...]
    read: Callable[[slice], Iterable[Counted_co]]


def fold_cached(
    add_blocks: Callable[[Accumulator, Sequence[Any], Rule], Accumulator],
    initial_sums: Accumulator,
    blocks: tuple[Any, ...] | Derived[Any],
    rule: Rule,
) -> Accumulator:
    """Fold blocks, oldest first, into sums; the sums after each chunk of blocks are cached.

    Parameters
    ----------
    sums : before the first block; hashable, like the blocks.
    """
    derived = blocks if isinstance(blocks, Derived) else Derived((), blocks, blocks.__getitem__)
    for start in range(0, len(derived.numbers), CHUNK_BLOCKS):
        chunk = slice(start, start + CHUNK_BLOCKS)
        if chunk.stop > len(derived.numbers):
            return add_blocks(initial_sums, tuple(derived.read(chunk)), rule)
        initial_sums = _cached_sums_after(add_blocks, initial_sums, derived, rule, chunk=chunk)
    return initial_sums


def _cached_sums_after(
    add_blocks: Callable[[Accumulator, Sequence[Any], Rule], Accumulator],
    previous_sums: Accumulator,
    derived: Derived[Any],
    rule: Rule,
    *,
    chunk: slice,
) -> Accumulator:
    key = (add_blocks, previous_sums, rule, derived.rule, hash(derived.numbers[chunk]))
    cached_sums: Accumulator | None = _CACHED_SUMS.pop(key, None)
    if cached_sums is None:
        cached_sums = add_blocks(previous_sums, tuple(derived.read(chunk)), rule)
        if len(_CACHED_SUMS) >= MAX_CACHED_CHUNKS:
            del _CACHED_SUMS[next(iter(_CACHED_SUMS))]
    _CACHED_SUMS[key] = cached_sums  # as the newest
    return cached_sums
