"""The garbage collector of a process that runs tests."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (200_000, 20, 100)
"""A test makes little that reference counts don't free; to look for it took a twentieth of the time
of all tests, and a sixth of a life's."""


def collect_rarely() -> None:
    """Collect garbage rarely, and never among existing objects."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
