"""Contenders take turns, and the median of their cold starts counts."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import cli
from benchmarks.cli import ready_seconds, record_rounds


@pytest.mark.parametrize(
    ("before", "seconds", "counts"),
    [([], 70.0, 70.0), ([60.0, 90.0], 70.0, 70.0), ([60.0, 65.0], 90.0, 65.0)],
)
def test_the_time_of_a_cold_start_is_the_median_of_the_rounds(before, seconds, counts):
    kept: list[Any] = []
    results = {"cold": {"readySeconds": seconds, "writes": 5}, "steady": {"writes": 0}}
    record_rounds(kept.append, before, results)
    (found,) = kept
    assert found["cold"] == {
        "readySeconds": counts, "readySecondsOfRounds": [*before, seconds], "writes": 5,
    }  # fmt: skip
    assert found["steady"] == {"writes": 0}
    assert ready_seconds(results) == [seconds]


def test_a_failed_cold_start_has_no_time():
    kept: list[Any] = []
    results = {"cold": {"failed": "too slow"}}
    record_rounds(kept.append, [60.0], results)
    assert kept == [results]
    assert ready_seconds(results) == []


def test_when_the_harness_fails_with_one_contender_the_next_is_measured_and_the_command_fails(
    monkeypatch, tmp_path, capsys
):
    measured: list[str] = []

    async def measure(contender: Any, *_: object, **__: object) -> dict[str, Any]:
        measured.append(contender.description.name)
        if measured[-1] == "floor":
            raise KeyError("type")
        return {"cold": {"readySeconds": 1.0}}

    monkeypatch.setattr(cli, "measure", measure)
    arguments = ["--sizes", "50", "--rounds", "1", "--output", str(tmp_path / "results.json")]
    monkeypatch.setattr("sys.argv", ["b", *arguments, "--contenders", "floor", "sluicegate"])
    assert cli.main() == 1
    assert measured == ["floor", "sluicegate"]
    assert "floor, N = 50: the harness failed" in capsys.readouterr().out
