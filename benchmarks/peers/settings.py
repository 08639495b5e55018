"""How a peer is started: as it comes, or with its own flags for speed turned up.

The second is there to tell what a peer's authors chose from what its design allows. It changes
flags only: the objects that a user applies are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DWELL_SECONDS: Final = 10
"""Time at each weight; Flagger takes nothing shorter."""
WEIGHTS: Final = (5, 25, 50)
"""Per cent of the requests for the canary, step by step."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Flags that are added to a peer's command line.

    Attributes
    ----------
    suffix
        Added to the contender's name: "" or "-tuned".
    flags
        As the program takes them.
    """

    suffix: str = ""
    flags: tuple[str, ...] = ()


AS_IT_COMES: Final = Setting()
