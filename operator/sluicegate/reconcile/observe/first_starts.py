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
    """Products without a version that serves, and since when each has been reconciled, in seconds.

    Only in memory: after a restart all of them are reconciled again.
    """

    begun: dict[Key, int] = field(default_factory=dict)

    def __contains__(self, key: Key) -> bool:
        """Return whether a product was reconciled, and had no version that serves."""
        return key in self.begun

    def begin(self, product: DataProduct, now: int) -> int:
        """Return since when the first version is waited for, in seconds; `now` if none is."""
        key = Key(*product.metadata.key)
        if product.status.stable is not None or product.spec.suspend:
            self.forget(key)
            return now
        return self.begun.setdefault(key, now)

    def forget(self, key: Key) -> None:
        """Forget a product that is gone, or whose status has a version that serves."""
        self.begun.pop(key, None)

    def quiet_seconds(self, product: DataProduct) -> float:
        """Return for how long a start needn't be reported; never longer than its pods may take."""
        longest = product.spec.serving.progress_deadline_seconds
        return min(max(QUIET_SECONDS, QUIET_SECONDS_EACH * len(self.begun)), longest)
