"""Waits that look again until something holds; no test sleeps and hopes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def eventually(
    holds: Callable[[], object], *, seconds: float = 30, what: str = "", every: float = 0.1
) -> None:
    """Return once `holds()` is true.

    Raises
    ------
    AssertionError
        It didn't hold within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or holds}")
        time.sleep(every)
