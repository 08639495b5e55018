"""The error budget: the share of it that is left."""

from typing import Final

from sluicegate.stats.calendar import HOURS_A_DAY
from sluicegate.stats.counts import Count

WINDOW_HOURS: Final = 14 * HOURS_A_DAY
"""The budget's window; shorter where blocks are so short that they aren't kept for fourteen days."""


def budget_remaining(count: Count, allowed_bad: float) -> float | None:
    """Return the share of the budget that is left in a window: 1 untouched, 0 spent, negative overspent.

    None without events.
    """
    if count.total == 0:
        return None
    return 1.0 - count.bad / (allowed_bad * count.total)
