"""Violations that lives have found and that aren't mended yet, each as narrow as it can be told.

A life in which one of them happens goes on without the product that it happened to; everything
else that it finds still counts. Each is lived again by its own seed and steps, and must then
happen: one that was mended is to be taken out here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.prometheus_stand_in import Lie
from tests.support.lives.steps import Step

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from tests.support.lives.safety import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A violation that is excluded by name.

    Attributes
    ----------
    name : of the rule. why : what is wrong, in a sentence.
    after : kinds of steps of which one must have happened to the product, or to all, before.
    saying : words that the violation's text has.
    ends : whether the life ends there, as nothing but this would happen from then on.
    seed, steps : a life in which it happens, as short as it could be made.
    """

    name: str
    why: str
    after: AbstractSet[str]
    saying: str = ""
    ends: bool = False
    seed: int
    steps: tuple[Step, ...]

    def covers(self, violation: Violation, acted: AbstractSet[str]) -> bool:
        """Whether a violation is this one."""
        return (
            violation.name == self.name
            and bool(self.after & acted)
            and self.saying in violation.text
        )


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        name="capacity",
        why="a route that is taken away in a canary keeps its weights until the pods are fewer",
        after={"toggle_route"},
        saying="of the traffic",
        seed=6,
        steps=(
            Step(1200, "runtime", (0, "e")),
            Step(1200, "steps", (0, (99,))),
            Step(300, "push", (0, "b")),
            Step(180, "ask", (0, "sluicegate.dev/rollback-to")),
            Step(1, "toggle_route", (0,)),
            Step(180, "delete", (0,)),
        ),
    ),
    Known(
        name="capacity",
        why="a superseded candidate whose pod is evicted goes before the Gateway took its weight",
        after={"evict"},
        saying=" to 0 pods",
        seed=4,
        steps=(
            Step(180, "prometheus", (Lie.REJECTED_422, 300)),
            Step(0, "push", (1, "e")),
            Step(1200, "push", (1, "f")),
            Step(0, "evict", (1,)),
        ),
    ),
)
