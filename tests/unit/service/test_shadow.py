"""The inputs of a Job of a shadow phase, and the rows that it answers with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.shadow import ShadowTask, main, score
from sluicegate_service.training import Counts, Evaluation, TrainingError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


class Thresholds:
    """A model is a number, and right about the numbers below it."""

    name = "thresholds"

    def load(self, folder: Path) -> int:
        return int((folder / "model").read_text())

    def evaluate_labelled(self, model: int, since: datetime, until: datetime) -> Evaluation:
        rows = range(int((until - since).total_seconds()))
        return {"accuracy": Counts.of(row >= model for row in rows)}


@pytest.fixture
def environment(tmp_path):
    for name, model in (("stable", 6), ("candidate", 8)):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "src" / "model").write_text(str(model))
    return {
        "SLUICEGATE_SINCE": "2026-09-01T09:00:00Z",
        "SLUICEGATE_UNTIL": "2026-09-01T09:00:10Z",
        "SLUICEGATE_STABLE": str(tmp_path / "stable"),
        "SLUICEGATE_CANDIDATE": str(tmp_path / "candidate"),
        "SLUICEGATE_TERMINATION_LOG": str(tmp_path / "log"),
    }


def test_both_versions_are_scored_on_the_rows_of_the_interval(environment, tmp_path):
    rows = {"bothRight": 6, "onlyStableWrong": 2, "onlyCandidateWrong": 0, "bothWrong": 2}
    assert score(Thresholds(), ShadowTask.from_environment(environment)) == {"accuracy": rows}
    assert json.loads((tmp_path / "log").read_text()) == {"pairs": {"accuracy": rows}}


def test_a_shadow_interval_without_rows_is_a_valid_result(environment):
    environment["SLUICEGATE_UNTIL"] = environment["SLUICEGATE_SINCE"]
    found = score(Thresholds(), ShadowTask.from_environment(environment))
    assert sum(found["accuracy"].values()) == 0


def test_a_shadow_result_with_counts_but_without_rows_is_refused(environment):
    class Sums(Thresholds):
        def evaluate_labelled(self, model, since, until):
            return {"accuracy": Counts(1, 10)}

    with pytest.raises(TrainingError, match=r"accuracy can't be compared row by row.*Counts\.of"):
        score(Sums(), ShadowTask.from_environment(environment))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SLUICEGATE_SINCE", "", "SLUICEGATE_SINCE is not set"),
        ("SLUICEGATE_UNTIL", "yesterday", "SLUICEGATE_UNTIL is 'yesterday'"),
        ("SLUICEGATE_CANDIDATE", "/nowhere", "the model in /nowhere can't be loaded"),
    ],
)
def test_the_error_of_a_shadow_job_is_its_last_line(
    environment, monkeypatch, capsys, name, value, says
):
    for variable, text in (environment | {name: value}).items():
        monkeypatch.setenv(variable, text)
    assert main(Thresholds()) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]
