"""What may be chosen about the add-ons."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cluster.errors import ClusterError

SCRAPE_VARIABLE = "SLUICEGATE_SCRAPE_SECONDS"


@dataclass(frozen=True, slots=True)
class Options:
    """`scrape_seconds`: how often Prometheus reads each pod.

    A block of a product's analysis needs at least four scrapes, so the default serves blocks
    of 5 s, as the demo and the tests use. `retention` is how long Prometheus remembers; the
    operator fills its windows from there after a restart, so less than 15 days won't do.
    """

    scrape_seconds: int = 1
    retention: str = "15d"

    @classmethod
    def from_environment(cls) -> Options:
        """Return the options with SLUICEGATE_SCRAPE_SECONDS, if that is set."""
        text = os.environ.get(SCRAPE_VARIABLE)
        if not text:
            return cls()
        if not text.isdigit() or int(text) < 1:
            raise ClusterError(f"{SCRAPE_VARIABLE} is {text!r}: give whole seconds, at least 1")
        return cls(scrape_seconds=int(text))
