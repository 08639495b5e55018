"""Time for the machinery; everything that waits or fences takes one of these as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns seconds that only grow; their zero means nothing."""


def boottime() -> float:
    """Return seconds since boot, including those in which the machine was suspended.

    A lease runs on in other machines while this one sleeps, so the clock that stops then
    (CLOCK_MONOTONIC) would let a resumed leader write under a lease long lost.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
