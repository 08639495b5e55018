"""Folds over long sequences of blocks, of which nearly all are the same in each evaluation.

An evaluation computes the evidence of a canary from all of its blocks. Sums after whole stretches
are cached by the sums before them and the hash of their blocks, so only the newest are added again.
Hashes of tuples of counts have 64 bits, and the sums before a stretch have to be equal, too.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

STRETCH: Final = 64
"""Blocks whose sums are cached as one."""
MOST_STRETCHES: Final = 2**15
"""Sums in the cache, of all canaries: two million blocks in about twenty megabytes."""
ASum = TypeVar("ASum")
Rule = tuple[float, float]
"""Margin and correlation: what else the sums depend on."""
_KNOWN: Final[dict[tuple[object, ...], Any]] = {}


def fold_cached(
    add: Callable[[ASum, Sequence[Any], Rule], ASum],
    sums: ASum,
    blocks: tuple[Any, ...],
    rule: Rule,
) -> ASum:
    """Return the sums after all blocks, oldest first; `add` returns those after some more of them.

    Parameters
    ----------
    sums : what is there before the first block; hashable, as the blocks are.
    """
    for start in range(0, len(blocks), STRETCH):
        stretch = blocks[start : start + STRETCH]
        if len(stretch) < STRETCH:
            return add(sums, stretch, rule)
        sums = _after(add, sums, stretch, rule)
    return sums


def _after(
    add: Callable[[ASum, Sequence[Any], Rule], ASum],
    sums: ASum,
    blocks: tuple[Any, ...],
    rule: Rule,
) -> ASum:
    key = (add, sums, rule, hash(blocks))
    after: ASum | None = _KNOWN.pop(key, None)
    if after is None:
        after = add(sums, blocks, rule)
        if len(_KNOWN) >= MOST_STRETCHES:
            del _KNOWN[next(iter(_KNOWN))]
    _KNOWN[key] = after  # as the newest
    return after
