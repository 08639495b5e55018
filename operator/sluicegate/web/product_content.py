"""Content of the page of one product, from its status and its ledgers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.api.versions import CandidatePhase
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
from sluicegate.web.ledger_days import Calling, calling_of, last_hours, recent_response_times
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
    visible_product = product.replace(
        status=_without_hidden_names(product.status, portfolio.conceal)
    )
    all_ledgers = tuple(ledgers)
    node = portfolio.graph.nodes.get(f"{facts.key[0]}/{facts.key[1]}")
    return Detail(
        facts=facts,
        product=visible_product,
        slos=slo_rows(visible_product, facts.initial_distances, all_ledgers),
        timeline=tuple(timeline(visible_product)),
        dependents=tuple(dependents_of(portfolio.products, facts.key)),
        causes=tuple(portfolio.graph.nodes[name] for name in node.causes) if node else (),
        reviews=tuple(
            review
            for review in portfolio.reviews
            if (review.key.namespace, review.product) == facts.key and review.uid in {"", facts.uid}
        ),
        commands=dict(_commands(visible_product)),
        hours=last_hours(all_ledgers),
        response_times=recent_response_times(all_ledgers),
        lines=product_lines(all_ledgers, visible_product, portfolio.conceal),
        markets=market_tables(visible_product, all_ledgers, portfolio.conceal),
        goals=tuple(goals_of(visible_product)),
        calling=calling_of(all_ledgers, portfolio.conceal),
        iterations=tuple(
            iteration_log(
                visible_product,
                (
                    (
                        ledger.spec.product_ref,
                        _without_hidden_names(ledger.status.candidates, portfolio.conceal),
                    )
                    for ledger in all_ledgers
                ),
            )
        ),
    )


_TEXT_FIELDS: Final = frozenset({"message", "decision_message", "problems", "hypothesis"})


def conceal_review(report: ReportFacts, conceal: Callable[[str], str]) -> ReportFacts:
    """Remove the names of hidden products from the decisions of a report, and from its marks."""
    review = report.review
    status = _without_hidden_names(review.status, conceal)
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


def _without_hidden_names(value: Any, conceal: Callable[[str], str]) -> Any:
    """Apply `conceal` to each text in a part of status; other values are unchanged."""
    if isinstance(value, tuple):
        items = tuple(_without_hidden_names(item, conceal) for item in value)
        is_unchanged = all(
            new_value is old_value for new_value, old_value in zip(items, value, strict=True)
        )
        return value if is_unchanged else items  # a count is a tuple of a type of its own
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        return value
    changed_fields: dict[str, Any] = {}
    for name in fields:
        field_value = getattr(value, name)
        if name in _TEXT_FIELDS:
            new_value: Any = (
                conceal(field_value)
                if isinstance(field_value, str)
                else tuple(map(conceal, field_value))
            )
        else:
            new_value = _without_hidden_names(field_value, conceal)
        if new_value is not field_value:
            changed_fields[name] = new_value
    return value.replace(**changed_fields) if changed_fields else value


def _commands(product: DataProduct) -> Iterator[tuple[str, str]]:
    """Yield the actions that are possible now, each with its command."""
    status = product.status
    namespace, name = product.metadata.key
    rollout = find_condition(status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    if status.candidate is not None:
        version, approvals = status.candidate.version, status.candidate.approvals
        if not status.carried_out:
            verb = "promote" if approvals is None else "approve"
            is_parked = status.candidate.is_parked
            label = f"Try {version} again" if is_parked else f"Approve {version}"
            yield label, plugin_command(product.metadata.key, verb, version)
            if approvals is not None:
                yield f"Refuse {version}", plugin_command(product.metadata.key, "refuse", version)
        is_returning = status.candidate.phase is CandidatePhase.ROLLING_BACK
        if not is_returning and (not status.candidate.is_parked or rollout is None):
            command = plugin_command(product.metadata.key, "abort", version)
            yield f"Abort the rollout of {version}", command
    if product.spec.retraining is not None:
        yield "Retrain", plugin_command(product.metadata.key, "retrain")
    if status.accepted_versions:
        previous_version = status.accepted_versions[0].version
        yield (
            f"Roll back to {previous_version}",
            plugin_command(product.metadata.key, "rollback", previous_version),
        )
    yield "Explain, with live numbers", f"kubectl sluicegate explain {namespace}/{name}"
    yield "Read the object", f"kubectl get dataproduct -n {namespace} {name} -o yaml"
