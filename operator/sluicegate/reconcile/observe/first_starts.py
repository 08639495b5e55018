"""First versions on their way: since when, in this process, and how long their status may stay quiet."""

from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key

QUIET_SECONDS: Final = 30.0
"""The first write of status is the one that says Ready, unless it takes longer than this."""
QUIET_SECONDS_EACH: Final = 0.1
"""… or than this for each product that starts at the same time: each waits for the others then,
and to say so of each would make all of them wait longer. Control planes were seen to bring up
fourteen a second."""


@dataclass(frozen=True, slots=True)
class FirstStarts:
    """Start times, in seconds, of products without a serving version.

    Only in memory: after a restart all of them are reconciled again.
    """

    start_times: dict[Key, int] = field(default_factory=dict)

    def __contains__(self, key: Key) -> bool:
        """Return whether a product was reconciled without a serving version."""
        return key in self.start_times

    def start_of(self, product: DataProduct, now: int) -> int:
        """Return the time at which the first version started, in seconds; `now` before it."""
        key = Key(*product.metadata.key)
        if product.status.stable is not None or product.spec.suspend:
            self.forget(key)
            return now
        return self.start_times.setdefault(key, now)

    def forget(self, key: Key) -> None:
        """Drop the start time of a deleted product, or of one with a serving version."""
        self.start_times.pop(key, None)

    def quiet_seconds(self, product: DataProduct) -> float:
        """Return for how many seconds a start needs no report; at most the pods' deadline."""
        longest = product.spec.serving.progress_deadline_seconds
        return min(max(QUIET_SECONDS, QUIET_SECONDS_EACH * len(self.start_times)), longest)
