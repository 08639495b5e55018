"""A life that fails, in words: what happened, and the shortest list of steps that leads to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.lives.life import Life, live
from tests.support.lives.shrink import shrunk

if TYPE_CHECKING:
    from tests.support.lives.safety import Violation

MAX_LIVES = 60
"""How often a life is lived again to shrink it."""


def told(life: Life, violation: Violation, *, most: int = MAX_LIVES) -> str:
    """The violation, and the life shrunk around it."""
    last: list[Violation] = [violation]

    def still(shorter: Life) -> bool:
        found = [one for one in live(shorter).violations if one.name == violation.name]
        last[:] = found or last
        return bool(found)

    short = shrunk(life, still, max_lives=most)
    again = "" if short != life else " (it couldn't be shrunk)"
    return f"{last[0]}\n{short}{again}\nagain: SEED={life.seed}{' WIDE=1' * life.wide} make lives"
