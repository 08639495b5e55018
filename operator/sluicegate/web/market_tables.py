"""Service levels by market on the page of a product: by the last decision, otherwise by the ledgers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview, ReviewDay, ReviewSlo
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.reporting.by_market import MAX_DRAWN_MARKETS, interval_of, required_of
from sluicegate.reporting.evolution_lines import (
    EvolutionLine,
    conceal_marks,
    market_lines,
    with_present,
)
from sluicegate.reporting.summary import budget_of, share_of
from sluicegate.reporting.text import line_document
from sluicegate.reviews.periods import local_day
from sluicegate.reviews.segments import market_days
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.views.product_facts import STATES_BY_SEVERITY, levels_by_market

BUDGET_DAYS: Final = 14
"""Days of the ledgers in the error budget of a market that status doesn't name."""

_NOT_YET: Final = (
    "not known yet: numbers of this market begin with its first day of events in the ledgers"
)
_NO_DAYS_KEPT: Final = "not known: without spec.review no days of this market are kept"


@dataclass(frozen=True, slots=True)
class SloMarketRow:
    """One SLO in one market.

    Attributes
    ----------
    ratio, interval, total : share of good events with its 95 % interval, and the number of events.
    day : date of these numbers; empty for those of the last decision.
    required : least share of good events. missed_since : None if it isn't missed.
    shares : share of good events by day; None for a day without events.
    without_ratio : why there is no share; empty if there is one.
    """

    market: str
    state: SloState
    ratio: float | None
    interval: tuple[float, ...]
    total: int
    day: str
    required: float | None
    budget_left: float | None
    missed_since: int | None
    shares: tuple[float | None, ...]
    without_ratio: str = ""


@dataclass(frozen=True, slots=True)
class MarketTable:
    """One SLO by market, the worst first. `lines` are those of the first markets."""

    slo: str
    rows: tuple[SloMarketRow, ...]
    lines: tuple[EvolutionLine, ...]

    @property
    def missed(self) -> bool:
        """Return whether a market misses the SLO."""
        return any(row.state is SloState.MISSED for row in self.rows)

    def document(self) -> dict[str, Any]:
        """Return the table for JSON."""
        return {
            "slo": self.slo,
            "markets": [
                {
                    "market": row.market, "state": str(row.state), "ratio": row.ratio,
                    "interval": list(row.interval), "events": row.total, "day": row.day,
                    "required": row.required, "budgetLeft": row.budget_left,
                    "missedSince": None if row.missed_since is None else rfc3339(row.missed_since),
                }
                for row in self.rows
            ],
            "evolution": [line_document(line) for line in self.lines],
        }  # fmt: skip


def market_tables(
    product: DataProduct, ledgers: Sequence[DataProductReview], conceal: Callable[[str], str]
) -> tuple[MarketTable, ...]:
    """Return a table for each SLO that is counted by market."""
    by_date = {day.date: day for ledger in ledgers for day in ledger.status.days}
    days = [by_date[date] for date in sorted(by_date)]
    review_slos = {slo.name: slo for slo in ledgers[-1].status.slos} if ledgers else {}
    tables = []
    for slo in product.status.slos:
        rows = tuple(
            sorted(_market_rows(slo, product, days, review_slos.get(slo.name)), key=_sort_key)
        )
        if rows:
            lines = tuple(_market_lines(slo, product, ledgers, rows[:MAX_DRAWN_MARKETS]))
            tables.append(
                MarketTable(slo.name, rows, tuple(conceal_marks(line, conceal) for line in lines))
            )
    return tuple(tables)


def _market_rows(
    slo: SloStatus, product: DataProduct, days: Sequence[ReviewDay], review_slo: ReviewSlo | None
) -> Iterator[SloMarketRow]:
    status = product.status
    market_levels = levels_by_market(slo, status, product.spec.markets)
    counts = market_days(slo.name, days)
    by_market = {market_status.market: market_status for market_status in slo.markets}
    missed_times = status.engine.slo(slo.name).missed_markets
    required_ratio = _required_ratio(slo, review_slo)
    for market in dict.fromkeys((*market_levels, *counts)):
        state = market_levels[market].state if market in market_levels else SloState.UNKNOWN
        yield _market_row(
            market, state, counts.get(market, []),
            market_status=by_market.get(market), required_ratio=required_ratio, slo=slo, missed_times=missed_times,
            has_review=product.spec.review is not None,
        )  # fmt: skip


def _required_ratio(slo: SloStatus, review_slo: ReviewSlo | None) -> float | None:
    limits = [float(market.limit) for market in slo.markets if market.limit is not None]
    if limits:
        return limits[0]
    if slo.objective is not None:
        return float(slo.objective)
    return None if review_slo is None else required_of(review_slo)


def _market_row(
    market: str,
    state: SloState,
    days: Sequence[tuple[str, Count]],
    *,
    market_status: MarketStatus | None,
    required_ratio: float | None,
    slo: SloStatus,
    missed_times: Mapping[str, int],
    has_review: bool,
) -> SloMarketRow:
    shares = tuple(share_of(count) for _, count in days)
    missed_since = missed_times.get(market)
    if market_status is not None:
        budget = market_status.budget_remaining
        return SloMarketRow(
            market=market,
            state=state,
            ratio=None if market_status.ratio is None else float(market_status.ratio),
            interval=tuple(map(float, market_status.interval)),
            total=market_status.total,
            day="",
            required=required_ratio,
            budget_left=None if budget is None else float(budget),
            missed_since=market_status.missed_start_time or missed_since,
            shares=shares,
            without_ratio="no events" if market_status.ratio is None else "",
        )
    day, day_total = next(
        (day_count for day_count in reversed(days) if day_count[1].total), ("", NOTHING)
    )
    recent_count = summed(day_count for _, day_count in days[-BUDGET_DAYS:])
    ratio = share_of(day_total)
    return SloMarketRow(
        market=market,
        state=state,
        ratio=ratio,
        interval=interval_of(day_total) or (),
        total=day_total.total,
        day=day,
        required=required_ratio,
        budget_left=budget_of(recent_count, slo.objective),
        missed_since=missed_since,
        shares=shares,
        without_ratio="" if ratio is not None else _NOT_YET if has_review else _NO_DAYS_KEPT,
    )


def _sort_key(row: SloMarketRow) -> tuple[int, float, str]:
    return STATES_BY_SEVERITY.index(row.state), 1.0 if row.ratio is None else row.ratio, row.market


def _market_lines(
    slo: SloStatus,
    product: DataProduct,
    ledgers: Sequence[DataProductReview],
    rows: Sequence[SloMarketRow],
) -> Iterator[EvolutionLine]:
    refresh_time = product.status.last_refresh_time
    by_market = {row.market: row for row in rows}
    for line in market_lines(ledgers, slo.name, tuple(by_market)) if ledgers else ():
        row = by_market[line.series[0]]
        if refresh_time is None or row.ratio is None or row.day:
            yield line
        else:
            day = local_day(refresh_time, ledgers[-1].status.time_zone)
            yield with_present(line, day, row.ratio, row.total)
