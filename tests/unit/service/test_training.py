"""The inputs of a training Job, and the answer it may give."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from sluicegate_service import trainer
from sluicegate_service.feature_differences import FeatureDifferences
from sluicegate_service.push import VersionTaken, pack_and_push
from sluicegate_service.training import (
    MAX_RESULT_BYTES,
    MIN_SCORED_ROWS,
    Counts,
    TrainingError,
    TrainingResult,
    TrainingTask,
    Trigger,
    next_version,
    paired,
)
from tests.support.samples.bentos import write_bento
from tests.support.samples.logged import log_variable, write_log


@pytest.fixture
def environment(tmp_path):
    bento = tmp_path / "bento"
    bento.mkdir()
    (bento / "bento.yaml").touch()
    return {
        "SLUICEGATE_NAMESPACE": "catalog",
        "SLUICEGATE_PRODUCT": "search-ranking",
        "SLUICEGATE_VERSION": "v1",
        "SLUICEGATE_OUTPUT": "registry.example:5000/bentos/search-ranking",
        "SLUICEGATE_TRIGGER": '{"slo": "accuracy", "indicator": "outcomes", "bad": 40}',
        "SLUICEGATE_BENTO": str(bento),
        "SLUICEGATE_TERMINATION_LOG": str(tmp_path / "termination-log"),
    }


@pytest.mark.parametrize(
    ("version", "following"),
    [
        ("v1", "v2"),
        ("v9", "v10"),
        ("2026.9", "2026.10"),
        ("1.0.0-rc1", "1.0.0-rc2"),
        ("blue", "blue-2"),
    ],
)
def test_the_next_version_name_follows_from_the_previous_one(version, following):
    assert next_version(version) == following


OURS = Counts.of([True, False, False, True, False])
THEIRS = Counts.of([True, True, False, False, False])


def test_evaluations_of_two_models_on_the_same_rows_give_pairs():
    assert (OURS.bad, OURS.total) == (2, 5)
    rows = paired({"accuracy": OURS}, {"accuracy": THEIRS})["accuracy"]
    assert (rows.both_right, rows.only_stable_wrong) == (2, 1)
    assert (rows.only_candidate_wrong, rows.both_wrong) == (1, 1)


def test_evaluation_counts_alone_give_no_pairs():
    assert paired({"accuracy": OURS}, {"accuracy": Counts(2, 5)}) == {}
    assert paired({"accuracy": OURS}, {"clicks": THEIRS}) == {}


def test_evaluations_with_different_row_counts_give_no_pairs():
    with pytest.raises(TrainingError, match=r"accuracy has 5 rows .* and 1 "):
        paired({"accuracy": OURS}, {"accuracy": Counts.of([True])})


def test_the_training_result_has_pairs_and_no_rows():
    counts = {"accuracy": OURS}, {"accuracy": THEIRS}
    document = json.loads(TrainingResult("i", "v2", *counts, paired(*counts)).dump())
    assert document["evaluation"] == {"accuracy": {"bad": 2, "total": 5}}
    assert document["pairs"]["accuracy"] == {
        "bothRight": 2,
        "onlyStableWrong": 1,
        "onlyCandidateWrong": 1,
        "bothWrong": 1,
    }


@pytest.mark.parametrize(
    ("text", "year"), [('{"changeTime": "2026-11-28T09:00:00Z"}', 2026), ("{}", None)]
)
def test_the_training_trigger_has_the_time_of_the_change(text, year):
    changed = Trigger.parse(text).changed
    assert (changed and changed.year) == year


def test_a_version_name_at_the_label_length_limit_has_no_successor():
    with pytest.raises(TrainingError, match="at most 50"):
        next_version("x" * 50)


def test_the_task_is_read_from_the_jobs_variables(environment):
    task = TrainingTask.from_environment(environment)
    assert (task.namespace, task.product, task.version) == ("catalog", "search-ranking", "v1")
    assert (task.trigger.slo, task.trigger.details["bad"]) == ("accuracy", 40)


@pytest.mark.parametrize("name", ["SLUICEGATE_PRODUCT", "SLUICEGATE_VERSION", "SLUICEGATE_OUTPUT"])
def test_a_missing_training_variable_is_named(environment, name):
    del environment[name]
    with pytest.raises(TrainingError, match=f"{name} is not set"):
        TrainingTask.from_environment(environment)


def test_an_unmounted_stable_bento_is_reported_at_once(environment, tmp_path):
    environment["SLUICEGATE_BENTO"] = str(tmp_path)
    with pytest.raises(TrainingError, match="holds no bento"):
        TrainingTask.from_environment(environment)


@pytest.mark.parametrize("text", ["latency", "[1]", "{"])
def test_a_malformed_training_trigger_is_quoted_in_the_error(text):
    with pytest.raises(TrainingError, match="SLUICEGATE_TRIGGER"):
        Trigger.parse(text)


@pytest.mark.parametrize(
    ("text", "too_slow"),
    [
        ('{"slo": "fast", "indicator": "latency"}', True),
        ('{"slo": "accuracy", "indicator": "outcomes"}', False),
        ("{}", False),
    ],
)
def test_only_a_latency_trigger_requests_a_lighter_model(text, too_slow):
    assert Trigger.parse(text).too_slow is too_slow


def result(**changes):
    counts = {"accuracy": Counts(83, 1000)}
    fields = {
        "image": "r/x@sha256:00",
        "version": "v2",
        "evaluation": counts,
        "stable_evaluation": counts,
    }
    return TrainingResult(**(fields | changes))


def test_the_training_result_is_one_json_object(tmp_path):
    result().write(tmp_path / "log")
    assert json.loads((tmp_path / "log").read_text()) == {
        "image": "r/x@sha256:00",
        "version": "v2",
        "evaluation": {"accuracy": {"bad": 83, "total": 1000}},
        "stableEvaluation": {"accuracy": {"bad": 83, "total": 1000}},
    }


def test_a_training_result_beyond_the_termination_message_limit_is_refused():
    many = {f"slo-{index:03}": Counts(1, 2) for index in range(100)}
    with pytest.raises(TrainingError, match="evaluate fewer SLOs than 100"):
        result(evaluation=many, stable_evaluation=many).dump()


def test_a_termination_log_that_can_not_be_written_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"SLUICEGATE_TERMINATION_LOG"):
        result().write(tmp_path / "no" / "log")


@pytest.mark.parametrize(("bad", "total"), [(-1, 2), (3, 2)])
def test_empty_evaluation_counts_are_refused(bad, total):
    with pytest.raises(ValueError, match="is no count"):
        Counts(bad, total)


@dataclass
class RecipeWithoutModel:
    """A recipe whose stable model can't be loaded."""

    name: str = "search-ranking"

    def load(self, folder):
        raise FileNotFoundError(folder / "model.joblib")

    def fit(self, *, lighter):
        return f"a {'lighter' if lighter else 'full'} model"


def test_a_failed_training_ends_with_one_line_with_its_reason(environment, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert trainer.main(RecipeWithoutModel(), []) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("training search-ranking failed: the stable model in")
    assert "model.joblib" in last


def test_an_existing_folder_is_refused_before_the_first_training(tmp_path, capsys):
    assert trainer.main(RecipeWithoutModel(), ["build", "v1", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path} exists already: name another folder, or remove it" in error


def test_a_version_name_taken_during_the_push_is_skipped(environment, monkeypatch):
    taken = {"v2", "v3"}

    def push(_recipe, _model, _task, version):
        if version in taken:
            raise VersionTaken(f"{version} is there")
        return f"registry.example:5000/bentos/search-ranking@{version}"

    monkeypatch.setattr(trainer, "_push", push)
    monkeypatch.setattr(trainer, "is_taken", lambda *_: False)
    task = TrainingTask.from_environment(environment)
    assert trainer._publish(RecipeWithoutModel(), "model", task)[1] == "v4"


def test_an_existing_version_name_is_detected_before_the_build(tmp_path, monkeypatch):
    built = []

    def push(*arguments):
        built.append(arguments[-1])
        return "r@sha256:1"

    monkeypatch.setattr(trainer, "_push", push)
    output = (tmp_path / "pushed").as_uri()
    for version in ("v2", "v3"):
        pack_and_push(write_bento(tmp_path / version, version=version), output)
    task = TrainingTask("n", "p", "v1", output, Trigger(), tmp_path, tmp_path / "log")

    assert trainer._publish(None, None, task) == ("r@sha256:1", "v4")
    assert built == ["v4"]


def test_a_training_result_has_the_end_time_of_its_data():
    ended = datetime(2026, 9, 1, 9, tzinfo=UTC)
    result = TrainingResult("image", "v2", {}, {}, data_end=ended)
    assert json.loads(result.dump())["dataEndTime"] == "2026-09-01T09:00:00+00:00"
    assert "dataEndTime" not in json.loads(TrainingResult("image", "v2", {}, {}).dump())


SINCE = datetime.now(UTC) - timedelta(hours=6)
"""Begin of the degradation that a training is for."""


@dataclass
class ScoringRecipe:
    """A recipe that scores models on labelled rows of an interval: `wrong` of `rows`."""

    wrong: int = 10
    rows: int = 100
    name: str = "search-ranking"
    fitted: int = 0
    scored: tuple[datetime, datetime] | None = None

    def load(self, folder):
        return "stable"

    def fit(self, *, lighter):
        self.fitted += 1
        return "candidate"

    def evaluate(self, model, *, lighter):
        return {"accuracy": Counts.of([model == "stable"] * 10)}

    def evaluate_labelled(self, model, since, until):
        self.scored = (since, until)
        return {"accuracy": Counts(self.wrong, self.rows)}


class WarehouseRecipe(ScoringRecipe):
    """A recipe whose rows have kilometres, and which knows their features."""

    def labelled_features(self, since, until):
        yield from ({"mileage": 100 * number} for number in range(400))


class UnreadableRecipe(ScoringRecipe):
    """A recipe that can't read the features of its rows."""

    def labelled_features(self, since, until):
        raise KeyError("km")


class BrokenRecipe(ScoringRecipe):
    """A recipe whose scoring fails."""

    def evaluate_labelled(self, model, since, until):
        raise KeyError("km")


@dataclass
class HoldOutRecipe:
    """A recipe that scores its hold-out alone, of the rows since `hold_out_start`."""

    hold_out_start: datetime
    name: str = "search-ranking"
    fitted: int = 0
    load, fit = ScoringRecipe.load, ScoringRecipe.fit

    def evaluate(self, model, *, lighter):
        return {"accuracy": Counts.of([False] * 20)}


def retrained(recipe, environment, monkeypatch, **trigger):
    """Return the report of a training for a degraded SLO."""
    published = (f"r@sha256:{'b' * 64}", "v2")
    monkeypatch.setattr(trainer, "_publish", lambda *_: published)
    details = {"slo": "accuracy", "indicator": "outcomes", "changeTime": SINCE.isoformat()}
    environment |= {"SLUICEGATE_TRIGGER": json.dumps(details | trigger)}
    task = TrainingTask.from_environment(environment)
    trainer.retrain(recipe, task)
    return json.loads(task.termination_log.read_text())


def test_a_training_ends_before_its_fit_where_stable_scores_as_accepted_on_fresh_rows(
    environment, monkeypatch, capsys
):
    recipe = ScoringRecipe(wrong=10)
    report = retrained(recipe, environment, monkeypatch, acceptedShare="0.12")
    assert report["stableEvaluation"] == {"accuracy": {"bad": 10, "total": 100}}
    assert {"image", "version", "evaluation"}.isdisjoint(report)
    assert datetime.fromisoformat(report["holdOutStartTime"]) == SINCE.replace(microsecond=0)
    assert recipe.fitted == 0
    assert recipe.scored is not None
    assert recipe.scored[0] == SINCE
    assert "so nothing is trained" in capsys.readouterr().out


class DelayedRecipe(ScoringRecipe):
    """A recipe whose rows are written up to a minute late."""

    write_delay = timedelta(minutes=1)


def test_a_score_on_rows_that_are_written_late_has_the_interval_of_its_rows(
    environment, monkeypatch
):
    recipe = DelayedRecipe(wrong=10)
    report = retrained(recipe, environment, monkeypatch, acceptedShare="0.12")
    assert recipe.scored is not None
    since, until = (scored_time - recipe.write_delay for scored_time in recipe.scored)
    assert since == SINCE, "no row is of before the change"
    assert datetime.fromisoformat(report["holdOutStartTime"]) == SINCE.replace(microsecond=0)
    assert datetime.fromisoformat(report["dataEndTime"]) == until.replace(microsecond=0)


def test_no_score_precedes_a_training_before_rows_since_the_change_are_written(
    environment, monkeypatch
):
    recipe = DelayedRecipe(wrong=0)
    recent = datetime.now(UTC) - timedelta(seconds=30)
    report = retrained(
        recipe, environment, monkeypatch, acceptedShare="0.12", changeTime=recent.isoformat()
    )
    assert (recipe.scored, "image" in report) == (None, True)


@pytest.fixture
def log_in_miles(tmp_path, monkeypatch):
    """A log of predictions whose requests have miles."""
    given = log_variable(tmp_path / "predictions")
    monkeypatch.setenv("SLUICEGATE_LOG", given["SLUICEGATE_LOG"])
    later = SINCE + timedelta(hours=1)
    write_log(given, [(later, {"mileage": 62 * number}, 1) for number in range(400)])


@pytest.mark.parametrize(
    ("wrong", "key"), [(10, "holdOutStartTime"), (13, "image")], ids=["a score", "a training"]
)
def test_the_report_names_the_features_of_the_rows_that_differ_from_those_of_requests(
    wrong, key, log_in_miles, environment, monkeypatch
):
    recipe = WarehouseRecipe(wrong=wrong)
    report = retrained(recipe, environment, monkeypatch, acceptedShare="0.12")
    assert key in report
    assert report["featureDifferences"] == {
        "compared": 1,
        "largest": ["mileage (median 19,950 in the training's rows, 12,370 in the requests)"],
    }


@pytest.mark.parametrize("recipe", [ScoringRecipe(), UnreadableRecipe()])
def test_a_training_whose_features_are_unknown_reports_its_score_without_them(
    recipe, log_in_miles, environment, monkeypatch
):
    report = retrained(recipe, environment, monkeypatch, acceptedShare="0.12")
    assert set(report) == {"stableEvaluation", "holdOutStartTime", "dataEndTime"}


def test_a_result_leaves_out_the_feature_differences_that_it_is_too_long_with():
    found = FeatureDifferences(9, ("\u4e2d" * 200, "b" * 200, "c" * 200))
    slos = {f"slo-{index:02}-{'x' * 35}": Counts(1, 2) for index in range(16)}
    made = result(evaluation=slos, stable_evaluation=slos, differences=found).dump()
    assert len(made.encode()) <= MAX_RESULT_BYTES
    assert json.loads(made)["featureDifferences"] == {"compared": 9, "largest": ["\u4e2d" * 200]}
    slos = {f"slo-{index:02}-{'x' * 65}": Counts(1, 2) for index in range(16)}
    assert "featureDifferences" not in json.loads(
        result(evaluation=slos, stable_evaluation=slos, differences=found).dump()
    )


@pytest.mark.parametrize(
    ("recipe", "trigger"),
    [
        (ScoringRecipe(wrong=13), {"acceptedShare": "0.12"}),
        (ScoringRecipe(wrong=0), {}),
        (ScoringRecipe(wrong=0, rows=MIN_SCORED_ROWS - 1), {"acceptedShare": "0.12"}),
        (BrokenRecipe(), {"acceptedShare": "0.12"}),
        (HoldOutRecipe(SINCE - timedelta(hours=7)), {"acceptedShare": "0.12"}),
    ],
    ids=["worse than accepted", "a training that has to fit", "too few rows", "an error of the score", "a hold-out of older rows"],
)  # fmt: skip
def test_a_training_fits_a_version_where_no_score_on_fresh_rows_is_as_accepted(
    recipe, trigger, environment, monkeypatch
):
    report = retrained(recipe, environment, monkeypatch, **trigger)
    assert (report["version"], recipe.fitted) == ("v2", 1)


def test_a_hold_out_of_mostly_fresh_rows_is_scored_before_the_fit(environment, monkeypatch):
    recipe = HoldOutRecipe(SINCE - timedelta(hours=5))
    report = retrained(recipe, environment, monkeypatch, acceptedShare="0.12")
    assert (set(report), recipe.fitted) == (
        {"stableEvaluation", "holdOutStartTime", "dataEndTime"}, 0,
    )  # fmt: skip
