"""What a mistake in the spec holds, and how it is said. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sluicegate.errors import Problem
from sluicegate.reconcile.observe.carried_spec import CarriedSpec
from sluicegate.reconcile.observe.observation import Observation

MOST_PROBLEMS: Final = 64
"""Maximum number of reported mistakes; there may be as many as fields."""


def listed_problems(problems: Iterable[Problem | str]) -> tuple[str, ...]:
    """The mistakes as status has them."""
    return tuple(str(problem)[:1024] for problem in problems)[:MOST_PROBLEMS]


def with_problems(observation: Observation, carried: CarriedSpec) -> Observation:
    """The observation with the mistakes in the spec: no new spec.model begins while there are any."""
    listed = listed_problems(carried.problems)
    if not listed:
        return observation
    observed = replace(observation.observed, withheld="; ".join(listed))
    return replace(observation, invalid=listed, observed=observed)
