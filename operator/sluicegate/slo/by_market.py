"""How counts by market are named: in series of the library, and in the blocks that are kept."""

from typing import Final

from sluicegate.api.slos import Indicator, IndicatorKind

_SEPARATOR: Final = "@"
"""No SLO has it in its name."""


def indicator_label(slo: str, indicator: Indicator) -> str:
    """What the library counts an SLO's events under; empty where it doesn't count them by market.

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
    """The name under which the blocks of an SLO in one market are kept."""
    return f"{slo}{_SEPARATOR}{market}"


def split_series(name: str) -> tuple[str, str]:
    """SLO and market of such a name; no market in that of an SLO as a whole."""
    slo, _, market = name.partition(_SEPARATOR)
    return slo, market
