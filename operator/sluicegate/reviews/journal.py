"""Records of an open review. Pure: functions from status to status."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import (
    LONGEST_OPERATION,
    MAX_DECISIONS,
    MAX_MISSED_MARKETS,
    MAX_OPERATIONS,
    MAX_TRAININGS,
    MAX_VERSIONS,
    OTHER_OPERATIONS,
    DataProductReviewStatus,
    DayOperation,
    DaySlo,
    MissedMarket,
    ReviewCandidate,
    ReviewDay,
    ReviewDecision,
    ReviewVersion,
)
from sluicegate.reviews.periods import Day, Period
from sluicegate.stats.counts import NOTHING, Count, summed

MAX_VERSIONS_PER_DAY: Final = 16
LATE_DAYS: Final = 3
"""Days after its end at which a day is read for the last time: samples may arrive late."""
DAY_SECONDS: Final = 86_400


@dataclass(slots=True)
class DayCounts:
    """Counts of one product on one day, or in a part of the day.

    Attributes
    ----------
    slos : events by SLO. markets : the same by SLO and market.
    answers : successful answers within each bound, written as in the histogram.
    operations : by operation, successful answers within each bound, and others by code of three digits.
    callers : failed requests and all, by the name that callers send.
    versions : those with events.
    blocks, good : number of all blocks of its SLOs, and of those with valid counts.
    pod_seconds : time for which its pods answered scrapes, added up over the pods.
    """

    slos: dict[str, Count] = field(default_factory=dict)
    markets: dict[str, dict[str, Count]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    operations: dict[str, Counter[str]] = field(default_factory=dict)
    callers: dict[str, Count] = field(default_factory=dict)
    blocks: int = 0
    good: int = 0
    pod_seconds: int = 0

    def add_answers(self, operation: str, bucket_bound: str, number: float) -> None:
        """Add answers of an operation: successful ones within a bound, or others by their code."""
        counts = self.operations.setdefault(operation, Counter())
        counts[bucket_bound] += round(number)
        if not _is_code(bucket_bound):
            self.answers[bucket_bound] = self.answers.get(bucket_bound, 0) + round(number)

    def add_requests(self, caller: str, number: int, *, has_failed: bool) -> None:
        """Add requests of a caller."""
        count = Count(number if has_failed else 0, number)
        self.callers[caller] = summed((self.callers.get(caller, NOTHING), count))

    @property
    def measured(self) -> float:
        """Return the share of the blocks with valid counts."""
        return self.good / self.blocks if self.blocks else 0.0


def _is_code(bucket_bound: str) -> bool:
    """Return whether a key of the counts is a status code, such as 503, rather than a latency bound, such as 0.25."""
    return len(bucket_bound) == 3 and bucket_bound.isdigit()  # noqa: PLR2004 - the digits of a code


def operations_of(counts: DayCounts) -> tuple[DayOperation, ...]:
    """Return a day's operations, most requests first; empty if there is a single operation.

    The counts of a single operation are those of the product. Beyond a number they are added up.
    """
    named_operations = [
        _day_operation(name, code_counts) for name, code_counts in counts.operations.items() if name
    ]
    operations = sorted(
        (operation for operation in named_operations if operation.requests),
        key=lambda operation: (-operation.requests, operation.name),
    )
    if len(operations) <= 1:
        return ()
    largest_operations, smaller_operations = (
        operations[:MAX_OPERATIONS],
        operations[MAX_OPERATIONS:],
    )
    if not smaller_operations:
        return tuple(largest_operations)
    buckets: Counter[str] = Counter()
    for operation in smaller_operations:
        buckets.update(operation.responses)
    other_operations = DayOperation(
        name=OTHER_OPERATIONS,
        responses=dict(buckets),
        refused=sum(operation.refused for operation in smaller_operations),
        failed=sum(operation.failed for operation in smaller_operations),
    )
    return (*largest_operations, other_operations)


def _day_operation(name: str, counts: Mapping[str, int]) -> DayOperation:
    bucket_bounds = sorted(
        (bucket_bound for bucket_bound in counts if not _is_code(bucket_bound)), key=float
    )
    requests_below = 0
    buckets: dict[str, int] = {}
    for bucket_bound in bucket_bounds:
        if counts[bucket_bound] > requests_below:
            buckets[bucket_bound] = counts[bucket_bound] - requests_below
            requests_below = counts[bucket_bound]
    codes = {
        bucket_bound: number for bucket_bound, number in counts.items() if _is_code(bucket_bound)
    }
    return DayOperation(
        name=name[:LONGEST_OPERATION],
        responses=buckets,
        refused=sum(number for code, number in codes.items() if code.startswith("4")),
        failed=sum(number for code, number in codes.items() if code.startswith("5")),
    )


def days_to_read(
    status: DataProductReviewStatus, period: Period, now: float, *, oldest_day: float
) -> tuple[Day, ...]:
    """Return the ended days of a period that are to be read, oldest first.

    A day is read twice: once after its end, and once more when no samples arrive any more.

    Parameters
    ----------
    now : time up to which all samples have arrived, in seconds.
    oldest : limit of Prometheus' retention, in seconds.
    """
    final_by_date = {day.date: day.final for day in status.days}
    return tuple(
        day
        for day in period.days()
        if day.end <= now and day.begin >= oldest_day and _must_be_read(day, final_by_date, now)
    )


def _must_be_read(day: Day, final_by_date: Mapping[str, bool], now: float) -> bool:
    is_final = final_by_date.get(day.date.isoformat())
    return is_final is None or (not is_final and now >= day.end + LATE_DAYS * DAY_SECONDS)


def with_day(
    status: DataProductReviewStatus,
    day: Day,
    counts: DayCounts,
    now: float,
    *,
    requests: Mapping[str, str] | None = None,
) -> DataProductReviewStatus:
    """Return the status with the counts of a day, which replace earlier ones.

    A day keeps earlier counts that are more complete, as Prometheus may have lost samples since.
    `requests` are the current resource requests of one pod: a day keeps those of its first read.
    """
    by_date = {recorded_day.date: recorded_day for recorded_day in status.days}
    previous_day = by_date.get(day.date.isoformat())
    if previous_day is not None and previous_day.pod_seconds:
        requests = previous_day.pod_requests
    elif not counts.pod_seconds:
        requests = None
    new_day = ReviewDay(
        date=day.date.isoformat(),
        final=now >= day.end + LATE_DAYS * DAY_SECONDS,
        coverage=f"{counts.measured:.4f}",
        slos=tuple(
            DaySlo(
                name=name,
                bad=count.bad,
                total=count.total,
                markets={
                    market: (market_counts.bad, market_counts.total)
                    for market, market_counts in sorted(counts.markets.get(name, {}).items())
                    if market_counts.total
                },
            )
            for name, count in sorted(counts.slos.items())
        ),
        responses=dict(counts.answers),
        operations=operations_of(counts),
        callers={
            name: (market_counts.bad, market_counts.total)
            for name, market_counts in sorted(counts.callers.items())
        },
        versions=tuple(sorted(counts.versions))[:MAX_VERSIONS_PER_DAY],
        pod_seconds=counts.pod_seconds or None,
        pod_requests=dict(requests or {}),
    )
    if previous_day is not None and float(previous_day.coverage) > float(new_day.coverage):
        new_day = previous_day.replace(final=new_day.final)
    by_date[new_day.date] = new_day
    return status.replace(days=tuple(by_date[date] for date in sorted(by_date)))


Note = ReviewDecision | EndedTraining
"""An event, which is recorded in the period of its time."""


def with_notes(
    status: DataProductReviewStatus, notes: Iterable[Note], period: Period
) -> DataProductReviewStatus:
    """Return the status with the decisions of the period, and the trainings that ended in it."""
    for note in notes:
        if isinstance(note, EndedTraining):
            if period.begin <= note.end_time < period.end:
                status = with_training(status, note)
        elif period.begin <= note.decision_time < period.end:
            status = with_decision(status, note)
    return status


def with_training(
    status: DataProductReviewStatus, training: EndedTraining
) -> DataProductReviewStatus:
    """Return the status with an ended training, once. The newest are kept."""
    trainings_by_key = {
        (entry.job, entry.start_time): entry for entry in (*status.trainings, training)
    }
    all_trainings = sorted(trainings_by_key.values(), key=lambda item: item.end_time)
    return status.replace(trainings=tuple(all_trainings[-MAX_TRAININGS:]))


def with_decision(
    status: DataProductReviewStatus, decision: ReviewDecision
) -> DataProductReviewStatus:
    """Return the status with a decision, once. The oldest are only counted."""
    keys = {(entry.decision_time, entry.type, entry.reason) for entry in status.decisions}
    if (decision.decision_time, decision.type, decision.reason) in keys:
        return status
    all_decisions = sorted((*status.decisions, decision), key=lambda item: item.decision_time)
    earlier_counts = Counter(status.earlier_decisions)
    for dropped_decision in all_decisions[:-MAX_DECISIONS]:
        earlier_counts[f"{dropped_decision.type}/{dropped_decision.reason}"] += 1
    newest_decisions = tuple(all_decisions[-MAX_DECISIONS:])
    return status.replace(
        decisions=newest_decisions, earlier_decisions=dict(sorted(earlier_counts.items()))
    )


def with_versions(
    status: DataProductReviewStatus, versions: Iterable[ReviewVersion], period: Period
) -> DataProductReviewStatus:
    """Return the status with the versions that were stable in the period, beside those already recorded."""
    by_promotion = {
        (entry.version, entry.digest, entry.promotion_time): entry for entry in status.versions
    }
    begin_time, end_time = period.begin, period.end
    for version in versions:
        if version.promotion_time < end_time and (
            version.end_time is None or version.end_time > begin_time
        ):
            by_promotion[version.version, version.digest, version.promotion_time] = version
    sorted_entries = sorted(by_promotion.values(), key=lambda item: item.promotion_time)
    return status.replace(versions=tuple(sorted_entries[-MAX_VERSIONS:]))


def with_candidates(
    status: DataProductReviewStatus, candidates: Iterable[ReviewCandidate], period: Period
) -> DataProductReviewStatus:
    """Return the status with the versions whose canary ended in the period, beside those already recorded."""
    by_end = {(entry.version, entry.digest, entry.end_time): entry for entry in status.candidates}
    for candidate in candidates:
        if period.begin <= candidate.end_time < period.end:
            by_end[candidate.version, candidate.digest, candidate.end_time] = candidate
    sorted_entries = sorted(by_end.values(), key=lambda item: item.end_time)
    return status.replace(candidates=tuple(sorted_entries[-MAX_VERSIONS:]))


def with_missed_markets(
    status: DataProductReviewStatus, missed_markets: Iterable[MissedMarket], now: float
) -> DataProductReviewStatus:
    """Return the status with the markets that miss an SLO now; recorded markets that meet it again have ended."""
    currently_missed = {
        (market.slo, market.market, market.start_time): market for market in missed_markets
    }
    recorded_markets = {
        (
            recorded_market.slo,
            recorded_market.market,
            recorded_market.start_time,
        ): recorded_market.replace(end_time=int(now))
        if recorded_market.end_time is None
        else recorded_market
        for recorded_market in status.missed_markets
    }
    sorted_entries = sorted(
        (recorded_markets | currently_missed).values(), key=lambda item: item.start_time
    )
    return status.replace(missed_markets=tuple(sorted_entries[-MAX_MISSED_MARKETS:]))
