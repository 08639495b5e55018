"""Names of counts by market: in series of the library, and in the blocks that are kept."""

from typing import Final

_SEPARATOR: Final = "@"
"""Character that no SLO's name contains."""


def market_series(slo: str, market: str) -> str:
    """Return the name under which the blocks of an SLO in one market are kept."""
    return f"{slo}{_SEPARATOR}{market}"


def split_series(name: str) -> tuple[str, str]:
    """Split the name of a series into SLO and market; the market is empty for the SLO as a whole."""
    slo, _, market = name.partition(_SEPARATOR)
    return slo, market
