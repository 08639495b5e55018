"""All that the page of one product shows, gathered from its status and its ledgers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview, ReviewDay
from sluicegate.api.slo_status import SloStatus
from sluicegate.api.versions import VersionBase
from sluicegate.conditions import find_condition
from sluicegate.portfolio.dependencies import Node, dependents_of
from sluicegate.portfolio.facts import ProductFacts
from sluicegate.reporting.facts import Quantile, ReportFacts, quantiles_of
from sluicegate.reviews.resource_hours import ResourceHours, ended_on, hours_of
from sluicegate.views.needs import request_command
from sluicegate.web.seen import SeenPortfolio
from sluicegate.web.store import ReviewFacts

HISTORY_DAYS: Final = 30
NEWEST_REVIEWS: Final = 6
"""Ledgers that have these days, also where each is of a week."""
WEEK: Final = 7
Day = tuple[str, int, int]
"""Date, bad events, all events."""


@dataclass(frozen=True, slots=True)
class SloRow:
    """One SLO: its state, and its days as far as ledgers have them, the oldest first."""

    status: SloStatus
    indicator: str
    days: tuple[Day, ...]
    outside: int

    @property
    def objective(self) -> float | None:
        """Least share of good events; None without one."""
        return None if self.status.objective is None else float(self.status.objective)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One version: its outcome (`Stable` and a candidate's phase for those that live), and its time."""

    version: str
    outcome: str
    reason: str
    source: str
    digest: str
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Detail:
    """The page of one product.

    Attributes
    ----------
    commands : by what a person may do, the command that does it.
    hours : those of the last days that ledgers have.
    response_times : those of the last week that ledgers have, beside the week before.
    """

    facts: ProductFacts
    product: DataProduct
    slos: tuple[SloRow, ...]
    timeline: tuple[TimelineEntry, ...]
    dependents: tuple[ProductFacts, ...]
    causes: tuple[Node, ...]
    reviews: tuple[ReviewFacts, ...]
    commands: Mapping[str, str]
    hours: ResourceHours | None
    response_times: tuple[Quantile, ...]


def detail_of(
    facts: ProductFacts,
    product: DataProduct,
    seen: SeenPortfolio,
    ledgers: Iterable[DataProductReview],
) -> Detail:
    """The page of one product as a reader sees it: names of others are out of all its texts."""
    concealed = product.replace(status=_concealed(product.status, seen.conceal))
    every = tuple(ledgers)
    history = _history(every)
    node = seen.graph.nodes.get(f"{facts.key[0]}/{facts.key[1]}")
    return Detail(
        facts=facts,
        product=concealed,
        slos=tuple(_row(one, concealed, history) for one in concealed.status.slos),
        timeline=tuple(_timeline(concealed)),
        dependents=tuple(dependents_of(seen.products, facts.key)),
        causes=tuple(seen.graph.nodes[name] for name in node.causes) if node else (),
        reviews=tuple(
            one
            for one in seen.reviews
            if (one.key.namespace, one.product) == facts.key and one.uid in {"", facts.uid}
        ),
        commands=dict(_commands(concealed)),
        hours=_hours(every),
        response_times=_response_times(every),
    )


_TEXTS: Final = frozenset({"message", "decision_message", "problems"})


def conceal_review(report: ReportFacts, conceal: Callable[[str], str]) -> ReportFacts:
    """The report with the names of others out of its decisions."""
    review = report.review
    status = _concealed(review.status, conceal)
    return replace(report, review=review.replace(status=status))


def _concealed(part: Any, conceal: Callable[[str], str]) -> Any:
    """A part of status with each sentence changed; values that hold none stay as they are."""
    if isinstance(part, tuple):
        return tuple(_concealed(one, conceal) for one in part)
    fields = getattr(type(part), "model_fields", None)
    if fields is None:
        return part
    changed: dict[str, Any] = {}
    for name in fields:
        value = getattr(part, name)
        if name in _TEXTS:
            new: Any = conceal(value) if isinstance(value, str) else tuple(map(conceal, value))
        else:
            new = _concealed(value, conceal)
        if new is not value:
            changed[name] = new
    return part.replace(**changed) if changed else part


def _history(ledgers: Iterable[DataProductReview]) -> dict[str, dict[str, tuple[int, int]]]:
    """Days by SLO and date; of two ledgers that have a day, the later one's counts."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for ledger in ledgers:
        for day in ledger.status.days:
            for slo in day.slos:
                found.setdefault(slo.name, {})[day.date] = (slo.bad, slo.total)
    return found


def _hours(ledgers: Iterable[DataProductReview]) -> ResourceHours | None:
    every = tuple(ledgers)
    days = _days(every)[-HISTORY_DAYS:]
    dates = {day.date for day in days}
    trainings = {one.job: one for ledger in every for one in ended_on(ledger.status, dates)}
    return hours_of(days, trainings.values())


def _response_times(ledgers: Iterable[DataProductReview]) -> tuple[Quantile, ...]:
    days = _days(ledgers)
    return quantiles_of(days[-WEEK:], days[-2 * WEEK : -WEEK])


def _days(ledgers: Iterable[DataProductReview]) -> list[ReviewDay]:
    """The days of ledgers, the oldest first."""
    days = {day.date: day for ledger in ledgers for day in ledger.status.days}
    return [days[date] for date in sorted(days)]


def _row(
    slo: SloStatus, product: DataProduct, history: dict[str, dict[str, tuple[int, int]]]
) -> SloRow:
    days = sorted(history.get(slo.name, {}).items())[-HISTORY_DAYS:]
    objective = None if slo.objective is None else float(slo.objective)
    spec = next((one for one in product.spec.slos if one.name == slo.name), None)
    kind = next(iter(spec.indicator.model_dump(exclude_none=True)), "") if spec else ""
    outside = sum(
        objective is not None and total > 0 and 1 - bad / total < objective
        for _, (bad, total) in days
    )
    return SloRow(slo, kind, tuple((date, *counts) for date, counts in days), outside)


def _timeline(product: DataProduct) -> Iterator[TimelineEntry]:
    """Versions, the newest first."""
    status = product.status
    if (one := status.candidate) is not None:
        yield _entry(one, str(one.phase), one.decision_reason, start=one.start_time)
    if (stable := status.stable) is not None:
        reason = "restored" if stable.restored else ""
        yield _entry(stable, "Stable", reason, start=stable.promotion_time)
    for past in status.history:
        yield _entry(
            past, str(past.outcome), past.reason, start=past.promotion_time, end=past.end_time
        )


def _entry(
    one: VersionBase, outcome: str, reason: str, *, start: int | None, end: int | None = None
) -> TimelineEntry:
    return TimelineEntry(one.version, outcome, reason, str(one.source), one.digest, start, end)


def _commands(product: DataProduct) -> Iterator[tuple[str, str]]:
    """What a person may do now, each with its command."""
    status = product.status
    namespace, name = product.metadata.key
    rollout = find_condition(status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    if status.candidate is not None:
        version = status.candidate.version
        yield (
            f"Approve {version}",
            request_command(product.metadata.key, names.REQUEST_PROMOTE, version),
        )
        if not status.candidate.parked or rollout is None:
            command = request_command(product.metadata.key, names.REQUEST_ABORT, version)
            yield f"Abort the rollout of {version}", command
    if product.spec.retraining is not None:
        yield "Retrain", request_command(product.metadata.key, names.REQUEST_RETRAIN, "")
    if status.accepted:
        before = status.accepted[0].version
        yield (
            f"Roll back to {before}",
            request_command(product.metadata.key, names.REQUEST_ROLLBACK, before),
        )
    yield "Explain, with live numbers", f"sluicegate explain {namespace}/{name}"
    yield "Read the object", f"kubectl get dataproduct -n {namespace} {name} -o yaml"
