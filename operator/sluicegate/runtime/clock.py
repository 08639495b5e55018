"""Clocks; every function that waits, fences or writes times takes them as an argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""A function that returns seconds."""


def boot_seconds() -> float:
    """Return the seconds since boot, including those in which the machine was suspended.

    A lease continues on other machines while this one is suspended. With a clock that stops then
    (CLOCK_MONOTONIC) a resumed leader would write under an expired lease.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks of a machine.

    Attributes
    ----------
    steady : seconds that only grow, from any start. For timeouts, leases and pauses.
    wall : seconds since 1970, which may be set back; for dates and for blocks.
    """

    steady: Clock = boot_seconds
    wall: Clock = time.time
