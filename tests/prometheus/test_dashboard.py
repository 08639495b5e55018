"""The Grafana dashboard and the alerts ask for what the operator exposes, in PromQL that parses."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus.exposed_series import exposed_labels

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "charts" / "sluicegate" / "files"
DASHBOARD = FILES / "dashboard.json"
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
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}


def panels() -> list[dict]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def alert_expressions() -> list[str]:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def metrics_of(expression: str) -> set[str]:
    """Names of the metrics that an expression selects: words with a brace behind, and bare ones."""
    without_labels = re.sub(r"\b(by|on|without) \([^)]*\)", "", expression)
    bare = re.sub(r"\{[^}]*\}", "{", without_labels)
    found = {one or two for one, two in SELECTOR.findall(bare)}
    return {name for name in found if "_" in name} - WORDS


def labels_of(expression: str) -> set[str]:
    """Labels that an expression groups by or matches."""
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    matched = re.findall(r"[{,]\s*([a-z_]+)\s*(?:=|!=|=~|!~)", expression)
    return {label.strip() for one in grouped for label in one.split(",")} | set(matched)


def test_the_file_is_what_the_script_writes():
    render = runpy.run_path(str(ROOT / "charts" / "dashboard.py"))["render"]
    assert DASHBOARD.read_text(encoding="utf-8") == render(), (
        "run: python charts/dashboard.py > charts/sluicegate/files/dashboard.json"
    )


def test_each_expression_parses(promtool, tmp_path):
    rules = []
    for number, expression in enumerate(expressions()):
        text = expression
        for variable, value in VARIABLES.items():
            text = text.replace(variable, value)
        assert "$" not in text, f"a variable that the dashboard doesn't have: {expression}"
        rules.append({"record": f"panel:{number}", "expr": text})
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [str(promtool), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rules) > 40


@pytest.mark.parametrize("expression", [*expressions(), *alert_expressions()])
def test_each_metric_exists_with_the_labels_that_are_asked_for(expression):
    names = metrics_of(expression)
    assert names, expression
    exposed = exposed_labels()
    unknown = {name for name in names if name not in exposed and name not in PROCESS}
    assert not unknown, f"{unknown} in {expression}"
    known = TARGET.union(*(exposed.get(name, frozenset()) for name in names))
    assert labels_of(expression) <= known, expression


def test_no_two_panels_overlap_and_none_leaves_the_grid():
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} over {taken.get((x, y))}"
                taken[x, y] = panel["title"]
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    assert all(panel["datasource"]["uid"] == "$datasource" for panel in panels())
