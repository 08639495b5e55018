"""Contenders take turns, and the median of their cold starts counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import cli
from benchmarks.cli import ready_seconds, record_rounds
from cluster import builds
from cluster.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.fixture
def run_benchmarks(monkeypatch, tmp_path):
    """Return a run of two contenders.

    Each measurement ends by `outcome`, each build by `build_all`.
    """

    def run(outcome: Callable[[str, int], None], build_all: Callable[[Any], None]) -> list[str]:
        measured: list[str] = []

        async def measure(contender: Any, *_: object, **__: object) -> dict[str, Any]:
            name = contender.description.name
            measured.append(name)
            outcome(name, measured.count(name))
            return {"cold": {"readySeconds": 1.0}}

        monkeypatch.setattr(cli, "measure", measure)
        monkeypatch.setattr(builds, "build_all", build_all)
        arguments = ["--sizes", "50", "--rounds", "1", "--output", str(tmp_path / "results.json")]
        monkeypatch.setattr("sys.argv", ["b", *arguments, "--contenders", "flagger", "sluicegate"])
        measured.append(f"exit code {cli.main()}")
        return measured

    return run


def fail_first(name: str, time: int) -> None:
    if (name, time) == ("flagger", 1):
        raise KeyError("type")


def fail_always(name: str, _: int) -> None:
    if name == "flagger":
        raise KeyError("type")


def build(_: Any) -> None:
    """Build each program without an error."""


def build_no_peer(names: Any) -> None:
    if "flagger" in names:
        raise BuildError("flagger: no compiler")


@pytest.mark.parametrize(
    ("outcome", "build_all", "measured", "named"),
    [
        (fail_first, build, ["flagger", "flagger", "sluicegate", "exit code 0"], "measured once more"),
        (
            fail_always, build, ["flagger", "flagger", "sluicegate", "exit code 1"],
            "not measured: flagger, N = 50",
        ),
        (fail_always, build_no_peer, ["sluicegate", "exit code 1"], "flagger: no compiler"),
    ],
    ids=["fails once", "fails twice", "can't be built"],
)  # fmt: skip
def test_a_broken_contender_is_measured_once_more_and_then_named(
    run_benchmarks, capsys, outcome, build_all, measured, named
):
    assert run_benchmarks(outcome, build_all) == measured
    assert named in capsys.readouterr().out


def test_all_programs_are_built_before_the_first_measurement(run_benchmarks):
    built: list[str] = []

    def outcome(*_: object) -> None:
        assert built == ["etcd", "kube", "kwok", "flagger"]

    assert run_benchmarks(outcome, built.extend)[-1] == "exit code 0"
