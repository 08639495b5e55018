"""Answers to the peers' own queries: always those of a healthy product.

Both request one number at one time, for each canary. The stand-in doesn't evaluate PromQL; a peer's
analysis has to pass, and the cost of passing is measured.
"""

from __future__ import annotations

from typing import Final

_ANSWERS: Final = (
    # Flagger's check that Prometheus is available.
    ("vector(1)", 1.0),
    ("histogram_quantile", 0.05),
    ("http_request_duration_seconds_count", 99.9),
    ("http_requests_total", 0.999),
)
"""Part of a query → its value: seconds, per cent (Flagger) and a ratio (Argo Rollouts)."""


def answer(query: str) -> float | None:
    """Return the value of an instant query; None for one that no peer sends."""
    return next((value for part, value in _ANSWERS if part in query), None)
