"""How many pods served in a block, where an autoscaler changes that."""

from typing import Final

POD_SECONDS: Final = "pod seconds"
"""The name under which they are kept beside the SLOs; no SLO can have it."""
