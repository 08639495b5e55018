"""What a mistake in the spec holds, and how it is said. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.conditions import Finding
from sluicegate.errors import Problem
from sluicegate.reconcile.observe.observation import Observation

MOST_PROBLEMS: Final = 64
"""Maximum number of reported mistakes; there may be as many as fields."""


def listed_problems(problems: Iterable[Problem | str]) -> tuple[str, ...]:
    """Return the mistakes as status has them."""
    return tuple(str(problem)[:1024] for problem in problems)[:MOST_PROBLEMS]


def with_problems(observation: Observation, problems: Iterable[Problem]) -> Observation:
    """Return the observation with the mistakes in the spec: no new spec.model begins while there are any."""
    listed = listed_problems(problems)
    if not listed:
        return observation
    observed = replace(observation.observed, withheld="; ".join(listed))
    return replace(observation, invalid=listed, observed=observed)


def with_reused_version(observation: Observation) -> Observation:
    """Return the observation; a new spec.model under the name of another version doesn't begin.

    Measurements couldn't distinguish two digests of one name.
    """
    status, desired = observation.product.status, observation.desired
    for one in status.versions:
        if one.version == desired.version and one.digest != desired.digest and status.stable:
            text = (
                f"spec.model.bento.version: {desired.version} is already the name of {one.image}:"
                " give the new bento a new version"
            )
            reused = Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED, text)
            observed = replace(observation.observed, withheld=text)
            return replace(observation, stalled=reused, observed=observed)
    return observation
