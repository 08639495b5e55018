"""Counts of executed lines: how the cost of a function grows, without a clock."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any


@dataclass
class Lines:
    """A number of executed lines."""

    number: int = 0


@contextmanager
def counted() -> Iterator[Lines]:
    """Count the lines of the operator's code that are executed meanwhile, those of loops each time."""
    lines = Lines()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if "/sluicegate/" not in frame.f_code.co_filename:
            return None
        lines.number += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def lines_of(call: Callable[[], object]) -> int:
    """Return how many lines of the operator's code a call executes, those of loops each time."""
    with counted() as lines:
        call()
    return lines.number


def growth(cost: Callable[[int], int], size: int) -> float:
    """Return how many times the cost of `size` grows when the size doubles: 2 is linear."""
    return cost(2 * size) / cost(size)
