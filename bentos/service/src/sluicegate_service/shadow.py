"""Scores of both versions on rows that were labelled after the training: a Job of a shadow phase.

A product defines as a `ShadowRecipe` how a model is scored on the rows whose label arrived in an
interval; this module does the rest. `python -m shadow` runs it in a Job, and the operator reads for
each version how many rows it got right.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from sluicegate_service import environment as names
from sluicegate_service.training import (
    MAX_RESULT_BYTES,
    Evaluation,
    TrainingError,
    paired,
    rows_of,
    write_result,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Model = TypeVar("Model")


class ShadowRecipe(Protocol[Model]):
    """The parts of a shadow phase that a product defines. `folder` is a bento's `src`."""

    name: str

    def load(self, folder: Path) -> Model:
        """Load the model of a source folder."""

    def evaluate_labelled(self, model: Model, since: datetime, until: datetime) -> Evaluation:
        """Score a model on the rows whose label arrived after `since` and by `until`.

        Both versions are scored on the same rows in one order: `Counts.of`.
        """


@dataclass(frozen=True, slots=True)
class ShadowTask:
    """One interval, and the folders of both bentos."""

    since: datetime
    until: datetime
    stable: Path
    candidate: Path
    termination_log: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the operator's variables; TrainingError names an invalid one."""
        return cls(
            since=_moment(environment, names.SINCE),
            until=_moment(environment, names.UNTIL),
            stable=Path(environment.get(names.STABLE) or names.DEFAULT_STABLE),
            candidate=Path(environment.get(names.CANDIDATE) or names.DEFAULT_CANDIDATE),
            termination_log=Path(
                environment.get(names.TERMINATION_LOG) or names.DEFAULT_TERMINATION_LOG
            ),
        )


def main(recipe: ShadowRecipe[Model]) -> int:
    """Run a product's `shadow` module; return 0, or 1 with the reason as the last line."""
    try:
        score(recipe, ShadowTask.from_environment(os.environ))
    except TrainingError as error:
        print(f"scoring {recipe.name} failed: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def score(recipe: ShadowRecipe[Model], task: ShadowTask) -> dict[str, dict[str, int]]:
    """Score both versions, write the rows by which of them was right, and return them by SLO.

    Raises
    ------
    TrainingError
        A model can't be loaded, or the two can't be compared row by row.
    """
    stable, candidate = (
        recipe.evaluate_labelled(_load(recipe, folder), task.since, task.until)
        for folder in (task.stable, task.candidate)
    )
    paired_rows = paired(candidate, stable)
    if unpaired := sorted({*candidate, *stable} - set(paired_rows)):
        raise TrainingError(
            f"{', '.join(unpaired)} can't be compared row by row: score both versions on the same"
            " rows, with Counts.of"
        )
    pairs = {slo: rows_of(rows) for slo, rows in paired_rows.items()}
    text = json.dumps({"pairs": pairs}, separators=(",", ":"))
    if len(text.encode()) > MAX_RESULT_BYTES:
        raise TrainingError(f"{len(pairs)} SLOs are too many for one result: score fewer")
    write_result(task.termination_log, text)
    print(f"rows labelled after {task.since} and by {task.until}: {pairs}", flush=True)  # noqa: T201
    return pairs


def _load(recipe: ShadowRecipe[Model], folder: Path) -> Model:
    try:
        return recipe.load(folder / "src")
    except (OSError, ValueError, EOFError, AttributeError, ImportError) as error:
        raise TrainingError(f"the model in {folder} can't be loaded: {error}") from error


def _moment(environment: Mapping[str, str], name: str) -> datetime:
    text = environment.get(name)
    if not text:
        raise TrainingError(f"{name} is not set: the operator's Jobs have it")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise TrainingError(
            f"{name} is {text!r}, and must be a time as 2026-01-31T09:00:00Z"
        ) from error
