"""When what a fault of the cluster ended is tried again: a rollout, or the Job of a training."""

from typing import Final

FIRST_RETRY_SECONDS: Final = 60
LONGEST_RETRY_SECONDS: Final = 1800


def retry_seconds(earlier_faults: int) -> int:
    """Return the wait before the retry, by the faults before this one: 1, 2, 4 … 30 minutes."""
    return min(FIRST_RETRY_SECONDS << min(earlier_faults, 10), LONGEST_RETRY_SECONDS)
