"""Settings of a peer: default flags, or its own flags for speed.

The second separates its authors' defaults from the limits of its design.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DWELL_SECONDS: Final = 10
"""Time at each weight in a wave; the least that Flagger accepts."""
WEIGHTS: Final = (5, 25, 50)
"""Per cent of the requests for the canary, by step."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Flags that are added to a peer's command line.

    Attributes
    ----------
    suffix
        Added to the contender's name: "" or "-tuned".
    flags
        Command-line flags of the program.
    interval_seconds
        Interval of checks of a product outside of waves, if the product has it; Flagger's default is a
        minute.
    """

    suffix: str = ""
    flags: tuple[str, ...] = ()
    interval_seconds: int = 60


AS_IT_COMES: Final = Setting()
