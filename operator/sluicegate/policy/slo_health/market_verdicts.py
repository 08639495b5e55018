"""How each SLO does in each market, and whether one market alone is bad.

Markets are small: most of the time their events are too few to say anything, and then nothing is
said. Each is judged again after every block, and a product has many of them, so a bad one is found
by a test that holds under all these looks together (`stats.lasting_alarm`).

Source: E. B. Wilson, JASA 22 (1927) 209–212, as in `stats.intervals`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple

from sluicegate.api.base import rfc3339
from sluicegate.api.slo_status import SloState
from sluicegate.policy.model.terms import SloTerms
from sluicegate.slo.blocks import SINGLE_BLOCKS, Series, hour_of
from sluicegate.stats import lasting_alarm
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS, Calendar
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.cusum import Bank
from sluicegate.stats.dispersion import successive_dispersion
from sluicegate.stats.intervals import Z95, Z_INTERVAL, wilson_lower, wilson_upper
from sluicegate.stats.lasting_alarm import LastingAlarm
from sluicegate.views.numbers import events, percent

WINDOWS: Final = (12, 72, 288)
"""Blocks, an hour, six and a day of 5 minutes: a longer one says what a shorter one can't."""
ODDS: Final = (1.2, 1.5, 2.0, 4.0)
"""Factors of the odds of a bad event that are looked for: of 12 % they are 14, 17, 21 and 35 %."""
YEARS_BETWEEN_FALSE_ALARMS: Final = 20
"""Mean time between false alarms of a product, over all its SLOs and markets: a share of 5 % a year."""
MIN_RATIO: Final = 1e-6
YEAR_SECONDS: Final = 365 * 86_400
MAX_SHOWN_MARKETS: Final = 3
"""Markets of an SLO that status names; the whole matrix is in Prometheus."""
_ORDER: Final = (SloState.MISSED, SloState.UNKNOWN, SloState.MET)


@dataclass(frozen=True, slots=True)
class MarketState:
    """The state of an SLO in a market, with its events.

    Attributes
    ----------
    count : events of the window that is shown. allowed_ratio : largest share of bad events.
    start_block : the block with which the evidence begins that more are bad; that of the alarm if it is Missed.
    since : the same as a time in seconds, of a market that is Missed; kept over a restart.
    budget : events of the error budget's window.
    """

    market: str
    state: SloState
    count: Count
    allowed_ratio: float = 0.0
    start_block: int = 0
    since: int | None = None
    budget: Count = NOTHING


@dataclass(frozen=True, slots=True)
class MarketLimit:
    """The limit of an SLO in each of its markets.

    Attributes
    ----------
    allowed_ratio : largest share of bad events. cells : number of SLOs times markets of the product.
    calendar : of the product's blocks.
    """

    allowed_ratio: float
    cells: int
    calendar: Calendar

    @property
    def ratio(self) -> float:
        """Return the limit within (0, 1), so that a bad event has finite evidence also where none is allowed."""
        return min(max(self.allowed_ratio, MIN_RATIO), 1 - MIN_RATIO)

    @property
    def bank(self) -> Bank:
        """Return the CUSUM test of a cell, in which a change may begin at each block."""
        blocks = YEARS_BETWEEN_FALSE_ALARMS * YEAR_SECONDS / self.calendar.block_seconds
        return lasting_alarm.cusum_bank_of_odds(self.ratio, ODDS, blocks * max(self.cells, 1))


def judge_markets(
    series: Mapping[str, Series],
    newest: int,
    limit: MarketLimit,
    *,
    since: int = 0,
    were_bad: Collection[str] = (),
) -> tuple[MarketState, ...]:
    """Return the state of an SLO in each market, the worst first.

    Parameters
    ----------
    series : blocks by market. newest : the block up to which events count.
    since : blocks up to this one are no evidence.
    were_bad : markets that were bad a block ago; an alarm outlasts a restart by it.
    """
    bank = limit.bank
    states = [
        _judged(
            market,
            blocks,
            _Span(since, newest),
            limit.allowed_ratio,
            bank=bank,
            was_bad=market in were_bad,
        )
        for market, blocks in series.items()
    ]
    return worst_first(states)


class _Span(NamedTuple):
    """The counting blocks: after `since`, up to `newest`."""

    since: int
    newest: int


def _judged(
    market: str, blocks: Series, span: _Span, allowed: float, *, bank: Bank, was_bad: bool
) -> MarketState:
    since, newest = span
    alarm = _alarm_evidence(blocks, min(newest, blocks.newest), bank, since)
    state_of = partial(MarketState, market, allowed_ratio=allowed, start_block=alarm.begin_block)
    if alarm.is_lasting or (was_bad and alarm.statistic >= bank.alarm_bound / 2):
        age = newest + 1 - alarm.begin_block
        recent_counts = (blocks.window(newest, min(age, window), since) for window in WINDOWS[1:])
        count = next((count for count in recent_counts if count.total), NOTHING)
        return state_of(SloState.MISSED if count.total else SloState.UNKNOWN, count)
    count = blocks.window(newest, WINDOWS[0], since)
    for window in WINDOWS if alarm.statistic < bank.alarm_bound / 2 else ():
        count = blocks.window(newest, window, since)
        if is_met(count, allowed):
            return state_of(SloState.MET, count)
    return state_of(SloState.UNKNOWN, count)


def is_met(count: Count, allowed: float) -> bool:
    """Return whether the share of bad events is shown to be allowed, at 95 % in this window."""
    return count.total > 0 and wilson_upper(count.bad, count.total, Z95) <= allowed


def is_bad(count: Count, allowed: float) -> bool:
    """Return whether the share of bad events is shown to be more than allowed, at 95 % in this window."""
    return count.total > 0 and wilson_lower(count.bad, count.total, Z95) > allowed


def _alarm_evidence(blocks: Series, newest: int, bank: Bank, since: int) -> LastingAlarm:
    """Return the evidence up to block `newest`, from single blocks where stored, else from their sums.

    Evidence of the past begins from the sums again once a block was read again, as in a replica that starts.
    """
    alarm_before = blocks.derived.get((bank, since))
    if (
        isinstance(alarm_before, _CellEvidence)
        and alarm_before.repeats == blocks.repeats
        and newest - SINGLE_BLOCKS < alarm_before.alarm.next_block <= newest + 1
    ):
        alarm, phi = alarm_before.alarm, alarm_before.phi
    else:
        phi = _phi(blocks, newest)
        end = hour_of(blocks.newest - SINGLE_BLOCKS) + 1
        alarm = _sums_evidence(blocks, end, bank, phi, since=since)
    if alarm.next_block <= newest:
        if hour_of(newest) != hour_of(alarm.next_block - 1):
            phi = _phi(blocks, newest)
        counts = [
            blocks.block(index).count if index > since else NOTHING
            for index in range(alarm.next_block, newest + 1)
        ]
        alarm = lasting_alarm.advance_alarm(alarm, bank, counts, phi)
    blocks.derived[bank, since] = _CellEvidence(alarm, phi, blocks.repeats)
    return alarm


class _CellEvidence(NamedTuple):
    """The evidence of a cell up to its newest block, and its dispersion.

    `repeats` is how many of the cell's blocks had been read again by then.
    """

    alarm: LastingAlarm
    phi: float
    repeats: int


def _sums_evidence(blocks: Series, end: int, bank: Bank, phi: float, *, since: int) -> LastingAlarm:
    """Return the evidence of the sums before `end`, where single blocks begin.

    Of an hour in which block `since` lies, only the blocks that are kept singly can count.
    """
    first = min(max(blocks.first_hour, end - HOURS + 1, hour_of(since) + 1), end)
    alarm = lasting_alarm.begin_alarm(bank, first)
    alarm = lasting_alarm.advance_alarm(
        alarm, bank, zip(*blocks.hours(first, end - 1), strict=True), phi
    )
    begin_block, after = (
        BLOCKS_PER_HOUR * sums + 1 for sums in (alarm.begin_block, alarm.next_block)
    )
    return replace(alarm, begin_block=begin_block, next_block=after)


def _phi(blocks: Series, newest: int) -> float:
    """Return the dispersion of the sums, as a multiple of that of independent events."""
    last = hour_of(newest)
    first = min(max(blocks.first_hour, last - HOURS + 1), last)
    return successive_dispersion(zip(*blocks.hours(first, last - 1), strict=True))


def worst_first(states: Iterable[MarketState]) -> tuple[MarketState, ...]:
    """Return markets in the order in which status lists them."""
    return tuple(sorted(states, key=_badness))


def _badness(state: MarketState) -> tuple[int, float, str]:
    share = state.count.bad / state.count.total if state.count.total else 0.0
    return _ORDER.index(state.state), -share, state.market


def interval_of(count: Count) -> tuple[float, float]:
    """Return the 95 % Wilson interval of the share of good events."""
    return 1 - wilson_upper(*count, Z_INTERVAL), 1 - wilson_lower(*count, Z_INTERVAL)


def describe_market(slo: SloTerms, state: MarketState) -> str:
    """Return the numbers of a market that misses an SLO, as a clause without a full stop."""
    bad, total = state.count
    low, high = interval_of(state.count)
    since = "" if state.since is None else f" since {rfc3339(state.since)}"
    required = 1 - state.allowed_ratio
    return (
        f"{slo.subject} is missed in {state.market}{since}: {percent(1 - bad / total, required)}"
        f" ({events(total)}, 95 %: {percent(low)} to {percent(high)}), at least"
        f" {percent(required)} is required"
    )


def only_bad_market(states: Iterable[MarketState]) -> MarketState | None:
    """Return the only bad market, if at least one other is good and none is bad; else None."""
    all_states = tuple(states)
    bad = [market_state for market_state in all_states if market_state.state is SloState.MISSED]
    good = any(market_state.state is SloState.MET for market_state in all_states)
    return bad[0] if len(bad) == 1 and good else None
