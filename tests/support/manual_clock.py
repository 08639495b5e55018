"""A clock that a test moves."""

from __future__ import annotations


class ManualClock:
    """Seconds, which pass when a test adds them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
