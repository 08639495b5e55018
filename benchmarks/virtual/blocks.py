"""The scrapes of a version in a block, and the growth of its counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.virtual.traffic import Curve
    from benchmarks.virtual.variation import Drawn, Sum

EXACT: Final = 1e-6
"""Seconds and events that rounding may lose."""


@dataclass(frozen=True, slots=True)
class Block:
    """Scrapes of a version in a block.

    Attributes
    ----------
    scrapes : their number; `pods` : that of all its pods together.
    edge : the loop's time of the last scrape in the block before; None when it had none.
    last : of the last one. age : seconds from that to the block's end; None if it is deleted.
    exposed : of all of them, where they aren't all that a block can have.
    """

    index: int
    scrapes: int
    pods: int
    edge: float | None
    last: float
    age: float | None
    exposed: tuple[float, ...] = ()

    def count(self, curve: Curve | Drawn | Sum, lag: float = 0.0) -> int | None:
        """Return the observed growth of a counter; None if it isn't exposed yet.

        Counts of a pod before its first scrape aren't observed. `lag` is the number of seconds
        before the block at which it is read.
        """
        if curve.total(self.last - lag) < 1:
            return None
        if lag and self.edge is not None:
            return curve.count(self.edge - lag, self.last - lag)
        edge = self.edge
        if edge is None:
            edge = next(one for one in self.exposed if curve.total(one) >= 1)
        return curve.count(edge, self.last)
