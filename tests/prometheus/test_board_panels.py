"""Each panel of the Grafana boards draws something: asked of a real Prometheus, and read by Grafana's types."""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import TYPE_CHECKING

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from sluicegate.api.versions import CandidatePhase
from sluicegate.reconcile.report.product_sample import RemedyState
from sluicegate.slo import metric_names
from sluicegate_service import markets
from sluicegate_service.outcomes import Event, Outcome
from tests.prometheus.test_dashboard import (
    BOARDS,
    FILES,
    PROCESS,
    TARGET,
    VARIABLES,
    metrics_of,
    panels,
    services,
)  # fmt: skip
from tests.support.processes.http_server import answering
from tests.support.prometheus.exposed_series import exposed_labels
from tests.support.prometheus.server import prometheus, rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(180)
SELECTED = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
MATCHED = re.compile(r'([a-z_]+)\s*(=~|=|!=|!~)\s*"([^"]*)"')
BOUNDS = ("0.1", "1", "+Inf")
PANELS = {
    f"{file.removesuffix('.json')}: {panel['title']} {number}": target["expr"]
    for file in BOARDS
    for panel in panels(file)
    for number, target in enumerate(panel["targets"])
}


def filled(expression: str) -> str:
    """Return an expression with all of what one may choose at the top of a board."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression.replace('namespace=".*"', 'namespace="x"').replace(
        'product=".*"', 'product="x"'
    )


def series() -> dict[str, set[tuple[tuple[str, str], ...]]]:
    """Label sets by metric, as far as the panels select by their values; any other label is x."""
    exposed = exposed_labels() | services() | dict.fromkeys(PROCESS, frozenset())
    found: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for expression in map(filled, PANELS.values()):
        asked = [(name, "") for name in metrics_of(expression)] + SELECTED.findall(expression)
        for name, inside in asked:
            labels = dict.fromkeys({*exposed[name], *TARGET, *metric_names.TARGET}, "x")
            for label, operator, value in MATCHED.findall(inside):
                if operator in {"=", "=~"} and value != ".*":
                    labels[label] = value.split("|")[0].replace("..", "00")
            bounds = BOUNDS if "le" in exposed[name] else ("",)
            for bound in bounds:
                chosen = labels | ({"le": bound} if bound else {})
                found.setdefault(name, set()).add(tuple(sorted(chosen.items())))
    return found


def page() -> Callable[[bytes], str]:
    """Return a page with all of these series, each larger at each scrape."""
    shown, scrapes = series(), itertools.count(1)

    def text(_: bytes) -> str:
        scrape, lines = next(scrapes), []
        for name, label_sets in sorted(shown.items()):
            for labels in sorted(label_sets):
                told = ",".join(f'{label}="{value}"' for label, value in labels)
                scale = BOUNDS.index(dict(labels).get("le", "0.1")) + 1
                lines.append(f"{name}{{{told}}} {scrape * scale}")
        return "\n".join(lines) + "\n"

    return text


@pytest.fixture(scope="module")
def scraped(prometheus_program, tmp_path_factory):
    """Yield a function that queries a Prometheus which has scraped the page three times."""
    folder = tmp_path_factory.mktemp("prometheus")
    with answering(page()) as target:
        config = {
            "scrape_configs": [
                {"job_name": "x", "scrape_interval": "1s", "honor_labels": True,
                 "static_configs": [{"targets": [target]}]},
            ],
        }  # fmt: skip
        with prometheus(prometheus_program, folder, config) as url:

            def ask(query: str) -> list[float]:
                return [float(row["value"][1]) for row in rows(url, query)]

            scrapes = 'count_over_time(sluicegate_products{job="x"}[5m])'
            eventually(lambda: max(ask(scrapes), default=0) >= 3, seconds=60, what="three scrapes")
            yield ask


@pytest.mark.parametrize("expression", PANELS.values(), ids=PANELS)
def test_a_dashboard_panel_has_data_if_all_its_series_exist(scraped, expression):
    found = scraped(filled(expression))
    assert [one for one in found if not math.isnan(one)], filled(expression)


VALUES = {
    "sluicegate_candidates": {"phase": set(CandidatePhase)},
    "sluicegate_degraded_longest_seconds": {"remedy": set(RemedyState)},
    "sluicegate_predictions_labelled_total": {"outcome": set(Outcome)},
    "sluicegate_predictions_paired_total": {
        "outcome": set(Outcome),
        "shadow_outcome": set(Outcome),
    },
    "sluicegate_indicator_events_total": {"outcome": set(Event)},
    "sluicegate_market_events_total": {
        "outcome": {markets.GOOD, markets.BAD},
        "indicator": {markets.AVAILABILITY, markets.OUTCOMES},
    },
}
"""Values of labels, by the code that sets them."""


@pytest.mark.parametrize("expression", PANELS.values(), ids=PANELS)
def test_a_dashboard_panel_selects_only_label_values_that_the_code_sets(expression):
    for name, inside in SELECTED.findall(expression):
        for label, operator, value in MATCHED.findall(inside):
            if operator == "=" and "$" not in value:
                assert value in VALUES[name][label], f"{name}: {label}={value}"


@pytest.mark.parametrize("file", BOARDS)
def test_the_types_of_grafana_have_each_field_of_a_dashboard(file):
    """Reading by its types and writing again loses what Grafana doesn't know."""
    register_default_plugins()
    board = json.loads((FILES / file).read_text(encoding="utf-8"))
    known = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert list(lost(board, known)) == []


def lost(one, other, path=""):
    """Yield paths whose value differs in `other`, or that it doesn't have."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name, part in one.items():
            yield from lost(part, other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (part, same) in enumerate(zip(one, other, strict=True)):
            yield from lost(part, same, f"{path}[{number}]")
    elif one != other:
        yield f"{path}: {one!r}, not {other!r}"
