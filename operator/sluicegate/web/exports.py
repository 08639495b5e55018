"""The facts of the pages as JSON and as CSV. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.portfolio.affected import Graph
from sluicegate.portfolio.journeys import Journey
from sluicegate.portfolio.matrix import MarketProduct, Matrix
from sluicegate.portfolio.overview import PortfolioOverview
from sluicegate.reporting.text import line_document, response_times
from sluicegate.views import iterations
from sluicegate.views.initial import InitialDistance
from sluicegate.views.journey_shares import ServedShare
from sluicegate.views.product_facts import HIDDEN_PRODUCT, ProductFacts
from sluicegate.views.resource_hours import row_of
from sluicegate.views.spreadsheet import csv_text, escape_cell
from sluicegate.web.product_content import Detail
from sluicegate.web.results import Mover, ReviewResult

COLUMNS = (
    "namespace", "name", "title", "team", "domain", "lifecycle", "priority", "markets", "state",
    "stateSince", "reason", "slo", "sloState", "budgetLeft", "model", "modelSince", "canary",
    "changeSlo", "ratio", "accepted", "drop", "dropLower", "dropUpper", "events",
    "training", "trainingReason", "trainingTime", "review", "needs", "problem",
    "hoursDays", "podHours", "cpuHours", "memoryGibHours", "gpuHours", "trainingHours",
    "trainingCpuHours", "trainingMemoryGibHours", "trainingGpuHours",
    "initialSlo", "initialVersion", "initialAccepted", "initialDrop", "initialDropLower", "initialDropUpper",
)  # fmt: skip


def _table(rows: Iterable[Iterable[object]], columns: Sequence[str]) -> str:
    """Render CSV in which no text begins a formula in a spreadsheet."""
    return csv_text((map(escape_cell, row) for row in rows), columns)


def product_json(facts: ProductFacts) -> dict[str, Any]:
    """Return one product of the portfolio."""
    worst_slo, change, training = facts.worst_slo, facts.change, facts.last_training
    return {
        "namespace": facts.key[0],
        "name": facts.key[1],
        "title": facts.title,
        "team": facts.team,
        "domain": facts.domain,
        "lifecycle": str(facts.lifecycle),
        "priority": str(facts.priority),
        "markets": list(facts.markets),
        "state": str(facts.state),
        "stateSince": _time_text(facts.state_since),
        "reason": facts.reason,
        "slo": worst_slo and {"name": worst_slo.slo, "state": str(worst_slo.state), "budgetLeft": worst_slo.budget_left},
        "model": {"version": facts.model, "since": _time_text(facts.model_since)},
        "canary": facts.canary,
        "change": change and {
            "slo": change.slo, "ratio": change.ratio, "accepted": change.accepted,
            "drop": change.drop, "interval": [change.lower, change.upper], "events": change.total,
        },
        "initial": [
            {
                "slo": acceptance_change.slo, "version": acceptance_change.version, "accepted": acceptance_change.accepted, "ratio": acceptance_change.ratio,
                "drop": acceptance_change.drop, "interval": [acceptance_change.lower, acceptance_change.upper], "events": acceptance_change.total,
            }
            for acceptance_change in facts.initial_distances
        ],
        "training": training and {
            "outcome": training.outcome, "reason": training.reason, "time": _time_text(training.time),
        },
        "review": facts.review,
        "byMarket": {market: str(market_level.state) for market, market_level in facts.by_market.items()},
        "journeys": dict(facts.journeys.steps) if facts.journeys else {},
        "dependsOn": [_upstream(upstream) for upstream in facts.upstream],
        "needs": [
            {"kind": str(need.kind), "message": need.message, "since": _time_text(need.since),
             "command": need.command}
            for need in facts.needs
        ],
        "resourceHours": facts.hours and facts.hours.document(),
        "problem": facts.problem,
    }  # fmt: skip


def _upstream(upstream: Any) -> dict[str, Any]:
    namespace, name = upstream.key if upstream.key is not None else (None, HIDDEN_PRODUCT)
    return {"namespace": namespace, "name": name, "state": str(upstream.state)}


def portfolio_json(
    overview: PortfolioOverview, products: Sequence[ProductFacts], movers: Iterable[Mover]
) -> dict[str, Any]:
    """Return the sentence, the counts, the products that changed most, and the selected products."""
    return {
        "sentence": overview.sentence,
        "total": overview.total,
        "states": {str(state): number for state, number in overview.states.items()},
        "needs": {str(kind): number for kind, number in overview.kinds.items()},
        "movers": [
            {
                "namespace": mover.product.key[0], "name": mover.product.key[1],
                "review": mover.review.key.name, "slo": mover.slo.name, **mover.place,
                "change": mover.text, "estimate": mover.estimate,
                "interval": list(mover.interval),
                "sentence": mover.sentence,
            }
            for mover in movers
        ],
        "products": [product_json(product) for product in products],
    }  # fmt: skip


def portfolio_csv(products: Iterable[ProductFacts]) -> str:
    """Render a row for each product."""
    return _table(map(_row, products), COLUMNS)


def _row(facts: ProductFacts) -> tuple[object, ...]:
    worst_slo, change, training = facts.worst_slo, facts.change, facts.last_training
    return (
        *facts.key, facts.title, facts.team, facts.domain, str(facts.lifecycle), str(facts.priority),
        " ".join(facts.markets), str(facts.state), _time_text(facts.state_since), facts.reason,
        worst_slo and worst_slo.slo, worst_slo and str(worst_slo.state), worst_slo and worst_slo.budget_left,
        facts.model, _time_text(facts.model_since), facts.canary,
        change and change.slo, change and change.ratio, change and change.accepted,
        change and change.drop, change and change.lower, change and change.upper,
        change and change.total,
        training and training.outcome, training and training.reason, training and _time_text(training.time),
        facts.review, " ".join(str(need.kind) for need in facts.needs), facts.problem,
        facts.hours and facts.hours.days, *row_of(facts.hours),
        *(_initial_values(facts.initial_distances[0]) if facts.initial_distances else (None,) * 6),
    )  # fmt: skip


def _initial_values(distance: InitialDistance) -> tuple[object, ...]:
    return (
        distance.slo, distance.version, distance.accepted, distance.drop, distance.lower, distance.upper,
    )  # fmt: skip


def matrix_json(matrix: Matrix) -> dict[str, Any]:
    """Return states by product and market; a market without data is null."""
    return {
        "markets": list(matrix.markets),
        "products": [
            {
                "namespace": row.product.key[0],
                "name": row.product.key[1],
                "states": {
                    market: None if state is None else str(state)
                    for market, state in zip(matrix.markets, row.cells, strict=True)
                    if market not in row.absent
                },
            }
            for row in matrix.rows
        ],
    }


def matrix_csv(matrix: Matrix) -> str:
    """Render a row for each product, a column for each market."""
    rows = (
        (*row.product.key, *(None if state is None else str(state) for state in row.cells))
        for row in matrix.rows
    )
    return _table(rows, ("namespace", "name", *matrix.markets))


def market_json(market: str, products: Iterable[MarketProduct]) -> dict[str, Any]:
    """Return the products in one market, the worst first."""
    return {
        "market": market,
        "products": [
            {
                "namespace": product.product.key[0], "name": product.product.key[1],
                "title": product.product.title, "state": str(product.product.state),
                "here": product.level and {
                    "state": str(product.level.state), "slo": product.level.slo,
                    "ratio": product.level.ratio, "events": product.level.total,
                },
                "alone": product.alone,
            }
            for product in products
        ],
    }  # fmt: skip


def market_csv(products: Iterable[MarketProduct]) -> str:
    """Render a row for each product."""
    rows = (
        (*row.product.key, row.product.title, row.product.team, str(row.product.state),
         row.level and str(row.level.state), row.level and row.level.slo,
         row.level and row.level.ratio, row.level and row.level.total, row.alone)
        for row in products
    )  # fmt: skip
    columns = (
        "namespace",
        "name",
        "title",
        "team",
        "state",
        "stateHere",
        "slo",
        "ratio",
        "events",
        "alone",
    )
    return _table(rows, columns)


def journeys_json(journeys: Iterable[Journey]) -> list[dict[str, Any]]:
    """Return journeys with their steps in order."""
    return [
        {
            "name": journey.name, "answered": journey.answered, "answeredBounds": journey.answered_bounds,
            "stepsCounted": journey.counted,
            "inTime": journey.in_time, "stepsTimed": journey.timed, "milliseconds": journey.milliseconds,
            "weakest": journey.weakest and "/".join(journey.weakest.product.key),
            "steps": [
                {
                    "step": step.number, "namespace": step.product.key[0],
                    "name": step.product.key[1], "title": step.product.title,
                    "state": str(step.product.state), "answered": _share_document(step.answered),
                    "inTime": _share_document(step.in_time),
                }
                for step in journey.steps
            ],
        }
        for journey in journeys
    ]  # fmt: skip


def _share_document(served_share: ServedShare | None) -> dict[str, Any] | None:
    if served_share is None:
        return None
    return {
        "slo": served_share.slo,
        "ratio": served_share.ratio,
        "events": served_share.total,
        "milliseconds": served_share.milliseconds,
    }


def journeys_csv(journeys: Iterable[Journey]) -> str:
    """Render a row for each step."""
    rows = (
        (journey.name, step.number, *step.product.key, str(step.product.state),
         step.answered and step.answered.ratio, step.answered and step.answered.total,
         step.in_time and step.in_time.ratio, step.in_time and step.in_time.total,
         step.in_time and step.in_time.milliseconds, step == journey.weakest)
        for journey in journeys for step in journey.steps
    )  # fmt: skip
    columns = (
        "journey", "step", "namespace", "name", "state", "answered", "requests", "inTime", "timed",
        "milliseconds", "weakest",
    )  # fmt: skip
    return _table(rows, columns)


def graph_json(graph: Graph) -> dict[str, Any]:
    """Return nodes and edges; a product that the reader may not see has no name."""
    return {
        "nodes": [
            {"id": name, "name": _label(graph, name), "state": node.state,
             "affectedBy": [_label(graph, cause) for cause in node.causes]}
            for name, node in sorted(graph.nodes.items())
        ],
        "edges": [{"from": caller, "to": callee} for caller, callee in graph.edges],
    }  # fmt: skip


def graph_csv(graph: Graph) -> str:
    """Render a row for each call."""
    rows = (
        (
            _label(graph, caller),
            graph.nodes[caller].state,
            _label(graph, callee),
            graph.nodes[callee].state,
        )
        for caller, callee in graph.edges
    )
    return _table(rows, ("product", "state", "calls", "stateOfCalled"))


def _label(graph: Graph, name: str) -> str:
    node = graph.nodes[name]
    is_hidden = node.facts is None and node.state != "NotFound"
    return HIDDEN_PRODUCT if is_hidden else name


def reviews_json(results: Iterable[ReviewResult], now: float) -> list[dict[str, Any]]:
    """Return one item for each review, with what its period brought; `now` in seconds since the epoch."""
    return [
        {
            "namespace": review.key.namespace, "name": review.key.name, "product": review.product,
            "firstDay": review.first_day, "lastDay": review.last_day, "state": review.state,
            "due": _time_text(review.due), "signedBy": list(review.signed_by), "missing": list(review.missing),
            "sentence": result.sentence, "change": result.change, "goals": list(result.goals),
            "missedMarkets": {slo: list(markets) for slo, markets in result.missed_markets.items()},
            "openActions": [action.document(now) for action in result.actions],
        }
        for result in results
        for review in [result.review]
    ]  # fmt: skip


def reviews_csv(results: Iterable[ReviewResult], now: float) -> str:
    """Render a row for each review, with the fields of its JSON."""
    return _table(
        (map(_cell_text, document.values()) for document in reviews_json(results, now)),
        ("namespace", "name", "product", "firstDay", "lastDay", "state", "due", "signedBy", "missing",
         "sentence", "change", "goals", "missedMarkets", "openActions"),
    )  # fmt: skip


def _cell_text(value: Any) -> Any:
    """Return a value of JSON as the text of one cell."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {', '.join(markets)}" for name, markets in value.items())
    if not isinstance(value, list):
        return value
    actions = (action for action in value if isinstance(action, dict))
    texts = [
        f"{action['title']} ({action['owner']}, due {action['due']}{', late' * action['late']})"
        for action in actions
    ]
    return "; ".join(texts) if texts else ", ".join(value)


def detail_json(detail: Detail) -> dict[str, Any]:
    """Return a product with its status, without the engine's state and names of hidden products."""
    status = detail.product.status.to_dict()
    for name in ("engine", "dependencies"):
        status.pop(name, None)
    return {
        "product": product_json(detail.facts),
        "status": status,
        "history": {
            slo.status.name: [
                {"date": date, "bad": bad_count, "total": total}
                for date, bad_count, total in slo.days
            ]
            for slo in detail.slos
        },
        "evolution": [line_document(line) for line in detail.lines],
        "byMarket": [table.document() for table in detail.markets],
        "calling": detail.calling and detail.calling.document(),
        "iterations": list(detail.iterations),
        "responseTimes": response_times(detail.response_times),
        "resourceHours": detail.hours and detail.hours.document(),
        "dependents": [
            {"namespace": dependent.key[0], "name": dependent.key[1]}
            for dependent in detail.dependents
        ],
        "commands": dict(detail.commands),
    }


def detail_csv(detail: Detail) -> str:
    """Render a row for each SLO."""
    rows: Iterable[tuple[object, ...]] = (
        (slo.status.name, str(slo.status.state), slo.status.reason, _number(slo.status.ratio),
         slo.status.bad, slo.status.total, _number(slo.status.objective),
         _number(slo.status.budget_remaining), _number(slo.status.baseline_ratio),
         _number(slo.status.drop), slo.outside, slo.status.message)
        for slo in detail.slos
    )  # fmt: skip
    columns = (
        "slo", "state", "reason", "ratio", "bad", "total", "objective", "budgetLeft", "accepted",
        "drop", "daysOutside", "message",
    )  # fmt: skip
    return _table(rows, columns)


def iterations_csv(detail: Detail) -> str:
    """Render a row for each version that was tried."""
    return _table(iterations.rows(detail.iterations), iterations.COLUMNS)


def _number(value: str | None) -> float | None:
    return None if value is None else float(value)


def _time_text(seconds: int | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
