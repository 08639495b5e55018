"""The steps of every retraining: fit, score both models on one hold-out, build, push, report.

A product defines its own parts (its data, its model, its errors) as a `Recipe`; this module does
the rest. `python -m train` runs it in a Job; `python -m train build VERSION FOLDER` builds a
product's first bento.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.building import built_bento
from sluicegate_service.feature_differences import FeatureDifferences, differences_of_product
from sluicegate_service.push import PushError, VersionTaken, is_taken, pack_and_push
from sluicegate_service.training import (
    MIN_SCORED_ROWS,
    Evaluation,
    StableScore,
    TrainingError,
    TrainingResult,
    TrainingTask,
    Trigger,
    next_version,
    paired,
    write_result,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NAMES: Final = 50
"""Version names that are tried, as earlier attempts may have used the first ones."""

Model = TypeVar("Model")


class Recipe(Protocol[Model]):
    """The parts of a training that a product defines. `folder` is a bento's `src`, or the repository's.

    A recipe that reads its data long before its end may have `data_end`, the time (with its zone)
    of the end of its data: a shadow phase scores rows that were labelled after it. One whose hold-out
    has the rows of a period may have `hold_out_start`, the time (with its zone) of its begin: the
    operator then compares the score of the stable version with what it did live in that period.

    One with `evaluate_labelled(model, since, until)`, as a shadow phase has it, or whose hold-out is
    mostly of the time since the degradation, is asked for a score of the stable version first. If
    that is as accepted, the training ends there: what is served is wrong, and not the model. If its times are
    earlier than those it gets, as rows are written late, `write_delay` is by how much.

    One whose rows don't come from the log of predictions may have `labelled_features(since, until)`, the features
    of its rows of an interval, each as the JSON of a request with one prediction. They are compared with those of the logged
    requests, so that the features which are served otherwise are named.
    """

    name: str
    source: Path

    def fit(self, *, lighter: bool) -> Model:
        """Train on current data; a lighter model if the last one was too slow."""

    def evaluate(self, model: Model, *, lighter: bool) -> Evaluation:
        """Score a model on the hold-out, the same for both models of a training."""

    def load(self, folder: Path) -> Model:
        """Load the model of a source folder."""

    def save(self, model: Model, folder: Path) -> None:
        """Save a model in a source folder."""


def main(recipe: Recipe[Model], arguments: Sequence[str] | None = None) -> int:
    """Run a product's `train` module; return 0, or 1 with the reason as the last line."""
    parser = argparse.ArgumentParser(prog="train", description="Retrain in a Job of the operator.")
    commands = parser.add_subparsers(dest="command")
    build = commands.add_parser("build", help="make the product's first bento, without a Job")
    build.add_argument("version", help="version of the bento, e.g. v1")
    build.add_argument("folder", type=Path, help="folder to write the bento to; must not exist")
    build.add_argument("--lighter", action="store_true", help="train the lighter model")
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            _build_first(recipe, options.version, options.folder, lighter=options.lighter)
        else:
            retrain(recipe, TrainingTask.from_environment(os.environ))
    except (TrainingError, BentoInvalid, PushError) as error:
        print(f"training {recipe.name} failed: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def retrain(recipe: Recipe[Model], task: TrainingTask) -> TrainingResult | StableScore:
    """Train a successor of the stable version, push it, and write the termination message.

    Where the stable version scores as accepted on fresh rows, nothing is trained, and the message is
    that score.
    """
    _log_line(
        f"{task.namespace}/{task.product} {task.version}: training, because: {task.trigger.why}"
    )
    stable = _load_stable(recipe, task)
    if (score := _score_first(recipe, stable, task.trigger)) is not None:
        score = replace(score, differences=_differences(recipe, task, score.start, score.end))
        write_result(task.termination_log, score.dump())
        _log_line(
            f"{task.version} scores as accepted on rows since {score.start:%Y-%m-%d %H:%M}, so nothing"
            " is trained: what is served differs from what is trained on, or these rows are too few"
        )
        return score
    lighter = task.trigger.too_slow
    candidate, evaluation = _fit(recipe, lighter=lighter)
    stable_evaluation = _evaluate(recipe, stable, "stable", lighter=lighter)
    pairs = paired(evaluation, stable_evaluation)
    since = task.trigger.fresh_since if task.trigger.slo and not lighter else None
    differences = None if since is None else _differences(recipe, task, since, datetime.now(UTC))
    image, version = _publish(recipe, candidate, task)
    result = TrainingResult(
        image,
        version,
        evaluation,
        stable_evaluation,
        pairs,
        data_end=getattr(recipe, "data_end", None),
        hold_out_start=getattr(recipe, "hold_out_start", None),
        differences=differences,
    )
    result.write(task.termination_log)
    _log_line(f"{version} is {image}")
    return result


def _score_first(recipe: Recipe[Model], stable: Model, trigger: Trigger) -> StableScore | None:
    """Return the score of the stable version on fresh rows if it is as accepted; None to train.

    Fewer rows than `MIN_SCORED_ROWS` show nothing against a training. An error of this step is
    logged, and the training goes on: it reads the same data.
    """
    slo, accepted_share, since = trigger.slo, trigger.accepted_share, trigger.fresh_since
    if not slo or accepted_share is None or since is None:
        return None
    try:
        score = _score(recipe, stable, since, datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - any error of the product's code
        _log_line(f"the stable version isn't scored before the fit: {error}")
        return None
    counts = None if score is None else score.evaluation.get(slo)
    if score is None or counts is None or not counts.total:
        return None
    text = f"stable on rows since {score.start:%Y-%m-%d %H:%M}: {slo} {counts.summary}"
    if counts.total < MIN_SCORED_ROWS:
        _log_line(f"{text}; too few for a score before the fit, which takes {MIN_SCORED_ROWS}")
        return None
    _log_line(f"{text}; up to {accepted_share:.4f} wrong is as accepted")
    return score if counts.bad <= accepted_share * counts.total else None


def _score(
    recipe: Recipe[Model], stable: Model, since: datetime, now: datetime
) -> StableScore | None:
    """Return the score of the stable version on rows since the degradation; None without such rows.

    The interval of the score is that of its rows, as the operator compares it with the live answers of the same time.
    """
    evaluate_labelled = getattr(recipe, "evaluate_labelled", None)
    if evaluate_labelled is not None:
        write_delay = getattr(recipe, "write_delay", timedelta())
        until = now - write_delay
        if until <= since:
            return None
        return StableScore(evaluate_labelled(stable, since + write_delay, now), since, until)
    start = getattr(recipe, "hold_out_start", None)
    if start is None or 2 * (now - since) < now - start:
        return None
    return StableScore(recipe.evaluate(stable, lighter=False), start, now)


def _differences(
    recipe: Recipe[Model], task: TrainingTask, since: datetime, until: datetime
) -> FeatureDifferences | None:
    """Return the features of the training's rows that differ from those of requests; None where nothing is compared.

    An error of this step is logged, and the training goes on.
    """
    labelled_features = getattr(recipe, "labelled_features", None)
    if labelled_features is None:
        return None
    try:
        differences = differences_of_product(labelled_features, since, until, task.version)
    except Exception as error:  # noqa: BLE001 - any error of the product's code
        _log_line(f"features of rows and requests aren't compared: {error}")
        return None
    if differences is not None:
        names = ", ".join(differences.largest) or "none is shown to differ"
        _log_line(
            f"features of rows and requests that are compared: {differences.compared}; {names}"
        )
    return differences


def _build_first(recipe: Recipe[Model], version: str, folder: Path, *, lighter: bool) -> None:
    if folder.exists():
        raise TrainingError(f"{folder} exists already: name another folder, or remove it")
    model, evaluation = _fit(recipe, lighter=lighter)
    with built_bento(
        recipe.source,
        name=recipe.name,
        version=version,
        save_model=lambda context: recipe.save(model, context),
    ) as bento:
        shutil.copytree(bento, folder)
    counts = {slo: {"bad": one.bad, "total": one.total} for slo, one in evaluation.items()}
    # The last line is the value of the DataProduct's model.evaluation.
    _log_line(json.dumps({"version": version, "evaluation": counts}))


def _load_stable(recipe: Recipe[Model], task: TrainingTask) -> Model:
    try:
        return recipe.load(task.bento / "src")
    except (OSError, ValueError, EOFError, AttributeError, ImportError) as error:
        raise TrainingError(
            f"the stable model in {task.bento} can't be loaded, so there is nothing to compare"
            f" with: {error}"
        ) from error


def _fit(recipe: Recipe[Model], *, lighter: bool) -> tuple[Model, Evaluation]:
    start_time = time.monotonic()
    model = recipe.fit(lighter=lighter)
    _log_line(f"trained {model} in {time.monotonic() - start_time:.1f} s")
    return model, _evaluate(recipe, model, "candidate", lighter=lighter)


def _evaluate(recipe: Recipe[Model], model: Model, role: str, *, lighter: bool) -> Evaluation:
    start_time = time.monotonic()
    evaluation = recipe.evaluate(model, lighter=lighter)
    scores = ", ".join(f"{slo} {counts.summary}" for slo, counts in evaluation.items())
    _log_line(f"{role} on the hold-out: {scores} in {time.monotonic() - start_time:.1f} s")
    return evaluation


def _publish(recipe: Recipe[Model], model: Model, task: TrainingTask) -> tuple[str, str]:
    """Push under the next free version: earlier attempts that were rolled back have used theirs."""
    version = task.version
    for _ in range(MAX_NAMES):
        version = next_version(version)
        if is_taken(task.output, version):  # first, as building a bento takes seconds
            _log_line(f"{version} is the name of an earlier attempt's bento; the next one is tried")
            continue
        try:
            return _push(recipe, model, task, version), version
        except VersionTaken as error:
            _log_line(str(error))
    raise TrainingError(f"{task.output} holds {MAX_NAMES} versions after {task.version}: clean up")


def _push(recipe: Recipe[Model], model: Model, task: TrainingTask, version: str) -> str:
    with built_bento(
        recipe.source,
        name=task.product,
        version=version,
        save_model=lambda context: recipe.save(model, context),
    ) as bento:
        return pack_and_push(bento, task.output)


def _log_line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a Job's log
