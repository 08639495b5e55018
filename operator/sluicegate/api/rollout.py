"""Spec of a rollout: how a new version reaches users."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sluicegate.api.base import ApiModel, Rule


class Approval(StrEnum):
    """Who takes the last step of a rollout."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Rollout(ApiModel):
    """How a candidate reaches users."""

    cel_rules: ClassVar = (
        Rule(
            cel="!has(self.steps) || self.steps.all(i, step, i == 0 || self.steps[i - 1] < step)",
            holds=lambda self: all(a < b for a, b in zip(self.steps, self.steps[1:], strict=False)),
            message="steps must increase from one to the next, e.g. [5, 25, 50]; 100 follows by itself",
            field="steps",
        ),
    )

    steps: Annotated[
        tuple[Annotated[int, Field(ge=1, le=99)], ...], Field(min_length=1, max_length=20)
    ] = (5, 25, 50)
    """Shares of the traffic, in percent, that a candidate has to pass."""
    max_duration_seconds: Annotated[int, Field(ge=10, le=2_678_400)] = 14_400
    """Maximum duration of a rollout. A candidate without a verdict by then is rolled back as
    inconclusive, which does not count as a failed training."""
    approval: Approval = Approval.AUTOMATIC
    """Manual waits before the promotion for the annotation sluicegate.dev/promote."""
    history_limit: Annotated[int, Field(ge=1, le=20)] = 10
    """Number of versions that are kept for a rollback."""
