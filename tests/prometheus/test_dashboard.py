"""The Grafana dashboards and the alerts ask for what operator and services expose, in PromQL that parses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from charts import dashboard, product_boards
from charts.grafana import render
from sluicegate.slo import metric_names
from sluicegate_service import environment
from sluicegate_service.markets import market_events
from sluicegate_service.outcomes import OutcomeCounters
from tests.support.prometheus.exposed_series import exposed_labels
from tests.support.prometheus.promtool import run

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "charts" / "sluicegate" / "files"
BOARDS = {
    "dashboard.json": dashboard.BOARD,
    "dashboard-portfolio.json": product_boards.BOARDS["portfolio"],
    "dashboard-product.json": product_boards.BOARDS["product"],
}
VARIABLES = {
    "$__rate_interval": "5m",
    "$job": ".*",
    "$namespace": ".*",
    "$product": ".*",
}
SELECTOR = re.compile(r"\b([a-z_]+)(?=\{)|\b([a-z]+_[a-z_]+)\b(?![\w(={])")
WORDS = {"group_left", "histogram_quantile"}
TARGET = {"job", "instance", "namespace", "pod", "container", "endpoint", "service"}
"""Labels that Prometheus gives to what it scrapes."""
KUBE_STATE = {
    "kube_deployment_status_replicas_available": frozenset({"namespace", "deployment"}),
    "kube_cronjob_status_last_successful_time": frozenset({"namespace", "cronjob"}),
    "kube_cronjob_created": frozenset({"namespace", "cronjob"}),
}
"""Of kube-state-metrics, for programs of the chart that expose no metrics."""
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}


def panels(file: str) -> list[dict]:
    board = json.loads((FILES / file).read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(*files: str) -> list[str]:
    named = files or BOARDS
    return [
        target["expr"] for file in named for panel in panels(file) for target in panel["targets"]
    ]


def services() -> dict[str, frozenset[str]]:
    """Label names of what the pods of a product expose, by the name of a sample."""
    counters = OutcomeCounters.create(version="v1", registry=CollectorRegistry(), environment={})
    ours = {
        f"{one._name}_total": frozenset(one._labelnames)
        for one in (
            counters.labelled,
            counters.events,
            counters.paired,
            market_events(CollectorRegistry()),
        )
    }
    requests = frozenset({metric_names.ENDPOINT, metric_names.CODE, metric_names.SERVICE})
    return ours | {
        environment.LOG_HELD_METRIC: frozenset(),
        environment.LOG_FAILED_METRIC: frozenset(),
        metric_names.REQUESTS: requests,
        metric_names.DURATION_BUCKETS: requests | {metric_names.BOUND_LABEL},
        metric_names.UP_METRIC: frozenset(),
        environment.REFUSED_METRIC: frozenset({"reason"}),
        environment.MIRRORED_METRIC: frozenset({"result"}),
    }


def alert_expressions() -> list[str]:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def metrics_of(expression: str) -> set[str]:
    """Return names of the metrics that an expression selects: words with a brace behind, and bare ones."""
    without_labels = re.sub(r"\b(by|on|without) \([^)]*\)", "", expression)
    bare = re.sub(r"\{[^}]*\}", "{", without_labels)
    found = {one or two for one, two in SELECTOR.findall(bare)}
    return {name for name in found if "_" in name or name == metric_names.UP_METRIC} - WORDS


def labels_of(expression: str) -> set[str]:
    """Return labels that an expression groups by or matches."""
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    matched = re.findall(r"[{,]\s*([a-z_]+)\s*(?:=|!=|=~|!~)", expression)
    return {label.strip() for one in grouped for label in one.split(",")} | set(matched)


@pytest.mark.parametrize("file", BOARDS)
def test_each_dashboard_file_is_generated_by_the_script(file):
    assert (FILES / file).read_text(encoding="utf-8") == render(BOARDS[file]), (
        "run what the first lines of charts/dashboard.py and charts/product_boards.py say"
    )


def test_each_dashboard_has_a_unique_id_and_title():
    assert len({board.uid for board in BOARDS.values()}) == len(BOARDS)
    assert {f"sluicegate/files/{file}" for file in BOARDS} == {
        f"sluicegate/files/{path.name}" for path in FILES.glob("dashboard*.json")
    }


def test_each_dashboard_expression_parses(promtool, tmp_path):
    rules = []
    for number, expression in enumerate(expressions()):
        text = expression
        for variable, value in VARIABLES.items():
            text = text.replace(variable, value)
        assert "$" not in text, f"a variable that the dashboard doesn't have: {expression}"
        rules.append({"record": f"panel:{number}", "expr": text})
    groups = {"groups": [{"name": "dashboard", "rules": rules}]}
    done = run(promtool, tmp_path, "check", "rules", rules=groups)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rules) > 40


@pytest.mark.parametrize("expression", [*expressions(), *alert_expressions()])
def test_each_dashboard_metric_exists_with_the_selected_labels(expression):
    names = metrics_of(expression)
    assert names, expression
    exposed = exposed_labels() | services() | KUBE_STATE
    unknown = {name for name in names if name not in exposed and name not in PROCESS}
    assert not unknown, f"{unknown} in {expression}"
    known = (TARGET | set(metric_names.TARGET)).union(
        *(exposed.get(name, frozenset()) for name in names)
    )
    assert labels_of(expression) <= known, expression


@pytest.mark.parametrize("file", BOARDS)
def test_dashboard_panels_lie_within_the_grid_without_overlap(file):
    taken: dict[tuple[int, int], str] = {}
    for panel in panels(file):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} over {taken.get((x, y))}"
                taken[x, y] = panel["title"]
    titles = [panel["title"] for panel in panels(file)]
    assert len(set(titles)) == len(titles)
    assert all(panel["datasource"]["uid"] == "$datasource" for panel in panels(file))
