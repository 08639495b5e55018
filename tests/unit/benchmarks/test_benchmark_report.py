"""The page of the benchmarks: bars with whether they held, growth, and what is set beside whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import cli
from benchmarks.acceptance_bars import BARS
from benchmarks.report import missed, render, write_page

MACHINE = {
    "date": "2026-01-02", "cores": 2, "processor": "a processor", "memoryGiB": 24,
    "python": "3.11.7", "kubernetes": "v1.37.2", "etcd": "v3.7.3",
}  # fmt: skip
MACHINES = dict.fromkeys(("500", "1000", "5000"), MACHINE)


def contender(**sizes: Any) -> dict[str, Any]:
    return {
        "version": "1", "makes": "objects", "notComparable": ["It is another thing."],
        "sizes": {size.removeprefix("n"): found for size, found in sizes.items()},
    }  # fmt: skip


def cold(seconds: float, run: str | None = "one") -> dict[str, Any]:
    return {"cold": {"readySeconds": seconds} | ({"run": run} if run else {})}


def ours(seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "cold": {
            "readySeconds": seconds, "writesUntilReady": 5.0, "peakMemoryMiB": 100.0, "run": "one",
            "requests": {"get pods": 234000, "patch deployments": 1000, "list jobs": 1},
        },
        **more,
    }  # fmt: skip


RESULTS = {
    "floor": contender(n500=cold(30.0), n1000=cold(60.0)),
    "sluicegate": contender(
        n500=ours(36.0, steady={"queriesPerBlock": 8.0}),
        n1000=ours(
            78.0,
            steady={"queriesPerBlock": 8.0, "writes": 0},
            restart={"writes": 2},
            promotions={"failed": "the last one wasn't promoted\nwithin 770 s"},
        ),
    ),
    "flagger": contender(n1000=cold(156.0)),
}  # fmt: skip
PAGE = list(
    render({"machines": MACHINES, "results": RESULTS, "profile": {
        "products": 500, "seconds": 60.0, "cpuSeconds": 19.0, "packages": {"kopf": 0.25},
    }})
)  # fmt: skip


def cells(title: str, *, after: str = "") -> list[str]:
    """Return the cells of the first row with this title, below a heading."""
    start = PAGE.index(after) if after else 0
    row = next(line for line in PAGE[start:] if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in row.strip("|").split("|")[1:]]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("cold start: all Ready, ratio to the floor", ["1.2", "1.3 **✗**"]),
        ("… ratio to the fastest peer as it ships", ["–", "0.5 ✓"]),
        ("… writes per product", ["5 ✓", "5 ✓"]),
        ("restart: writes of any kind", ["–", "2 **✗**"]),
        ("… Prometheus queries per block beyond those at the smallest N", ["0 ✓", "0 ✓"]),
        ("wave of promotions: ratio to the ideal", ["–", "–"]),
    ],
)
def test_a_report_row_has_the_figure_and_its_result_and_is_empty_without_a_measurement(
    title, expected
):
    assert cells(title)[:2] == expected


def test_missed_limits_are_listed_with_the_figure_and_the_limit():
    assert list(missed(RESULTS)) == [
        (
            "missed at N = 1,000: cold start: all Ready, ratio to the floor: 1.3,"
            " wanted ≤ 1.25 from 1,000 on"
        ),
        "missed at N = 1,000: restart: writes of any kind: 2, wanted 0",
    ]


@pytest.mark.parametrize(("restart", "code"), [(2, 1), (0, 0)])
def test_the_report_command_fails_on_a_missed_limit_and_still_writes_the_page(
    tmp_path, capsys, restart, code
):
    found = contender(n1000=ours(60.0, restart={"writes": restart}))
    figures, page = tmp_path / "figures.json", tmp_path / "page.md"
    figures.write_text(json.dumps({"machines": MACHINES, "results": {"sluicegate": found}}))
    assert write_page(figures, page) == code
    assert page.read_text().startswith("# Benchmarks")
    assert len(capsys.readouterr().out.splitlines()) == code


def test_contenders_are_listed_side_by_side_with_their_ratio_to_sluicegate():
    beside = "N = 1,000; in brackets the ratio to sluicegate in the same run.\n"
    assert cells("all Ready, s", after=beside) == ["60 (0.77×)", "78 (1×)", "156 (2×)"]


@pytest.mark.parametrize("run", ["another", None])
def test_figures_of_different_or_unknown_runs_have_no_ratio(run):
    found = {
        "floor": contender(n1000=cold(60.0, run)),
        "sluicegate": contender(n1000=cold(78.0)),
        "flagger": contender(n1000=cold(156.0)),
    }
    page = list(render({"machines": MACHINES, "results": found}))
    assert "| all Ready, s | 60 | 78 (1×) | 156 (2×) |" in page
    assert not list(missed(found)), "nothing tells how it compares to the floor"


@pytest.mark.parametrize(
    ("run", "seconds", "ratio"),
    [("one", 195.0, 1.3), ("one", 225.0, 1.5), ("another", 225.0, None)],
)
def test_a_wave_of_promotions_is_compared_with_the_floors_start_of_as_many_pods(
    run, seconds, ratio
):
    promoted = {"seconds": seconds, "idealSeconds": 126.0, "ratioToIdeal": 1.5, "run": run}
    found = {
        "floor": contender(n5000={"starts": {"readySeconds": 24.0, "run": "one"}}),
        "sluicegate": contender(n5000={"promotions": promoted}),
    }
    bar = next(bar for bar in BARS if "floor's start of as many" in bar.title)
    assert bar.value(found, 5000) == ratio
    assert len([line for line in missed(found) if bar.title in line]) == (ratio == 1.5)


def test_growth_is_fitted_if_figures_of_two_sizes_exist():
    assert cells("cold start: all Ready, s", after="sluicegate:\n") == ["36", "78", "N^1.12"]
    assert cells("cold start: all Ready, s", after="floor:\n") == ["30", "60", "N^1.00"]
    assert "flagger:\n" not in PAGE


def test_the_row_of_a_scenario_is_named_after_its_first_existing_figure():
    assert cells("restart: writes", after="sluicegate:\n") == ["–", "2", ""]
    assert cells("… writes per product until it is ready", after="sluicegate:\n") == [
        "5",
        "5",
        "N^0.00",
    ]


def test_the_report_has_the_machine_failed_runs_requests_and_time_by_module():
    text = "\n".join(PAGE)
    told = "- N = 500, 1,000, 5,000, on 2026-01-02: 2 cores (a processor), 24 GiB, Python 3.11.7"
    assert told in text
    assert "- sluicegate, N = 1,000, promotions: given up: the last one wasn't promoted" in text
    assert "| sluicegate | 234 get pods, 1 patch deployments |" in text
    assert "| patch | 2 | 1 | N^-1.00 |" in text
    assert "| 25.0% | kopf |" in text
    assert "- **flagger 1**: objects. It is another thing." in text


def test_figures_of_another_machine_are_replaced_by_new_figures_of_the_same_size(
    tmp_path, monkeypatch
):
    file = tmp_path / "results.json"
    runs = (2, "floor", 50), (2, "floor", 500), (2, "flagger", 500), (4, "floor", 500)
    for cores, who, size in runs:
        monkeypatch.setattr(cli, "describe_machine", lambda cores=cores: MACHINE | {"cores": cores})
        cli.record(file, who, size, {"cold": {"readySeconds": float(cores)}})
    kept = json.loads(file.read_text())
    assert {size: one["cores"] for size, one in kept["machines"].items()} == {"50": 2, "500": 4}
    assert kept["results"]["floor"]["sizes"] == {
        "50": {"cold": {"readySeconds": 2.0}},
        "500": {"cold": {"readySeconds": 4.0}},
    }
    assert kept["results"]["flagger"]["sizes"] == {}


def test_only_sizes_of_one_machine_are_fitted_together():
    quick = MACHINE | {"processor": "a quicker one", "date": "2026-01-03"}
    found = {"floor": contender(n50=cold(3.0), n500=cold(30.0), n5000=cold(30.0))}
    page = list(
        render({"machines": {"50": MACHINE, "500": MACHINE, "5000": quick}, "results": found})
    )
    assert "| cold start: all Ready, s | 3 | 30 | 30 | N^1.00 |" in page
    machines = [line for line in page if line.startswith("- N = ")]
    assert [line.partition(" cores (")[0] for line in machines] == [
        "- N = 50, 500, on 2026-01-02: 2",
        "- N = 5,000, on 2026-01-03: 2",
    ]
