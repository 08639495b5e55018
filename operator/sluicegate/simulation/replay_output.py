"""Output of a replay: one JSON object per evaluation, or a table."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sluicegate.api.status import DataProductStatus
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.simulation.replay import ReplayStep

_HEADER = ("AT", "STATE", "DECISION", "REASON", "STABLE", "CANARY", "MESSAGE")


def as_object(step: ReplayStep) -> dict[str, Any]:
    """Return one evaluation as a JSON object; stable, candidate and weight are those after acting."""
    evaluation, status = step.evaluation, step.status
    return {
        "at": step.at,
        "state": evaluation.state.value,
        "decision": {
            "type": evaluation.decision.type.value,
            "reason": evaluation.decision.reason.value,
            "message": evaluation.decision.message,
        },
        "stable": status.stable.release.version if status.stable else None,
        "candidate": status.candidate.release.version if status.candidate else None,
        "weight": status.candidate.weight if status.candidate else 0,
        "slos": {result.terms.name: _slo(result, status) for result in evaluation.slos},
    }


def _slo(result: SloResult, status: DataProductStatus) -> dict[str, Any]:
    document: dict[str, Any] = {
        "state": result.state.value,
        "reason": result.reason.value,
        "bad": result.recent_count.bad,
        "total": result.recent_count.total,
        "confirmed": status.engine.slo(result.terms.name).degraded,
    }
    if result.terms.objective is not None:
        document["objective"] = result.terms.objective
    if result.recent_count.ratio is not None:
        document["ratio"] = round(1 - result.recent_count.ratio, 6)
    if result.baseline is not None:
        document["baselineRatio"] = round(1 - ratio_of(result.baseline.count), 6)
        document["baselineSource"] = result.baseline.source.value
    if result.drift is not None:
        document["statistic"] = round(result.drift.statistic, 6)
        document["statisticBound"] = round(result.drift.bound, 6)
    return document


def json_lines(steps: Iterable[ReplayStep]) -> Iterator[str]:
    """Yield one line for each evaluation."""
    for step in steps:
        yield json.dumps(as_object(step), ensure_ascii=False)


def table(steps: Iterable[ReplayStep]) -> Iterator[str]:
    """Yield aligned columns; repeated evaluations are counted instead of shown."""
    yield _table_row(_HEADER)
    last_row, repeat_count = None, 0
    for step in steps:
        document = as_object(step)
        decision = document["decision"]
        canary = f"{document['candidate']}@{document['weight']}" if document["candidate"] else "-"
        cells = (
            document["state"],
            decision["type"],
            decision["reason"],
            document["stable"] or "-",
            canary,
        )
        if cells == last_row:
            repeat_count += 1
            continue
        if repeat_count:
            yield f"{'':8}  … {repeat_count} more evaluations like this"
        last_row, repeat_count = cells, 0
        yield _table_row((str(document["at"]), *cells, decision["message"]))
    if repeat_count:
        yield f"{'':8}  … {repeat_count} more evaluations like this"


def _table_row(cells: tuple[str, ...]) -> str:
    time_cell, state, decision, reason, stable, canary, message = cells
    return f"{time_cell:>8}  {state:<9}  {decision:<12}  {reason:<20}  {stable:<8}  {canary:<8}  {message}"
