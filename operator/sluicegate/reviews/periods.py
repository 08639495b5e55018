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
        """Its first second since 1970."""
        return midnight(self.first, self.zone)

    @property
    def end(self) -> int:
        """The first second after it."""
        return midnight(self.after, self.zone)

    def days(self) -> Iterator[Day]:
        """Yield its days in order."""
        day = self.first
        while day < self.after:
            following = day + timedelta(days=1)
            yield Day(day, midnight(day, self.zone), midnight(following, self.zone))
            day = following


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name; UnknownZone if the database doesn't have it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(
            f"spec.review.timeZone {name!r} isn't in the IANA database: write it as Europe/Paris, or UTC"
        ) from error


def local_day(moment: int, zone: str) -> str:
    """Return the date of a time, in seconds since 1970, in the review's time zone; UTC without a zone."""
    return f"{datetime.fromtimestamp(moment, ZoneInfo(zone or 'UTC')):%Y-%m-%d}"


def local_minute(moment: int, zone: str) -> str:
    """Return date and minute of a time, in the review's time zone."""
    return f"{datetime.fromtimestamp(moment, ZoneInfo(zone or 'UTC')):%Y-%m-%d %H:%M}"


def midnight(day: date, zone: ZoneInfo) -> int:
    """Return the begin of a day in a zone, in seconds since 1970; of its first hour if midnight is skipped."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def period_at(cycle: ReviewCycle, moment: float) -> Period | None:
    """Return the period that contains a time; None before the first one."""
    zone = zone_of(cycle.time_zone)
    day = datetime.fromtimestamp(moment, tz=zone).date()
    return period_of(cycle, day)


def period_of(cycle: ReviewCycle, day: date) -> Period | None:
    """Return the period that contains a day; None before the first one."""
    first_start = date.fromisoformat(cycle.start_date)
    if day < first_start:
        return None
    zone = zone_of(cycle.time_zone)
    if cycle.every in _DAYS:
        length = _DAYS[cycle.every]
        first = first_start + timedelta(days=(day - first_start).days // length * length)
        return _named_period(cycle, first, first + timedelta(days=length), zone)
    first, after = _months(day, _MONTHS[cycle.every])
    # The first period may begin within a month, but its name is that of the month.
    return _named_period(cycle, max(first, first_start), after, zone)


def before(cycle: ReviewCycle, period: Period) -> Period | None:
    """Return the period before this one; None for the first."""
    return period_of(cycle, period.first - timedelta(days=1))


def kept_until(cycle: ReviewCycle, period: Period) -> int:
    """Return when `keep` periods have passed since the end of this one, in seconds since 1970."""
    end = period
    for _ in range(cycle.keep):
        following = period_of(cycle, end.after)
        if following is None:
            break
        end = following
    return end.end


def _named_period(cycle: ReviewCycle, first: date, after: date, zone: ZoneInfo) -> Period:
    match cycle.every:
        case Cycle.MONTH:
            name = f"{first.year}-{first.month:02}"
        case Cycle.QUARTER:
            name = f"{first.year}-q{(first.month + 2) // 3}"
        case Cycle.WEEK | Cycle.FOUR_WEEKS:
            year, week, _ = first.isocalendar()
            name = f"{year}-w{week:02}"
    return Period(name, first, after, zone)


def _months(day: date, months: int) -> tuple[date, date]:
    """Return the first day of the month or quarter of a day, and the first day after it."""
    first_month = (day.month - 1) // months * months + 1
    following = first_month + months
    after = date(day.year + following // 13, following - 12 * (following // 13), 1)
    return date(day.year, first_month, 1), after
