"""Waits that look again until something holds; no test sleeps and hopes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def eventually(
    holds: Callable[[], T], *, seconds: float = 30, what: str = "", every: float = 0.1
) -> T:
    """What `holds()` returns, once that is true.

    Raises
    ------
    AssertionError
        It didn't hold within `seconds`; the message has what was seen last.
    """
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {seconds:g} s in vain for {what or holds}; seen last: {seen!r}"
            )
        time.sleep(every)
    return seen
