"""How a rollout, a version or a training ended: one word for the same thing in all of the API."""

from enum import StrEnum
from typing import Final

from pydantic import WithJsonSchema


class Outcome(StrEnum):
    """How it ended, or that it hasn't yet."""

    IN_PROGRESS = "InProgress"
    """It goes on: a candidate of it is in a rollout, or waits for one."""
    PROMOTED = "Promoted"
    """It became stable."""
    REPLACED = "Replaced"
    """It was stable until another version was promoted."""
    ROLLED_BACK = "RolledBack"
    """It was worse, its pods or the traffic did not follow, or a person asked for it."""
    REJECTED = "Rejected"
    """The hold-out gate refused it before any rollout."""
    INCONCLUSIVE = "Inconclusive"
    """Its rollout ended without a verdict."""
    SUPERSEDED = "Superseded"
    """Another version took its place before a verdict."""
    NOT_TRAINED = "NotTrained"
    """Of a training: its Job ended before the fit, as the stable version scores as accepted on fresh rows."""
    FAILED = "Failed"
    """It gave no version that serves: a training failed, or pods did not start again."""


def _outcome_schema(*outcomes: Outcome) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [str(outcome) for outcome in outcomes]})


SPEC_MODEL_OUTCOMES: Final = _outcome_schema(
    Outcome.IN_PROGRESS,
    Outcome.PROMOTED,
    Outcome.ROLLED_BACK,
    Outcome.INCONCLUSIVE,
    Outcome.SUPERSEDED,
)
"""Outcomes of the model that the spec names."""
PAST_VERSION_OUTCOMES: Final = _outcome_schema(
    Outcome.REPLACED,
    Outcome.ROLLED_BACK,
    Outcome.INCONCLUSIVE,
    Outcome.SUPERSEDED,
    Outcome.FAILED,
)
"""Outcomes of a version in the history."""
TRAINING_OUTCOMES: Final = _outcome_schema(
    Outcome.IN_PROGRESS,
    Outcome.PROMOTED,
    Outcome.ROLLED_BACK,
    Outcome.REJECTED,
    Outcome.INCONCLUSIVE,
    Outcome.SUPERSEDED,
    Outcome.NOT_TRAINED,
    Outcome.FAILED,
)
"""Outcomes of a training that has ended; in progress is the rollout of what it made."""
