"""Time for the machinery; everything that waits, fences or dates takes it as an argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns seconds."""


def boottime() -> float:
    """Return seconds since boot, including those in which the machine was suspended.

    A lease runs on in other machines while this one sleeps, so the clock that stops then
    (CLOCK_MONOTONIC) would let a resumed leader write under a lease long lost.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two clocks of a machine.

    Attributes
    ----------
    steady : seconds that only grow; their zero means nothing. For time-outs, leases and pauses.
    wall : seconds since 1970, which may be set back; for dates and for blocks.
    """

    steady: Clock = boottime
    wall: Clock = time.time
