"""Parts of a period with one stable version each, as a mean over two models describes neither. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sluicegate.api.review import DataProductReview, ReviewDay
from sluicegate.reviews.periods import midnight_seconds
from sluicegate.stats.counts import NOTHING, Count, summed


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
    segments = []
    for version in status.versions:
        end = review.spec.period.end if version.end_time is None else version.end_time
        days = [
            day
            for day in status.days
            if _lies_in(day, status.time_zone, version.promotion_time, end)
        ]
        if days:
            segments.append(Segment(version.version, days[0].date, days[-1].date, _sums(days)))
    return tuple(segments)


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
