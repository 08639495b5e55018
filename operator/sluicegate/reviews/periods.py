"""Periods and days of a review, in the time zone of who reviews. Pure.

A day is from midnight to midnight there, so it has 23 or 25 hours where the clocks change.
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
    """The time zone isn't known; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day: its date, and its bounds in seconds since 1970."""

    date: date
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Period:
    """A period: what it is called, its first day, and the first day after it."""

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
        """The second after its last."""
        return midnight(self.after, self.zone)

    def days(self) -> Iterator[Day]:
        """Its days, the first first."""
        day = self.first
        while day < self.after:
            following = day + timedelta(days=1)
            yield Day(day, midnight(day, self.zone), midnight(following, self.zone))
            day = following


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name; UnknownZone when the database doesn't have it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(
            f"spec.review.timeZone {name!r} isn't in the IANA database: write it as Europe/Paris, or UTC"
        ) from error


def local_day(moment: int, zone: str) -> str:
    """The date of a moment, in seconds since 1970, where the review is held; UTC without a zone."""
    return f"{datetime.fromtimestamp(moment, ZoneInfo(zone or 'UTC')):%Y-%m-%d}"


def local_minute(moment: int, zone: str) -> str:
    """The same to the minute."""
    return f"{datetime.fromtimestamp(moment, ZoneInfo(zone or 'UTC')):%Y-%m-%d %H:%M}"


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins in a zone, in seconds since 1970; where midnight is skipped, an hour's begin."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def period_at(cycle: ReviewCycle, moment: float) -> Period | None:
    """The period that a moment lies in; None before the first one."""
    zone = zone_of(cycle.time_zone)
    day = datetime.fromtimestamp(moment, tz=zone).date()
    return period_of(cycle, day)


def period_of(cycle: ReviewCycle, day: date) -> Period | None:
    """The period that a day lies in; None before the first one."""
    starts = date.fromisoformat(cycle.start_date)
    if day < starts:
        return None
    zone = zone_of(cycle.time_zone)
    if cycle.every in _DAYS:
        length = _DAYS[cycle.every]
        first = starts + timedelta(days=(day - starts).days // length * length)
        return _named(cycle, first, first + timedelta(days=length), zone)
    first, after = _months(day, _MONTHS[cycle.every])
    # The first period may begin within a month; its name is the month's all the same.
    return _named(cycle, max(first, starts), after, zone)


def before(cycle: ReviewCycle, period: Period) -> Period | None:
    """The period before this one; None for the first."""
    return period_of(cycle, period.first - timedelta(days=1))


def kept_until(cycle: ReviewCycle, period: Period) -> int:
    """When as many periods as `keep` says have passed since the end of this one, in seconds since 1970."""
    end = period
    for _ in range(cycle.keep):
        following = period_of(cycle, end.after)
        if following is None:
            break
        end = following
    return end.end


def _named(cycle: ReviewCycle, first: date, after: date, zone: ZoneInfo) -> Period:
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
    """First day of the month or quarter that a day lies in, and the first after it."""
    begin = (day.month - 1) // months * months + 1
    following = begin + months
    after = date(day.year + following // 13, following - 12 * (following // 13), 1)
    return date(day.year, begin, 1), after
