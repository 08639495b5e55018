"""Names under which outcomes of a consumer are kept by the versions of its upstream.

Each is `NAMESPACE/NAME/…`, so no SLO of the upstream has such a name.
"""

from typing import Final

OUTCOMES: Final = "@outcomes"
"""Predictions whose truth is known."""
MIXED_SERIES: Final = "@mixed"
"""Requests that called the upstream; bad are those that met both versions."""
UNMARKED_SERIES: Final = "@unmarked"
"""The same; bad are those without an answer that names its version."""
USUAL_SERIES: Final = ""
"""Version of the series of all outcomes of a consumer, whichever version answered."""


def consumer_series(consumer: str, name: str) -> str:
    """Return the name of a series of a consumer, `NAMESPACE/NAME`."""
    return f"{consumer}/{name}"


def events_of(indicator: str) -> str:
    """Return the name of the events of an indicator, without the consumer."""
    return f"@events:{indicator}"
