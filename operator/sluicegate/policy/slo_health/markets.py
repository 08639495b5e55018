"""How each SLO does in each market, and whether one market alone is bad. Evidence, not a decision.

Markets are small: most of the time their events are too few to say anything, and then nothing is
said. Decisions stay with the product as a whole.

Source: E. B. Wilson, JASA 22 (1927) 209–212, as in `stats.intervals`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.slo_status import SloState
from sluicegate.slo.blocks import Series
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z95, wilson_lower, wilson_upper

WINDOWS: Final = (12, 72)
"""Blocks, an hour and six of 5 minutes: the shorter one says what is now, the longer one speaks
where that is too little."""
MOST_SHOWN_MARKETS: Final = 3
"""Markets of an SLO that status names; the whole matrix is in Prometheus."""
_ORDER: Final = (SloState.MISSED, SloState.UNKNOWN, SloState.MET)


@dataclass(frozen=True, slots=True)
class MarketState:
    """How one SLO does in one market: what is known, from which events."""

    market: str
    state: SloState
    count: Count


def judge(count: Count, allowed: float, *, was_bad: bool = False) -> SloState:
    """What the events of a market say against the share of bad ones that is allowed.

    Missed and Met have 95 % confidence each, one-sided; between them it is Unknown. A market that was
    bad stays so while its own share is above what is allowed, or it would flap.
    """
    if count.total <= 0:
        return SloState.UNKNOWN
    if wilson_lower(count.bad, count.total, Z95) > allowed:
        return SloState.MISSED
    if wilson_upper(count.bad, count.total, Z95) <= allowed:
        return SloState.MET
    above = count.bad > allowed * count.total
    return SloState.MISSED if was_bad and above else SloState.UNKNOWN


def judge_markets(
    series: Mapping[str, Series], newest: int, allowed: float, *, were_bad: Collection[str] = ()
) -> tuple[MarketState, ...]:
    """The state of an SLO in each market, the worst first.

    Parameters
    ----------
    series : blocks by market. newest : the block up to which events count.
    allowed : share of bad events. were_bad : markets that were bad a block ago.
    """
    found = []
    for market, blocks in series.items():
        for window in WINDOWS:
            count = blocks.window(newest, window)
            state = judge(count, allowed, was_bad=market in were_bad)
            if state is not SloState.UNKNOWN:
                break
        found.append(MarketState(market, state, count))
    return tuple(sorted(found, key=_worst_first))


def _worst_first(one: MarketState) -> tuple[int, float, str]:
    share = one.count.bad / one.count.total if one.count.total else 0.0
    return _ORDER.index(one.state), -share, one.market


def lone_bad_market(states: Iterable[MarketState]) -> MarketState | None:
    """The one market that is bad where at least one other is shown to be good, and none to be bad."""
    every = tuple(states)
    bad = [one for one in every if one.state is SloState.MISSED]
    good = any(one.state is SloState.MET for one in every)
    return bad[0] if len(bad) == 1 and good else None
