"""Bad events of all events."""

from __future__ import annotations

from typing import Final, NamedTuple


class Count(NamedTuple):
    """Bad events of all events."""

    bad: int
    total: int

    @property
    def ratio(self) -> float | None:
        """Share of bad events; None without events."""
        return self.bad / self.total if self.total else None


NOTHING: Final = Count(0, 0)
