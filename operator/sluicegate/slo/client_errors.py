"""Client errors: responses with 4xx, and how they are kept beside the SLOs.

A version that answers 400 to every request fails by no SLO: availability counts 5xx, latency counts
2xx. So the share of 4xx is counted for every product that may change its version, whatever SLOs
it has. The codes are read with the failures, by one query.
"""

from enum import StrEnum
from typing import Final

CLIENT_ERRORS: Final = "client errors (4xx)"
"""Name under which they are kept and reported; no SLO can have it."""
_CODES_OF_UNKNOWN_PATHS: Final = frozenset({"404", "405"})


class ResponseKind(StrEnum):
    """Kinds of responses to unsuccessful requests."""

    FAILED = "failed"
    """5xx: a failure of the product, counted by availability."""
    REFUSED = "refused"
    """4xx for a path and method of the service, including 429 under overload."""
    UNKNOWN = "unknown"
    """404 or 405, not counted by availability: requests of scanners aren't failures of the product."""


def classify_response(code: str) -> ResponseKind:
    """Classify a response by its status code of 400 or more."""
    if code in _CODES_OF_UNKNOWN_PATHS:
        return ResponseKind.UNKNOWN
    return ResponseKind.REFUSED if code.startswith("4") else ResponseKind.FAILED
