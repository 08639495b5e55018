"""Pod seconds: the number of pods that served in a block, for products with an autoscaler."""

from typing import Final

POD_SECONDS: Final = "pod seconds"
"""Name under which they are kept beside the SLOs; no SLO can have it."""
