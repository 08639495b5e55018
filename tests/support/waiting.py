"""Waits that poll until a condition holds; no test sleeps for a fixed time.

A deadline distinguishes a test that hangs from one that goes on, and on a machine that has other work it
says nothing of what is tested. So time at which any task waits for a core doesn't count, up to
`EXCUSE` times the deadline. How long something takes is a bar (`took`), and holds with `--bars`
alone, where nothing else runs: `make bars`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

EXCUSE = 4
PRESSURE = Path("/proc/pressure/cpu")
"""How long some task has waited for a core since the machine runs; where the kernel doesn't say it, each
wait is taken for one for a core."""

_bars = [False]


def assert_bars() -> None:
    """Measure deadlines by the wall clock from now on, and assert bars."""
    _bars[0] = True


def took(seconds: float, bar: float, what: str) -> None:
    """Print a duration; with `--bars` assert that it isn't above the bar.

    Raises
    ------
    AssertionError
        Bars are asserted, and this one doesn't hold.
    """
    print(f"{what}: {seconds:.1f} s, the bar is {bar:g} s")
    assert seconds <= bar or not _bars[0], f"{what} took {seconds:.1f} s, not {bar:g} s"


def eventually(
    holds: Callable[[], T], *, seconds: float = 30, what: str = "", every: float = 0.1
) -> T:
    """Return the first true value of `holds()`.

    Raises
    ------
    AssertionError
        It didn't hold within `seconds`; the message has what was seen last.
    """
    began, pressed = time.monotonic(), _pressure()
    while not (result := holds()):
        waited = time.monotonic() - began
        excused = 0 if _bars[0] else min(_pressure() - pressed, (EXCUSE - 1) * seconds)
        if waited - excused > seconds:
            raise AssertionError(
                f"waited {waited:.0f} s in vain for {what or holds}, {excused:.0f} s of it for a "
                f"core; seen last: {result!r}"
            )
        time.sleep(every)
    return result


def _pressure() -> float:
    """Return seconds, of all that the machine runs, in which some task waited for a core."""
    try:
        some = PRESSURE.read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return time.monotonic()
    return int(some.rpartition("=")[2]) / 1e6
