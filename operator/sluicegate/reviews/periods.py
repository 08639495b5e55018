"""Periods and days of a review, in the reviewers' time zone. Pure.

A day is from midnight to midnight in it, so it has 23 or 25 hours at a change of the clocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluicegate.api.review import Cycle, ReviewCycle
from sluicegate.errors import SluicegateError

_DAYS: Final = {Cycle.WEEK: 7, Cycle.FOUR_WEEKS: 28}
_MONTHS: Final = {Cycle.MONTH: 1, Cycle.QUARTER: 3}


class UnknownZone(SluicegateError):  # noqa: N818 - says what is the case
    """The time zone is unknown; the message has the way out."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day: its date, and its bounds in seconds since 1970."""

    date: date
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Period:
    """A period: its name, its first day, and the first day after it."""

    name: str
    first: date
    after: date
    zone: ZoneInfo

    @property
    def begin(self) -> int:
        """First second of the period, since 1970."""
        return midnight_seconds(self.first, self.zone)

    @property
    def end(self) -> int:
        """First second after the period, since 1970."""
        return midnight_seconds(self.after, self.zone)

    def days(self) -> Iterator[Day]:
        """Yield the days of the period in order."""
        day = self.first
        while day < self.after:
            next_day = day + timedelta(days=1)
            yield Day(day, midnight_seconds(day, self.zone), midnight_seconds(next_day, self.zone))
            day = next_day


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name; UnknownZone if the database doesn't have it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(
            f"spec.review.timeZone {name!r} isn't in the IANA database: write it as Europe/Paris, or UTC"
        ) from error


def local_day(time_seconds: int, zone: str) -> str:
    """Return the date of a time, in seconds since 1970, in the review's time zone; UTC without a zone."""
    return f"{datetime.fromtimestamp(time_seconds, ZoneInfo(zone or 'UTC')):%Y-%m-%d}"


def local_minute(time_seconds: int, zone: str) -> str:
    """Return date and minute of a time, in the review's time zone."""
    return f"{datetime.fromtimestamp(time_seconds, ZoneInfo(zone or 'UTC')):%Y-%m-%d %H:%M}"


def midnight_seconds(day: date, zone: ZoneInfo) -> int:
    """Return the begin of a day in a zone, in seconds since 1970; of its first hour if midnight is skipped."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def period_at(review_cycle: ReviewCycle, time_seconds: float) -> Period | None:
    """Return the period that contains a time; None before the first one."""
    zone = zone_of(review_cycle.time_zone)
    day = datetime.fromtimestamp(time_seconds, tz=zone).date()
    return period_of(review_cycle, day)


def period_of(review_cycle: ReviewCycle, day: date) -> Period | None:
    """Return the period that contains a day; None before the first one."""
    first_start = date.fromisoformat(review_cycle.start_date)
    if day < first_start:
        return None
    zone = zone_of(review_cycle.time_zone)
    if review_cycle.every in _DAYS:
        length = _DAYS[review_cycle.every]
        first_day = first_start + timedelta(days=(day - first_start).days // length * length)
        return _period_with_name(review_cycle, first_day, first_day + timedelta(days=length), zone)
    first_day, next_start = _month_period(day, _MONTHS[review_cycle.every])
    # The first period may begin within a month, but its name is that of the month.
    return _period_with_name(review_cycle, max(first_day, first_start), next_start, zone)


def period_before(review_cycle: ReviewCycle, period: Period) -> Period | None:
    """Return the period before this one; None for the first."""
    return period_of(review_cycle, period.first - timedelta(days=1))


def retention_end(review_cycle: ReviewCycle, period: Period) -> int:
    """Return when `keep` further periods have ended, in seconds since 1970."""
    later_period = period
    for _ in range(review_cycle.keep):
        next_period = period_of(review_cycle, later_period.after)
        if next_period is None:
            break
        later_period = next_period
    return later_period.end


def _period_with_name(
    review_cycle: ReviewCycle, first_day: date, next_start: date, zone: ZoneInfo
) -> Period:
    match review_cycle.every:
        case Cycle.MONTH:
            name = f"{first_day.year}-{first_day.month:02}"
        case Cycle.QUARTER:
            name = f"{first_day.year}-q{(first_day.month + 2) // 3}"
        case Cycle.WEEK | Cycle.FOUR_WEEKS:
            year, week, _ = first_day.isocalendar()
            name = f"{year}-w{week:02}"
    return Period(name, first_day, next_start, zone)


def _month_period(day: date, months: int) -> tuple[date, date]:
    """Return the first day of the month or quarter of a day, and the first day after it."""
    first_month = (day.month - 1) // months * months + 1
    next_month = first_month + months
    next_start = date(day.year + next_month // 13, next_month - 12 * (next_month // 13), 1)
    return date(day.year, first_month, 1), next_start
