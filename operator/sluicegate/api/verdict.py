"""How the canary of a version ended, and what both versions showed until then."""

from typing import Annotated, Final

from pydantic import Field

from sluicegate.api.base import Counted, Events, Number, StatusModel
from sluicegate.api.list_types import Keyed

LONGEST_VERDICT: Final = 1024
"""Characters of the message of a verdict."""


MAX_ARM_MARKETS: Final = 16
"""Markets of an SLO whose events of both versions are kept: those with the most of the candidate."""
ArmPairs = Annotated[tuple[Events, ...], Field(min_length=4, max_length=4)]
"""Bad events and all of the candidate, then those of stable."""
ArmMarkets = Annotated[dict[str, ArmPairs], Field(max_length=MAX_ARM_MARKETS)]
"""Events of both versions by market."""


class ArmCounts(StatusModel):
    """Events of one SLO of both versions in the same blocks at the end of the canary, or rows of one hold-out."""

    name: str
    """Name of the SLO."""
    indicator: str = ""
    """Kind of the SLO's indicator."""
    candidate: Counted
    """Events of the candidate."""
    stable: Counted
    """Events of stable in the same blocks."""
    markets: ArmMarkets = Field(default_factory=dict)
    """Bad events and all of the candidate, then those of stable, by market, of the blocks whose labels
    have come; left out for an SLO that isn't counted by market."""
    phi: Annotated[Number, Field(alias="dispersion")] = "1"
    """Dispersion of the blocks; an interval is as wide as that of so many times fewer events."""
    hold_out: bool = False
    """Whether these are rows of the training's hold-out, where the canary ended before the events of both
    versions could be compared; left out for events."""


class CanaryVerdict(StatusModel):
    """Decision with which the canary of a version ended, with the events of both versions."""

    type: str
    """Type of the decision: Promote, Rollback or Inconclusive."""
    reason: str
    """Reason of the decision, in one word."""
    message: Annotated[str, Field(max_length=LONGEST_VERDICT)] = ""
    """Explanation of the decision with its numbers."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Largest share of the traffic that the version had before the decision, in percent."""
    traffic_seconds: Annotated[int, Field(ge=0)] = 0
    """Seconds from its first traffic to the end of its canary."""
    slos: Annotated[tuple[ArmCounts, ...], Field(max_length=16), Keyed("name")] = ()
    """Events of both versions by SLO; empty for a version that took no measured traffic."""
