"""Grafana dashboards as the JSON that Grafana takes: one line a panel, boards beside this file."""
# ruff: noqa: INP001 - scripts beside the chart that they write for, not a package

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA_SOURCE: Final = {"type": "prometheus", "uid": "$datasource"}
COLUMNS: Final = 24
HEIGHT: Final = 7

STATES: Final = (
    ("Unknown", "gray"),
    ("Healthy", "green"),
    ("Degrading", "orange"),
    ("Degraded", "red"),
)
"""By the value of `sluicegate_product_state`."""


LEGEND: Final = {"displayMode": "list", "placement": "bottom"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: legends and expressions, what they are counted in, how wide it is."""

    title: str
    series: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    states: bool = False
    text: str = ""


Rows = tuple[tuple[str, tuple[Panel, ...]], ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a board: the values of a label of a metric; several unless `single`."""

    name: str
    metric: str
    single: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    rows: Rows
    variables: tuple[Variable, ...]
    text: str = ""


def render(board: Board) -> str:
    """A dashboard as Grafana imports it."""
    dashboard = {
        "uid": board.uid,
        "title": board.title,
        **({"description": board.text} if board.text else {}),
        "tags": ["sluicegate"],
        "timezone": "browser",
        "editable": True,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": list(_variables(board))},
        "links": [
            {"title": "Operations", "type": "link", "url": "https://sluicegate.dev/docs/operations"}
        ],
        "panels": list(_panels(board.rows)),
    }
    return json.dumps(dashboard, indent=1) + "\n"


def _variables(board: Board) -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    for one in board.variables:
        yield _variable(one)


def _variable(of: Variable) -> dict[str, Any]:
    several: dict[str, Any] = {
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "name": of.name,
        "label": of.name.capitalize(),
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": f"label_values({of.metric}, {of.name})",
        "refresh": 2,
        **({"includeAll": False, "multi": False} if of.single else several),
    }


def _panels(rows: Rows) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for title, panels in rows:
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}}  # fmt: skip
        top += 1
        for panel, left, line in _placed(panels):
            number += 1
            place = {"x": left, "y": top + line * HEIGHT, "w": panel.width, "h": HEIGHT}
            yield _panel(panel, number, place)
        top += (1 + max(line for _, _, line in _placed(panels))) * HEIGHT


def _placed(panels: Sequence[Panel]) -> Iterator[tuple[Panel, int, int]]:
    """Each panel with its column and line: from left to right, as long as there is room."""
    left, line = 0, 0
    for panel in panels:
        if left + panel.width > COLUMNS:
            left, line = 0, line + 1
        yield panel, left, line
        left += panel.width


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATA_SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "mappings": _mappings() if panel.states else []},
            "overrides": [],
        },
        "options": {} if panel.kind == "stat" else {"legend": LEGEND},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend}
            for index, (legend, expression) in enumerate(panel.series)
        ],
    }


def _mappings() -> list[dict[str, Any]]:
    options = {
        str(value): {"text": text, "color": color} for value, (text, color) in enumerate(STATES)
    }
    return [{"type": "value", "options": options}]
