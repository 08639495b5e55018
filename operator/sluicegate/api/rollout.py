"""Spec of a rollout: how a new version reaches users."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from sluicegate.api.approvals import Approvals
from sluicegate.api.base import ApiModel, Rule
from sluicegate.api.consumers import Consumers
from sluicegate.api.route import PARENTS_RULE, ParentRef
from sluicegate.api.shadow import Mirror, Shadow

DEFAULT_MAX_DURATION_SECONDS: Final = 14_400
DEFAULT_STEPS: Final = (5, 25, 50)
"""Shares that a rollout chooses its steps from, where the spec names none."""

_NO_STEP: Final = "all of the traffic is no step: leave 100 out, it follows by itself"


def _below_all(step: object) -> object:
    if step == 100:  # noqa: PLR2004 - percent
        raise PydanticCustomError("rule", _NO_STEP)
    return step


Step = Annotated[
    int,
    Field(
        ge=1,
        le=99,
        json_schema_extra={
            "x-kubernetes-validations": [{"rule": "self != 100", "message": _NO_STEP}]
        },
    ),
    BeforeValidator(_below_all),
]
"""A share of the traffic, in percent."""


class Approval(StrEnum):
    """Who takes the last step of a rollout."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Capacity(StrEnum):
    """Where the pods of a candidate come from."""

    DOUBLE = "Double"
    REPLACE = "Replace"


class Preview(ApiModel):
    """Listeners by which a candidate answers requests with the header sluicegate-preview."""

    cel_rules: ClassVar = (PARENTS_RULE,)

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """Listeners for previews, each one of route.parentRefs. A client of them reaches the candidate
    with the header `sluicegate-preview: NAMESPACE/NAME`."""
    duration_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Time from the start of a candidate for which it takes no traffic and answers previews alone. It
    comes before maxDurationSeconds. A retrained candidate has it too, so a remedy waits for it."""


class Rollout(ApiModel):
    """How a candidate reaches users."""

    cel_rules: ClassVar = (
        Rule(
            cel="!has(self.steps) || self.steps.all(i, step, i == 0 || self.steps[i - 1] < step)",
            holds=lambda self: all(
                a < b for a, b in zip(self.steps or (), (self.steps or ())[1:], strict=False)
            ),
            message="steps must increase from one to the next, e.g. [5, 25, 50]; 100 follows by itself",
            field="steps",
        ),
    )

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20)] | None = None
    """Shares of the traffic, in percent, that a candidate has to pass. Without them those of 5, 25
    and 50 at which 50 requests of the candidate come within 15 minutes, 50 at least."""
    max_duration_seconds: Annotated[int, Field(ge=10, le=2_678_400)] | None = None
    """Maximum duration of a rollout. A candidate without a verdict by then is rolled back as
    inconclusive, which does not count as a failed training. Without it the duration follows the
    labels and requests: three times what an equal candidate takes, from four hours to 14 days; then
    time in which no request comes is not counted."""
    approval: Approval = Approval.AUTOMATIC
    """Manual waits before the promotion for the annotation sluicegate.dev/promote."""
    approvals: Approvals | None = None
    """Parties that must agree before the promotion, each in the name of a person; replaces approval.
    Without it, approval decides alone."""
    consumers: Consumers | None = None
    """Consumers whose outcomes are counted by the version that answered them. Without it none are."""
    preview: Preview | None = None
    """Lets people and tests reach a candidate by a header, before and while it has a share of the
    traffic; these requests count for nothing. Without it a candidate answers by its share alone."""
    capacity: Capacity = Capacity.DOUBLE
    """Double starts a candidate's pods beside all pods of the stable version. Replace exchanges them one
    by one (of more than 20 pods a twentieth at a time), so that both versions never have more pods than
    serving.replicas, or autoscaling.maxReplicas: for GPUs that can't be doubled. While a pod is exchanged,
    the others serve all of the traffic. A rollback returns the traffic as pods of the stable version
    become ready."""
    history_limit: Annotated[int, Field(ge=1, le=20)] = 10
    """Number of versions that are kept for a rollback."""
    shadow: Shadow | None = None
    """Scores stable and candidate on the same rows, labelled after the training: by Jobs, or by
    mirrored requests. It runs beside the canary and exposes no user; of the SLOs that it scores, the
    canary's counts only guard."""

    @property
    def mirror(self) -> Mirror | None:
        """Return how requests are mirrored to a candidate; None if they aren't."""
        return None if self.shadow is None else self.shadow.mirror
