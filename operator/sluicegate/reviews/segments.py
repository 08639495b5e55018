"""Events of a ledger's days by date, by market, and by stable version, as a mean over two models describes neither. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sluicegate.api.review import (
    DataProductReview,
    DataProductReviewStatus,
    FirstPeriod,
    ReviewDay,
    ReviewVersion,
    VersionCounts,
)
from sluicegate.api.verdict import MAX_ARM_MARKETS
from sluicegate.reviews.periods import midnight_seconds
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.evolution import day_scatter


def counts_of(name: str, days: Sequence[ReviewDay]) -> list[tuple[str, Count]]:
    """Return the counts of one SLO by date, of the days that have it."""
    return [
        (day.date, Count(slo.bad, slo.total))
        for day in days
        for slo in day.slos
        if slo.name == name
    ]


def market_days(name: str, days: Sequence[ReviewDay]) -> dict[str, list[tuple[str, Count]]]:
    """Return bad events and all of one SLO, by market and date; each market has each of the days."""
    by_date = {
        day.date: next((slo.markets for slo in day.slos if slo.name == name), {}) for day in days
    }
    markets = dict.fromkeys(market for counts in by_date.values() for market in counts)
    return {
        market: [(day, Count(*counts.get(market, NOTHING))) for day, counts in by_date.items()]
        for market in markets
    }


def market_sums(name: str, days: Sequence[ReviewDay]) -> dict[str, Count]:
    """Return bad events and all of one SLO over the days, by market."""
    return {
        market: summed(count for _, count in counts)
        for market, counts in market_days(name, days).items()
    }


@dataclass(frozen=True, slots=True)
class Segment:
    """First and last whole day on which one version was stable, and their events."""

    version: str
    first: str
    last: str
    slos: Mapping[str, Count]


def segments_of(review: DataProductReview) -> tuple[Segment, ...]:
    """Return a segment for each version that was stable for a whole day; none if there was one version."""
    status = review.status
    if len(status.versions) < 2:  # noqa: PLR2004 - two versions, or there is nothing to cut
        return ()
    return tuple(
        Segment(version.version, days[0].date, days[-1].date, _sums(days))
        for version in status.versions
        if (days := _days_of(version, status, review.spec.period.end))
    )


def with_first_periods(review: DataProductReview) -> tuple[ReviewVersion, ...]:
    """Return the versions of a period, those that became stable in it with their events until its end.

    They are of the whole days on which the version alone was stable, beside those of the version before it. A
    version that a rollback has restored has none.
    """
    status, period = review.status, review.spec.period
    versions: list[ReviewVersion] = []
    days_before: list[ReviewDay] = []
    restorable: set[tuple[str, str]] = set()
    for version in sorted(status.versions, key=lambda version: version.promotion_time):
        days = _days_of(version, status, period.end)
        identity = (version.version, version.digest)
        is_new = version.promotion_time >= period.start and identity not in restorable
        restorable.add(identity)
        if days and is_new:
            version = version.replace(first_period=_first_period(status, days, days_before))  # noqa: PLW2901
        versions.append(version)
        days_before = days or days_before
    return tuple(versions)


def _days_of(
    version: ReviewVersion, status: DataProductReviewStatus, period_end: int
) -> list[ReviewDay]:
    """Return the whole days on which a version alone was stable."""
    end = period_end if version.end_time is None else version.end_time
    return [
        day for day in status.days if _lies_in(day, status.time_zone, version.promotion_time, end)
    ]


def _first_period(
    status: DataProductReviewStatus, days: list[ReviewDay], days_before: list[ReviewDay]
) -> FirstPeriod:
    indicators = {slo.name: slo.indicator for slo in status.slos}
    own, before = _sums(days), _sums(days_before)
    slos = tuple(
        VersionCounts(
            name=name,
            indicator=indicators.get(name, ""),
            counts=count,
            before=before.get(name, NOTHING),
            markets=_market_pairs(name, days, days_before),
            phi=f"{max(_scatter_of(name, some) for some in (days, days_before)):.3g}",
        )
        for name, count in sorted(own.items())
        if count.total
    )
    return FirstPeriod(start_date=days[0].date, end_date=days[-1].date, slos=slos[:16])


def _scatter_of(name: str, days: list[ReviewDay]) -> float:
    return day_scatter([count for _, count in counts_of(name, days)])


def _market_pairs(
    name: str, days: list[ReviewDay], days_before: list[ReviewDay]
) -> dict[str, tuple[int, ...]]:
    """Return the bad and all events of a version and of its previous version, in the largest markets."""
    own, before = market_sums(name, days), market_sums(name, days_before)
    largest = sorted(own, key=lambda market: (-own[market].total, market))[:MAX_ARM_MARKETS]
    return {market: (*own[market], *before.get(market, NOTHING)) for market in sorted(largest)}


def _lies_in(day: ReviewDay, zone: str, begin: int, end: int) -> bool:
    time_zone = ZoneInfo(zone or "UTC")
    first = datetime.fromisoformat(day.date).date()
    return (
        begin <= midnight_seconds(first, time_zone)
        and midnight_seconds(first + timedelta(days=1), time_zone) <= end
    )


def _sums(days: list[ReviewDay]) -> dict[str, Count]:
    sums: dict[str, Count] = {}
    for day in days:
        for slo in day.slos:
            sum_so_far = sums.get(slo.name, NOTHING)
            sums[slo.name] = summed((sum_so_far, (slo.bad, slo.total)))
    return sums
