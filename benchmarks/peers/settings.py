"""How a peer is started: as it comes, or with its own flags for speed turned up.

The second is there to tell what a peer's authors chose from what its design allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DWELL_SECONDS: Final = 10
"""Time at each weight in a wave; Flagger takes nothing shorter."""
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
    interval_seconds
        Between two looks at a product that is in no wave, where the product says so; a minute is
        what Flagger takes if nothing is said.
    """

    suffix: str = ""
    flags: tuple[str, ...] = ()
    interval_seconds: int = 60


AS_IT_COMES: Final = Setting()
