"""Names of counts by market: in series of the library, and in the blocks that are kept."""

from typing import Final

from sluicegate.api.slos import Indicator, IndicatorKind

_SEPARATOR: Final = "@"
"""Character that no SLO's name contains."""


def indicator_label(slo: str, indicator: Indicator) -> str:
    """Return the label under which the library counts an SLO's events; empty where it has none by market.

    Raw counters, gauges and PromQL are the product's own, with unknown labels.
    """
    match indicator.kind:
        case IndicatorKind.AVAILABILITY:
            return "availability"
        case IndicatorKind.LATENCY:
            assert indicator.latency
            return f"latency:{indicator.latency.threshold_milliseconds}"
        case IndicatorKind.OUTCOMES:
            return "outcomes"
        case IndicatorKind.EVENTS:
            assert indicator.events
            return indicator.events.indicator or slo
        case IndicatorKind.COUNTERS | IndicatorKind.GAUGE | IndicatorKind.PROMQL:
            return ""


def market_series(slo: str, market: str) -> str:
    """Return the name under which the blocks of an SLO in one market are kept."""
    return f"{slo}{_SEPARATOR}{market}"


def split_series(name: str) -> tuple[str, str]:
    """Split such a name into SLO and market; the market is empty for the SLO as a whole."""
    slo, _, market = name.partition(_SEPARATOR)
    return slo, market
