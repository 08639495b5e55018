"""Lines over all kept ledgers of a product: its service levels and response times, with what happened. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from sluicegate.api.review import DataProductReview, ReviewDay, ReviewSlo
from sluicegate.reporting.by_market import required_of
from sluicegate.reporting.response_times import histogram_of, quantile_of
from sluicegate.reviews.periods import local_day
from sluicegate.stats.counts import NOTHING, Count, summed

PERCENT: Final = "%"
MILLISECONDS: Final = "ms"
RESPONSE_TIMES: Final = "response times"
QUANTILES: Final = {"p50": 0.5, "p95": 0.95}
MAX_POINTS: Final = 100
"""Points of a line; over more days each point has the events of 7 or 28 days."""
_STEPS: Final = (1, 7, 28)
VERSION: Final = "Version"
RETRAINING: Final = "Retrain"
ROLLBACK_MARK: Final = "Rollback"
INCIDENT_MARK: Final = "Alert"
_MARKED_TYPES: Final = frozenset({RETRAINING, ROLLBACK_MARK, INCIDENT_MARK, "Inconclusive"})
"""Types of decisions that are marks; a promotion is marked by its version."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An event of a day: the kind is Version, or the type of a decision."""

    date: str
    kind: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """Values over some days, in the unit of the line.

    Attributes
    ----------
    first, last : dates; the same for one day.
    values : one for each series; None without events. total : number of events.
    objective : the one of these days; None without one.
    present : whether it is the window of the last decision, which no ledger has yet.
    """

    first: str
    last: str
    values: tuple[float | None, ...]
    total: int
    objective: float | None = None
    present: bool = False

    @property
    def days(self) -> str:
        """Return the dates in words."""
        return self.first if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def outside(self) -> bool:
        """Return whether the objective is missed."""
        return self.objective is not None and any(
            value is not None and value < self.objective for value in self.values
        )


@dataclass(frozen=True, slots=True)
class EvolutionLine:
    """One service level, or the response times, over time.

    Attributes
    ----------
    name : of the SLO. series : names of the values of each point.
    points : the oldest first. step : days of a point; 0 for one point a period.
    initial : value at the first acceptance with its number of events; None where it isn't known.
    limit : the threshold of the SLO on latency; of response times only.
    """

    name: str
    unit: str
    series: tuple[str, ...]
    points: tuple[Point, ...]
    marks: tuple[Mark, ...]
    step: int
    initial: tuple[float, int] | None = None
    limit: float | None = None

    @property
    def has_values(self) -> bool:
        """Return whether any event was counted."""
        return any(value is not None for point in self.points for value in point.values)


@dataclass(frozen=True, slots=True)
class _Days:
    """The days of one point of a line, with the SLOs of their ledger."""

    first: str
    last: str
    days: tuple[ReviewDay, ...]
    terms: Mapping[str, ReviewSlo]


def lines_of(
    ledgers: Sequence[DataProductReview], *, by_period: bool = False
) -> tuple[EvolutionLine, ...]:
    """Return a line for each SLO that counts events, and one for the response times.

    Parameters
    ----------
    ledgers : of one product, the oldest first. Of two with the same day, the later one counts.
    by_period : whether a point is a period, and not a day or some days.
    """
    days_by_date = _days_by_date(ledgers)
    if not days_by_date:
        return ()
    step = 0 if by_period else _step_days(days_by_date)
    line_parts = list(
        _parts_of_periods(ledgers) if by_period else _parts_of_days(days_by_date, step)
    )
    marks = _period_marks(ledgers)
    last_slos = _slos_by_name(ledgers[-1])
    lines = [
        _level_line(slo, line_parts, marks, step)
        for slo in last_slos.values()
        if slo.indicator != "gauge"
    ]
    if any(day.responses for day, _ in days_by_date.values()):
        lines.append(_response_time_line(last_slos, line_parts, marks, step))
    return tuple(line for line in lines if line.has_values)


def market_lines(
    ledgers: Sequence[DataProductReview], slo: str, markets: Sequence[str]
) -> tuple[EvolutionLine, ...]:
    """Return the lines of one SLO in these markets, in their order.

    The objective is that of the market: that of the SLO, otherwise the baseline less maxDrop.
    """
    days_by_date = _days_by_date(ledgers)
    slo_terms = _slos_by_name(ledgers[-1]).get(slo) if days_by_date else None
    if slo_terms is None or not markets:
        return ()
    step = _step_days(days_by_date)
    line_parts = list(_parts_of_days(days_by_date, step))
    marks = _period_marks(ledgers)
    counts = [_market_counts(slo, line_part.days) for line_part in line_parts]
    lines = (
        _market_line(slo_terms, market, line_parts, marks, step=step, counts=counts)
        for market in markets
    )
    return tuple(line for line in lines if line.has_values)


def with_present(line: EvolutionLine, day: str, good_ratio: float, total: int) -> EvolutionLine:
    """Return the line with the share of the last decision as a further point, if that is newer than the line."""
    if line.points and day <= line.points[-1].last:
        return line
    objective = line.points[-1].objective if line.points else None
    point = Point(day, day, (100 * good_ratio,), total, objective, present=True)
    return replace(line, points=(*line.points, point))


def _days_by_date(
    ledgers: Sequence[DataProductReview],
) -> dict[str, tuple[ReviewDay, Mapping[str, ReviewSlo]]]:
    days: dict[str, tuple[ReviewDay, Mapping[str, ReviewSlo]]] = {}
    for ledger in ledgers:
        slo_terms = _slos_by_name(ledger)
        days |= {day.date: (day, slo_terms) for day in ledger.status.days}
    return dict(sorted(days.items()))


def _slos_by_name(ledger: DataProductReview) -> dict[str, ReviewSlo]:
    return {slo.name: slo for slo in ledger.status.slos}


def _step_days(dates: Mapping[str, object]) -> int:
    """Return the least number of days by which a line has few enough points."""
    first_date, last_date = (date.fromisoformat(end_function(dates)) for end_function in (min, max))
    total_days = (last_date - first_date).days + 1
    return next((step for step in _STEPS if total_days <= step * MAX_POINTS), _STEPS[-1])


def _parts_of_days(
    days_by_date: Mapping[str, tuple[ReviewDay, Mapping[str, ReviewSlo]]], step: int
) -> Iterator[_Days]:
    first_date, newest_day = date.fromisoformat(min(days_by_date)), max(days_by_date)
    line_parts: dict[int, list[str]] = defaultdict(list)
    for day in days_by_date:
        line_parts[(date.fromisoformat(day) - first_date).days // step].append(day)
    for number, dates in line_parts.items():
        start = first_date + timedelta(days=number * step)
        step_end = start + timedelta(days=step - 1)
        last_date = min(step_end.isoformat(), newest_day)
        days = tuple(days_by_date[day][0] for day in dates)
        yield _Days(start.isoformat(), last_date, days, days_by_date[dates[-1]][1])


def _parts_of_periods(ledgers: Sequence[DataProductReview]) -> Iterator[_Days]:
    for ledger in ledgers:
        days = ledger.status.days
        if days:
            yield _Days(days[0].date, days[-1].date, days, _slos_by_name(ledger))


def _level_line(
    slo: ReviewSlo, line_parts: Sequence[_Days], marks: tuple[Mark, ...], step: int
) -> EvolutionLine:
    points = []
    for line_part in line_parts:
        slo_terms = line_part.terms.get(slo.name, slo)
        count = summed(
            Count(slo_day.bad, slo_day.total)
            for day in line_part.days
            for slo_day in day.slos
            if slo_day.name == slo.name
        )
        good_percent = 100 * (1 - count.bad / count.total) if count.total else None
        objective = None if slo_terms.objective is None else 100 * float(slo_terms.objective)
        points.append(
            Point(line_part.first, line_part.last, (good_percent,), count.total, objective)
        )
    bad_events, total = slo.original or (0, 0)
    initial_level = (100 * (1 - bad_events / total), total) if total else None
    return EvolutionLine(slo.name, PERCENT, (slo.name,), tuple(points), marks, step, initial_level)


def _market_counts(slo: str, days: Sequence[ReviewDay]) -> dict[str, Count]:
    """Return bad events and all of one SLO over some days, by market."""
    counts: dict[str, list[Count]] = defaultdict(list)
    for day in days:
        for level in day.slos:
            if level.name == slo:
                for market, count in level.markets.items():
                    counts[market].append(Count(*count))
    return {market: summed(by_day) for market, by_day in counts.items()}


def _market_line(
    slo: ReviewSlo,
    market: str,
    line_parts: Sequence[_Days],
    marks: tuple[Mark, ...],
    *,
    step: int,
    counts: Sequence[Mapping[str, Count]],
) -> EvolutionLine:
    """Return the line of one market; `counts` has those of each part by market."""
    points = []
    for line_part, by_market in zip(line_parts, counts, strict=True):
        count = by_market.get(market, NOTHING)
        good_percent = 100 * (1 - count.bad / count.total) if count.total else None
        required_ratio = required_of(line_part.terms.get(slo.name, slo))
        objective = None if required_ratio is None else 100 * required_ratio
        points.append(
            Point(line_part.first, line_part.last, (good_percent,), count.total, objective)
        )
    return EvolutionLine(f"{slo.name} in {market}", PERCENT, (market,), tuple(points), marks, step)


def _response_time_line(
    slo_terms: Mapping[str, ReviewSlo],
    line_parts: Sequence[_Days],
    marks: tuple[Mark, ...],
    step: int,
) -> EvolutionLine:
    points = []
    for line_part in line_parts:
        histogram = histogram_of(line_part.days)
        seconds = (quantile_of(histogram, quantile_share) for quantile_share in QUANTILES.values())
        values = tuple(
            None if quantile_seconds is None else 1000 * quantile_seconds
            for quantile_seconds in seconds
        )
        total = histogram[-1][1] if histogram else 0
        points.append(Point(line_part.first, line_part.last, values, total))
    limit = next(
        (
            float(quantile_seconds.threshold_milliseconds)
            for quantile_seconds in slo_terms.values()
            if quantile_seconds.threshold_milliseconds
        ),
        None,
    )
    series = tuple(QUANTILES)
    return EvolutionLine(
        RESPONSE_TIMES, MILLISECONDS, series, tuple(points), marks, step, limit=limit
    )


def _period_marks(ledgers: Sequence[DataProductReview]) -> tuple[Mark, ...]:
    """Return versions, decisions and incidents within the ledgers, each once, the oldest first."""
    marks: dict[tuple[str, str, str], Mark] = {}
    start = ledgers[0].spec.period.start
    for ledger in ledgers:
        status, zone = ledger.status, ledger.status.time_zone
        for version in status.versions:
            if version.promotion_time < start:
                continue
            text = f"{version.version} is stable"
            day = local_day(version.promotion_time, zone)
            marks[day, VERSION, version.version] = Mark(day, VERSION, version.version, text)
        for decision in status.decisions:
            if decision.type in _MARKED_TYPES:
                day = local_day(decision.decision_time, zone)
                chart_mark = Mark(day, decision.type, decision.reason, decision.message)
                marks[day, decision.type, decision.reason] = chart_mark
    return tuple(
        sorted(
            marks.values(),
            key=lambda chart_mark: (chart_mark.date, chart_mark.kind, chart_mark.label),
        )
    )


def conceal_marks(line: EvolutionLine, conceal_text: Callable[[str], str]) -> EvolutionLine:
    """Return the line without names of hidden products in its marks."""
    marks = tuple(
        replace(chart_mark, text=conceal_text(chart_mark.text)) for chart_mark in line.marks
    )
    return replace(line, marks=marks)
