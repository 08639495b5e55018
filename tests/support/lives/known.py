"""Violations that lives have found and that aren't fixed yet, each described as narrowly as possible.

A life in which one of them happens goes on without the product that it happened to; everything
else that it finds still counts. Each is lived again by its own seed and steps, and must then
happen: remove a fixed one here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from tests.support.lives.safety import Violation
    from tests.support.lives.steps import Step
    from tests.support.lives.truth import TrueLife


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

    def covers(self, violation: Violation, after_decision: AbstractSet[str]) -> bool:
        """Whether a violation is this one."""
        return (
            violation.name == self.name
            and bool(self.after & after_decision)
            and self.saying in violation.text
        )


KNOWN: Final[tuple[Known, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOfTruth:
    """A violation of a life with truth that is excluded by name.

    Attributes
    ----------
    name : of the rule. why : what is wrong, in a sentence. saying : words that its text has.
    of : whether a life is one in which it may happen.
    """

    name: str
    why: str
    saying: str
    of: Callable[[TrueLife], bool] = lambda _: True


KNOWN_OF_TRUTH: Final[tuple[KnownOfTruth, ...]] = ()


def known_of(life: TrueLife, violation: Violation) -> KnownOfTruth | None:
    """What is known of a violation; None of one that is new."""
    return next(
        (
            one
            for one in KNOWN_OF_TRUTH
            if one.name == violation.name and one.saying in violation.text and one.of(life)
        ),
        None,
    )
