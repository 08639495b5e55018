"""Series as promtool takes them, and what the operator's queries make of them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import (
    Needs,
    QueryKind,
    render_queries,
)

if TYPE_CHECKING:
    from pathlib import Path


NEEDS = Needs(
    thresholds=frozenset({250, 500}),
    labelled=True,
    events=True,
    counters=frozenset({("served_total", 600), ("clicked_total", 0)}),
    gauges=frozenset({"basket_value"}),
    markets=True,
    paired=True,
    upstreams=True,
)
TARGET = 'namespace="catalog", product="search", version="v1", pod="p-0", job="j", instance="i"'
OTHER = TARGET.replace("p-0", "p-1").replace('"i"', '"k"')
ROUTE = 'endpoint="/predict", runner_name="Search"'
VERSION = '{namespace="catalog", product="search", version="v1", runner_name="Search"}'


def requests(values: str, code: int = 200, target: str = TARGET, route: str = ROUTE):
    labels = f'{target}, {route}, http_response_code="{code}"'
    return {"series": f"bentoml_service_request_total{{{labels}}}", "values": values}


def up(values: str = "1x40", target: str = TARGET):
    return {"series": f"up{{{target}}}", "values": values}


def run(promtool: Path, folder: Path, *arguments: str, **files: object):
    """Return promtool on files of these contents, named by their keywords."""
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(as_yaml(content), encoding="utf-8")
    command = [str(promtool), *arguments, *(f"{folder / name}.yaml" for name in files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def as_yaml(document: object) -> str:
    """Return JSON, which YAML contains but for its surrogates: a tenth of the time of a YAML writer."""
    text = json.dumps(document, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda one: f"\\U{ord(one[0]):08x}", text)


def check_values(promtool: Path, folder: Path, series: list, expected: dict[str, list]) -> None:
    """Hold that each expression has these samples at minute 10, the end of a block."""
    rows = [(10, text, samples) for text, samples in expected.items()]
    check_values_at(promtool, folder, series, rows)


def check_values_at(
    promtool: Path, folder: Path, series: list, expected: list[tuple[int, str, list]]
) -> None:
    """Hold that at each minute an expression has these samples."""
    test = {
        "interval": "30s",
        "input_series": series,
        "promql_expr_test": [
            {"expr": text, "eval_time": f"{minute}m", "exp_samples": samples}
            for minute, text, samples in expected
        ],
    }
    answer = run(promtool, folder, "test", "rules", tests={"tests": [test]})
    assert answer.returncode == 0, answer.stdout + answer.stderr


def query(kind: QueryKind) -> str:
    arguments = (
        one
        for canary in (False, True)
        for one in render_queries(Scope(), 300, NEEDS, canary=canary)
    )
    return next(argument.text for argument in arguments if argument.kind is kind)


def count(value: float) -> list[dict]:
    return [{"labels": VERSION, "value": value}]


def answered(value: float, code: int) -> list[dict]:
    return [{"labels": VERSION[:-1] + f', http_response_code="{code}"}}', "value": value}]
