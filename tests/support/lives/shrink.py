"""The shortest life that could be found in which the same still happens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.lives.life import Life


def shrunk(life: Life, still: Callable[[Life], bool], *, max_lives: int = 80) -> Life:
    """Leave out steps, then products, while `still` says so; live at most so often."""
    lives = 0

    def holds(shorter: Life) -> bool:
        nonlocal lives
        lives += 1
        return lives <= max_lives and still(shorter)

    size = len(life.steps)
    while size >= 1:
        size = max(size // 2, 1)
        shorter = next((one for one in _without(life, size) if holds(one)), None)
        while shorter is not None:
            life = shorter
            shorter = next((one for one in _without(life, size) if holds(one)), None)
        if size == 1 or lives > max_lives:
            break
    return next((one for one in _simpler(life) if holds(one)), life)


def _without(life: Life, size: int) -> Iterator[Life]:
    """The life without so many steps in a row, the last ones first."""
    for end in range(len(life.steps), 0, -size):
        begin = max(end - size, 0)
        yield replace(life, steps=life.steps[:begin] + life.steps[end:])


def _simpler(life: Life) -> Iterator[Life]:
    if len(life.products) > 1:
        yield replace(life, products=life.products[:1])
        yield replace(life, products=life.products[:2])
