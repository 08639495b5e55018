"""Counts of executed lines: how the cost of a function grows, without a clock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any


def lines_of(call: Callable[[], object]) -> int:
    """Return how many lines of the operator's code a call executes, those of loops each time."""
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if "/sluicegate/" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines


def growth(cost: Callable[[int], int], size: int) -> float:
    """Return how many times the cost of `size` grows when the size doubles: 2 is linear."""
    return cost(2 * size) / cost(size)
