"""Effect of an invalid spec on a product, and its message. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.conditions import Finding
from sluicegate.errors import Problem
from sluicegate.reconcile.observe.observation import Observation

MAX_PROBLEMS: Final = 64
"""Maximum number of reported mistakes; there may be as many as fields."""


def listed_problems(problems: Iterable[Problem | str]) -> tuple[str, ...]:
    """Return the problems in the form of status."""
    return tuple(str(problem)[:1024] for problem in problems)[:MAX_PROBLEMS]


def with_problems(observation: Observation, problems: Iterable[Problem]) -> Observation:
    """Return the observation with the spec's problems; no new spec.model starts while it has some."""
    problems_text = listed_problems(problems)
    if not problems_text:
        return observation
    observed = replace(observation.observed, withheld="; ".join(problems_text))
    return replace(observation, invalid=problems_text, observed=observed)


def with_reused_version(observation: Observation) -> Observation:
    """Return the observation; a new spec.model with the name of another version doesn't start.

    Measurements couldn't distinguish two digests of one name.
    """
    status, desired = observation.product.status, observation.desired
    for version in status.versions:
        if (
            version.version == desired.version
            and version.digest != desired.digest
            and status.stable
        ):
            text = (
                f"spec.model.bento.version: {desired.version} is already the name of {version.image}:"
                " give the new bento a new version"
            )
            finding = Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED, text)
            observed = replace(observation.observed, withheld=text)
            return replace(observation, stalled=finding, observed=observed)
    return observation
