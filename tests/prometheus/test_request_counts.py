"""Requests and bad requests of a block, counted by promtool from series that begin, end, restart and move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import QueryKind, render_histogram
from tests.support.prometheus.promtool import (
    OTHER,
    TARGET,
    answered,
    check_values_at,
    count,
    query,
    requests,
    run,
    up,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    sentence: str
    series: list[dict]
    requests: list[dict]
    bad: list[dict]


CASES = [
    Case(
        "the first three 5xx of a running pod are three",
        [up(), requests("0+1x40"), requests("_x14 1 2 3x20", 503)],
        count(13),
        answered(3, 503),
    ),
    Case(
        "a product without an error series has no bad series, and its requests are there",
        [up(), requests("0+3x40")],
        count(30),
        [],
    ),
    Case(
        "twelve minutes without scrapes count what was seen afterwards, not a whole life",
        [up("_x15 1x5"), requests("_x15 100290+3x5")],
        count(15),
        [],
    ),
    Case(
        "a target that couldn't be scraped before counts only what was seen afterwards",
        [up("0x14 1x5"), requests("_x15 100290+3x5")],
        count(15),
        [],
    ),
    Case(
        "a container that restarts in the block loses nothing that was scraped",
        [up(), requests("0+4x15 0+4x10")],
        count(40 - 4),
        [],
    ),
    Case(
        "a container that restarts at the block's edge counts what came after",
        [up(), requests("0+50x10 5+5x10")],
        count(50),
        [],
    ),
    Case(
        "errors before a crash are not forgotten with it",
        [up(), requests("0+10x20"), requests("0x12 5 9 0x10", 500)],
        count(100 + 9),
        answered(9, 500),
    ),
    Case(
        "a container that restarts and in the same block overtakes its old count isn't halved",
        [up(), requests("0+10x40"), requests("3x10 3 0x3 1+1x10", 500)],
        count(100 + 5),
        answered(5, 500),
    ),
    Case(
        "a counter born again at no less than before hides the restart, and counts nothing twice",
        [up(), requests("0+10x40"), requests("2x10 _x5 2x10", 503)],
        count(100),
        answered(0, 503),
    ),
    Case(
        "a counter born in a pod that was scraped before counts from its first value",
        [up(), requests("_x15 7x10")],
        count(7),
        [],
    ),
    Case(
        "a pod born in the block counts from its first scrape on",
        [up(), requests("0+1x40"), up("_x15 1x10", OTHER), requests("_x15 2+2x10", 200, OTHER)],
        count(10 + 10),
        [],
    ),
    Case(
        "a pod that goes away in the block counts up to its last scrape",
        [up("1x15 stale"), requests("0+2x15 stale")],
        count(10),
        [],
    ),
    Case(
        "probes and feedback count for nothing, and unknown paths for no request",
        [
            up(),
            requests("0+1x40"),
            requests("0+9x40", 200, route='endpoint="/livez", runner_name="Search"'),
            requests("0+9x40", 200, route='endpoint="/feedback", runner_name="Search"'),
            requests("0+9x40", 200, route='endpoint="/docs.json", runner_name="Search"'),
            requests("0+9x40", 404, route='endpoint="/wp-admin", runner_name="Search"'),
        ],
        count(10),
        answered(90, 404),
    ),
    Case(
        "series that belong to no product count for nothing",
        [up(), requests("0+1x40", target='namespace="catalog", pod="x", job="j"')],
        [],
        [],
    ),
    Case(
        "what is refused is told apart from what fails",
        [up(), requests("0+5x40"), requests("0+2x40", 422), requests("0+1x40", 500)],
        count(80),
        [*answered(20, 422), *answered(10, 500)],
    ),
]


def test_the_request_queries_return_requests_and_bad_requests_of_a_block(
    promtool: Path, tmp_path: Path
):
    """All cases in one call: what it says of a failure begins with the case's name."""
    tests = [
        {
            "name": case.sentence,
            "interval": "30s",
            "input_series": case.series,
            "promql_expr_test": [
                {"expr": query(kind), "eval_time": "10m", "exp_samples": samples}
                for kind, samples in (
                    (QueryKind.REQUESTS, case.requests),
                    (QueryKind.REQUESTS_BAD, case.bad),
                )
            ],
        }
        for case in CASES
    ]
    answer = run(promtool, tmp_path, "test", "rules", tests={"tests": tests})
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_block_counts_add_up_to_the_increase_of_the_counter(promtool: Path, tmp_path: Path):
    # 25 at minute 5, 48 at minute 10, 70 at minute 15, 127 at minute 20; jumps in between.
    values = "17 17 18 25x7 30+2x9 70x10 71+7x9"
    expected = {10: 48 - 25, 15: 70 - 48, 20: 127 - 70}
    check_values_at(
        promtool,
        tmp_path,
        [up("1x80"), requests(values)],
        [(minute, query(QueryKind.REQUESTS), count(value)) for minute, value in expected.items()],
    )


def test_the_response_query_counts_by_operation_bound_and_code(promtool: Path, tmp_path: Path):
    """Codes of unknown paths are left out, and a row has either a bound or a code."""

    def answers(endpoint: str, code: int, growth: dict[str, int]) -> list[dict]:
        return [
            {
                "series": (
                    f'bentoml_service_request_duration_seconds_bucket{{{TARGET}, endpoint="{endpoint}",'
                    f' http_response_code="{code}", le="{bound}"}}'
                ),
                "values": f"0+{number}x40",
            }
            for bound, number in growth.items()
        ]

    series = [
        up(),
        *answers("/rank", 200, {"0.25": 3, "+Inf": 4}),
        *answers("/rank", 503, {"0.25": 1, "+Inf": 2}),
        *answers("/rank", 404, {"+Inf": 5}),
        *answers("/old", 200, {"+Inf": 1}),
    ]
    product = 'namespace="catalog", product="search"'
    expected = [
        {"labels": f'{{{product}, endpoint="{endpoint}", {label}}}', "value": value}
        for endpoint, label, value in (
            ("/rank", 'le="0.25"', 30), ("/rank", 'le="+Inf"', 40), ("/old", 'le="+Inf"', 10),
            ("/rank", 'http_response_code="503"', 20),
        )
    ]  # fmt: skip
    check_values_at(promtool, tmp_path, series, [(10, render_histogram(Scope(), 300), expected)])
