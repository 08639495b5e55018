"""A training on the log of predictions: which rows it takes, and which it holds out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from sluicegate_service import trainer
from sluicegate_service.logged_recipes import LoggedRecipe, Rows
from sluicegate_service.training import Counts, Evaluation, TrainingError
from tests.support.samples.logged import log_variable, write_log

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
FIRST = 50


class Known(LoggedRecipe):
    """A model is the features that it learned."""

    name = "known"
    least_rows = 100

    @override
    def first_rows(self) -> Rows:
        return Rows([f"first {number}" for number in range(FIRST)], [0] * FIRST)

    @override
    def fit_rows(self, rows: Rows, *, lighter: bool) -> frozenset[str]:
        return frozenset(rows.features)

    @override
    def evaluate_rows(self, model: Any, rows: Rows) -> Evaluation:
        return {"accuracy": Counts.of(feature in model for feature in rows.features)}


def logged(days_ago: float, count: int, name: str) -> list[tuple[datetime, Any, Any]]:
    begin = NOW - timedelta(days=days_ago)
    return [
        (begin + timedelta(seconds=number), f"{name} {number}", number) for number in range(count)
    ]


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    given = log_variable(tmp_path / "log")
    monkeypatch.setenv("SLUICEGATE_LOG", given["SLUICEGATE_LOG"])
    return given


def held_out(recipe: Known) -> set[str]:
    return set(recipe.split.held_out.features)


def test_a_training_takes_labelled_rows_of_the_log_and_uses_no_held_out_row(
    variables,
):
    write_log(variables, logged(40, 10, "old") + logged(3, 200, "new"))
    recipe = Known()
    model = recipe.fit(lighter=False)
    assert len(model | held_out(recipe)) == 200
    assert 40 < len(held_out(recipe)) < 80
    assert recipe.evaluate(model, lighter=False)["accuracy"].bad == 0
    assert recipe.split.training.truth == [
        int(feature.split()[1]) for feature in recipe.split.training.features
    ]
    assert recipe.hold_out_start is not None
    assert recipe.data_end is not None
    assert recipe.data_end - recipe.hold_out_start == timedelta(days=28)


def test_the_score_before_a_training_has_no_row_of_before_the_change(variables):
    change = NOW - timedelta(hours=1)
    before, after = (
        [(change + timedelta(seconds=side * (one + 1)), f"{side} {one}", one) for one in range(30)]
        for side in (-1, 1)
    )
    write_log(variables, before + after)
    score = trainer._score(Known(), frozenset(), change, NOW)
    assert score is not None
    assert score.evaluation["accuracy"].total == len(after)
    assert (score.start, score.end) == (change, NOW - Known.write_delay)


def test_each_training_holds_out_the_same_rows(variables):
    write_log(variables, logged(3, 200, "new"))
    before = Known().split
    write_log(variables, logged(1, 300, "new"))
    after = Known()
    assert set(before.held_out.features) <= held_out(after)
    assert not held_out(after) & set(before.training.features)


@pytest.mark.parametrize(("since", "taken"), [(150, 150), (50, 250)])
def test_rows_since_the_change_are_taken_where_they_suffice(variables, monkeypatch, since, taken):
    write_log(variables, logged(9, 200, "before") + logged(1, since, "since"))
    changed = NOW - timedelta(days=2)
    monkeypatch.setenv("SLUICEGATE_TRIGGER", json.dumps({"changeTime": changed.isoformat()}))
    split = Known().split
    assert len(split.training) + len(split.held_out) == taken
    assert (split.start == changed) is (taken == since)


def test_a_training_takes_first_rows_and_reports_it_while_the_log_has_few_labels(variables, capsys):
    write_log(variables, logged(1, 99, "new"))
    recipe = Known()
    assert len(recipe.fit(lighter=False)) == FIRST - len(held_out(recipe)) == 35
    assert recipe.hold_out_start is None
    assert "the log has 99 labelled rows of 28 days, fewer than 100" in capsys.readouterr().out


def test_first_rows_are_taken_without_a_log_and_the_same_are_held_out(monkeypatch):
    monkeypatch.delenv("SLUICEGATE_LOG", raising=False)
    assert held_out(Known()) == held_out(Known())


def test_a_recipe_with_empty_first_rows_is_refused(monkeypatch):
    class Bare(Known):
        @override
        def first_rows(self) -> Rows:
            return Rows([], [])

    monkeypatch.delenv("SLUICEGATE_LOG", raising=False)
    with pytest.raises(TrainingError, match="first_rows has no row"):
        Bare().fit(lighter=False)


def test_a_recipe_with_rows_of_its_own_needs_no_first_rows_without_a_log(monkeypatch):
    class Own(LoggedRecipe):
        name = "own"

        @override
        def fit(self, *, lighter: bool) -> bool:
            return self.logged_split is None

    monkeypatch.delenv("SLUICEGATE_LOG", raising=False)
    recipe = Own()
    assert recipe.fit(lighter=False)
    assert (recipe.data_end, recipe.hold_out_start) == (None, None)


def test_a_log_that_cannot_be_read_fails_the_training(tmp_path, monkeypatch):
    gone = log_variable(tmp_path / "log")["SLUICEGATE_LOG"].replace("log", "gone")
    monkeypatch.setenv("SLUICEGATE_LOG", gone)
    with pytest.raises(TrainingError, match="the log of predictions can't be read"):
        Known().fit(lighter=False)


def test_an_interval_of_a_shadow_phase_has_its_rows_or_no_result(variables):
    write_log(variables, logged(1, 10, "new"))
    begin = NOW - timedelta(days=1)
    recipe, model = Known(), frozenset({"new 3"})

    def scored(since: datetime) -> Evaluation:
        return recipe.evaluate_labelled(model, since, since + timedelta(hours=1))

    assert scored(begin)["accuracy"].summary == Counts(1, 10).summary
    assert scored(begin + timedelta(hours=2)) == {}
