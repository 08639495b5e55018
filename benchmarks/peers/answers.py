"""What the peers' own queries are answered: that all is well, always.

Both ask for one number at one time, per canary. The stand-in doesn't evaluate PromQL; a peer's
analysis has to pass, and what is measured is what passing costs.
"""

from __future__ import annotations

from typing import Final

_ANSWERS: Final = (
    # Flagger asks this to see whether Prometheus is there.
    ("vector(1)", 1.0),
    ("histogram_quantile", 0.05),
    ("http_request_duration_seconds_count", 99.9),
    ("http_requests_total", 0.999),
)
"""Part of a query → its value: seconds, per cent (Flagger) and a ratio (Argo Rollouts)."""


def answer(query: str) -> float | None:
    """The value of an instant query; None for one that no peer asks."""
    return next((value for part, value in _ANSWERS if part in query), None)
