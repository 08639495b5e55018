"""Client errors: responses with 4xx, and how they are kept beside the SLOs.

A version that answers 400 to every request fails by no SLO: availability counts 5xx, latency counts
2xx. So the share of 4xx is counted for every product that may change its version, whatever SLOs
it has. The codes are read with the failures, by one query.
"""

from enum import StrEnum
from typing import Final

CLIENT_ERRORS: Final = "client errors (4xx)"
"""The name under which they are kept and reported; no SLO can have it."""
_UNKNOWN: Final = frozenset({"404", "405"})


class Answered(StrEnum):
    """How a request that didn't succeed was answered."""

    FAILED = "failed"
    """5xx: the product's failure, which availability counts."""
    REFUSED = "refused"
    """4xx of a path and method that the service knows, 429 of an overload included."""
    UNKNOWN = "unknown"
    """404 or 405, which availability doesn't count at all: scanners aren't the product's failures."""


def answered(code: str) -> Answered:
    """How a request with this status code, of 400 or more, was answered."""
    if code in _UNKNOWN:
        return Answered.UNKNOWN
    return Answered.REFUSED if code.startswith("4") else Answered.FAILED
