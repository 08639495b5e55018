"""One block of a canary: what both versions did in it, by their own SLOs and by those of consumers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from sluicegate.slo.blocks import BlockValue, Quality
from sluicegate.slo.label_ages import LabelsByAge
from sluicegate.stats.paired import Pairs

NO_VALUES: Final[Mapping[str, Any]] = {}
"""Shared, as a canary has hundreds of blocks in which most of this is empty."""
_NUMBERS: Final = count()


@dataclass(frozen=True, slots=True)
class CanaryBlock:
    """One block of both arms.

    Attributes
    ----------
    end : when it ended, in seconds.
    quality : COUNTED when the reading succeeded with enough scrapes.
    stable, candidate : what it says of each SLO; an SLO that is missing has no series.
    canary_up : whether the candidate's pods answered their scrapes.
    gauges : means of (candidate, stable) by SLO, where both have one.
    sent : requests that the gateway sent to (candidate, stable); None where it doesn't say.
    pairs : labelled requests that both predicted for, as they are mirrored; None without any.
    ages : labels of both by their age; None where the library of neither counts it.
    number : of the block in this process; no other block has it, so cached sums are found by it.
    """

    end: int
    quality: Quality
    stable: Mapping[str, BlockValue] = field(default_factory=dict)
    candidate: Mapping[str, BlockValue] = field(default_factory=lambda: NO_VALUES)
    canary_up: bool = True
    gauges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: NO_VALUES)
    sent: tuple[int, int] | None = None
    pairs: Pairs | None = None
    ages: LabelsByAge | None = None
    number: int = field(default_factory=_NUMBERS.__next__, init=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ConsumerBlock:
    """A block of a consumer, counted by the version of the upstream that answered.

    Attributes
    ----------
    counts : of the consumer's SLOs, by version of the upstream; before the rollout, those of its version
        then. requests : that called the upstream. mixed : of these, that met both versions.
    unmarked : of these, that have no answer which names its version.
    """

    counts: CanaryBlock
    requests: int = 0
    mixed: int = 0
    unmarked: int = 0
