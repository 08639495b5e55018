"""What keeps a child of a product from being written, as the next pass observes it. Pure."""

from dataclasses import dataclass, replace

from sluicegate.api.names import ConditionReason
from sluicegate.reconcile.observe.observation import Observation


@dataclass(frozen=True, slots=True)
class WriteObstacle:
    """The reason why a child isn't in sync.

    Attributes
    ----------
    reason : NAME_CONFLICT or APPLY_REFUSED.
    text : the child, the words of the API server, and the way out.
    """

    reason: ConditionReason
    text: str


def with_obstacle(observation: Observation, obstacle: WriteObstacle | None) -> Observation:
    """Return the observation with the obstacle of a child's write; None for none."""
    if obstacle is None:
        return replace(observation, write_refusal="")
    if obstacle.reason is ConditionReason.NAME_CONFLICT:
        return replace(observation, conflict=obstacle.text, shadowed=False)
    return replace(observation, write_refusal=obstacle.text)
