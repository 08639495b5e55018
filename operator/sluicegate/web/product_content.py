"""Content of the page of one product, from its status and its ledgers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.conditions import find_condition
from sluicegate.portfolio.affected import Node, dependents_of
from sluicegate.reporting.evolution_lines import (
    EvolutionLine,
    conceal_marks,
)
from sluicegate.reporting.facts import Quantile, ReportFacts
from sluicegate.views.goals import GoalProgress, goals_of
from sluicegate.views.needs import plugin_command
from sluicegate.views.product_facts import ProductFacts
from sluicegate.views.resource_hours import ResourceHours
from sluicegate.web.ledger_days import Calling, calling_of, recent_hours, recent_response_times
from sluicegate.web.market_tables import MarketTable, market_tables
from sluicegate.web.slo_rows import SloRow, product_lines, slo_rows
from sluicegate.web.store import ReviewFacts
from sluicegate.web.version_rows import TimelineEntry, iteration_log, timeline
from sluicegate.web.visible_portfolio import VisiblePortfolio


@dataclass(frozen=True, slots=True)
class Detail:
    """Content of the page of one product.

    Attributes
    ----------
    commands : actions that are possible now, each with its command.
    hours : resource hours of the last days in the ledgers.
    response_times : those of the last week in the ledgers, beside the week before.
    lines : service levels and response times over all kept ledgers, and until the last decision.
    calling : requests by caller in the last days of the ledgers; None if they aren't counted by caller.
    markets : each service level that is counted by market.
    iterations : what was tried and what it brought, of the kept ledgers and status, the newest first.
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
    lines: tuple[EvolutionLine, ...]
    markets: tuple[MarketTable, ...] = ()
    goals: tuple[GoalProgress, ...] = ()
    iterations: tuple[dict[str, Any], ...] = ()
    calling: Calling | None = None


def detail_of(
    facts: ProductFacts,
    product: DataProduct,
    portfolio: VisiblePortfolio,
    ledgers: Iterable[DataProductReview],
) -> Detail:
    """Return the page of one product as a reader may see it, without the names of hidden products."""
    concealed = product.replace(status=_concealed(product.status, portfolio.conceal))
    all_ledgers = tuple(ledgers)
    node = portfolio.graph.nodes.get(f"{facts.key[0]}/{facts.key[1]}")
    return Detail(
        facts=facts,
        product=concealed,
        slos=slo_rows(concealed, facts.initial_distances, all_ledgers),
        timeline=tuple(timeline(concealed)),
        dependents=tuple(dependents_of(portfolio.products, facts.key)),
        causes=tuple(portfolio.graph.nodes[name] for name in node.causes) if node else (),
        reviews=tuple(
            review
            for review in portfolio.reviews
            if (review.key.namespace, review.product) == facts.key and review.uid in {"", facts.uid}
        ),
        commands=dict(_commands(concealed)),
        hours=recent_hours(all_ledgers),
        response_times=recent_response_times(all_ledgers),
        lines=product_lines(all_ledgers, concealed, portfolio.conceal),
        markets=market_tables(concealed, all_ledgers, portfolio.conceal),
        goals=tuple(goals_of(concealed)),
        calling=calling_of(all_ledgers, portfolio.conceal),
        iterations=tuple(
            iteration_log(
                concealed,
                (
                    (
                        ledger.spec.product_ref,
                        _concealed(ledger.status.candidates, portfolio.conceal),
                    )
                    for ledger in all_ledgers
                ),
            )
        ),
    )


_TEXTS: Final = frozenset({"message", "decision_message", "problems", "hypothesis"})


def conceal_review(report: ReportFacts, conceal: Callable[[str], str]) -> ReportFacts:
    """Remove the names of hidden products from the decisions of a report, and from its marks."""
    review = report.review
    status = _concealed(review.status, conceal)
    lines, evolution, periods = (
        tuple(conceal_marks(line, conceal) for line in lines)
        for lines in (report.lines, report.evolution, report.periods)
    )
    slos = tuple(
        replace(slo, market_lines=tuple(conceal_marks(line, conceal) for line in slo.market_lines))
        for slo in report.slos
    )
    return replace(
        report, slos=slos,
        callers=tuple(replace(caller, name=conceal(caller.name)) for caller in report.callers),
        review=review.replace(status=status), lines=lines, evolution=evolution, periods=periods,
    )  # fmt: skip


def _concealed(part: Any, conceal: Callable[[str], str]) -> Any:
    """Apply `conceal` to each text in a part of status; other values are unchanged."""
    if isinstance(part, tuple):
        items = tuple(_concealed(one, conceal) for one in part)
        same = all(new is old for new, old in zip(items, part, strict=True))
        return part if same else items  # a count is a tuple of a type of its own
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


def _commands(product: DataProduct) -> Iterator[tuple[str, str]]:
    """Yield the actions that are possible now, each with its command."""
    status = product.status
    namespace, name = product.metadata.key
    rollout = find_condition(status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    if status.candidate is not None:
        version, approvals = status.candidate.version, status.candidate.approvals
        verb = "promote" if approvals is None else "approve"
        yield f"Approve {version}", plugin_command(product.metadata.key, verb, version)
        if approvals is not None:
            yield f"Refuse {version}", plugin_command(product.metadata.key, "refuse", version)
        if not status.candidate.is_parked or rollout is None:
            command = plugin_command(product.metadata.key, "abort", version)
            yield f"Abort the rollout of {version}", command
    if product.spec.retraining is not None:
        yield "Retrain", plugin_command(product.metadata.key, "retrain")
    if status.accepted_versions:
        before = status.accepted_versions[0].version
        yield (
            f"Roll back to {before}",
            plugin_command(product.metadata.key, "rollback", before),
        )
    yield "Explain, with live numbers", f"kubectl sluicegate explain {namespace}/{name}"
    yield "Read the object", f"kubectl get dataproduct -n {namespace} {name} -o yaml"
