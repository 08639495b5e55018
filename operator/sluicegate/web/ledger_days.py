"""Numbers of the last days in the ledgers of a product, for its page."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from sluicegate.api.review import DataProductReview, ReviewDay
from sluicegate.reporting.facts import Quantile, quantiles_of
from sluicegate.reporting.response_times import CallerFacts, callers_of
from sluicegate.reviews.resource_hours import hours_of, trainings_ended_on
from sluicegate.views.resource_hours import ResourceHours
from sluicegate.web.slo_rows import HISTORY_DAYS

WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Calling:
    """Requests by caller from one day to another, both included."""

    first: str
    last: str
    callers: tuple[CallerFacts, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "firstDay": self.first,
            "lastDay": self.last,
            "callers": [
                {"name": caller.name, "requests": caller.count.total, "failed": caller.count.bad}
                for caller in self.callers
            ],
        }


def calling_of(
    ledgers: Iterable[DataProductReview], conceal: Callable[[str], str]
) -> Calling | None:
    """Return requests by caller, without hidden products; None if they aren't counted by caller."""
    days = [day for day in _days(ledgers)[-HISTORY_DAYS:] if day.callers]
    if not days:
        return None
    callers = tuple(replace(caller, name=conceal(caller.name)) for caller in callers_of(days))
    return Calling(days[0].date, days[-1].date, callers)


def last_hours(ledgers: Iterable[DataProductReview]) -> ResourceHours | None:
    """Return the hours that pods and trainings reserved; None if no ledger has them."""
    all_ledgers = tuple(ledgers)
    days = _days(all_ledgers)[-HISTORY_DAYS:]
    dates = {day.date for day in days}
    trainings = {
        training.job: training
        for ledger in all_ledgers
        for training in trainings_ended_on(ledger.status, dates)
    }
    return hours_of(days, trainings.values())


def recent_response_times(ledgers: Iterable[DataProductReview]) -> tuple[Quantile, ...]:
    """Return the response times of the last week beside those of the week before."""
    days = _days(ledgers)
    return quantiles_of(days[-WEEK:], days[-2 * WEEK : -WEEK])


def _days(ledgers: Iterable[DataProductReview]) -> list[ReviewDay]:
    """Return the days of ledgers, oldest first."""
    days = {day.date: day for ledger in ledgers for day in ledger.status.days}
    return [days[date] for date in sorted(days)]
