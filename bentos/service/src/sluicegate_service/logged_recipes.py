"""Base class of a recipe whose rows come from the log of predictions (`serving.log`).

A training, its hold-out and the Jobs of a shadow phase take the labelled rows of the product's own
requests. A product without a log, or with few labels yet, trains on the rows that it brings.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from typing_extensions import override

from sluicegate_service.environment import LOG, TRIGGER
from sluicegate_service.recipes import JoblibRecipe
from sluicegate_service.training import TrainingError, Trigger
from sluicegate_service.warehouse import WRITE_DELAY, WarehouseError, labelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sluicegate_service.training import Evaluation
    from sluicegate_service.warehouse import LabelledRow

_DRAW: Final = 2**32


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows.

    Attributes
    ----------
    features : JSON of a request for each row, as the API gets it. truth : JSON of its label.
    monitored : what the service recorded with `bentoml.monitor` during it, by monitor and column;
        empty for rows that aren't of the log.
    """

    features: Sequence[Any]
    truth: Sequence[Any]
    monitored: Sequence[Mapping[str, Any]] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.truth)

    @classmethod
    def logged(cls, rows: Sequence[LabelledRow]) -> Self:
        """Return rows of the log."""
        return cls(
            [row.features for row in rows],
            [row.truth for row in rows],
            [row.monitored for row in rows],
        )

    def chosen(self, choice: Callable[[int], bool]) -> Rows:
        """Return the rows whose position is chosen."""
        places = [place for place in range(len(self)) if choice(place)]
        return Rows(
            [self.features[place] for place in places],
            [self.truth[place] for place in places],
            [self.monitored[place] for place in places] if self.monitored else (),
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a training.

    Attributes
    ----------
    start, end : interval of the labels; None for rows that the product brings.
    """

    training: Rows
    held_out: Rows
    start: datetime | None = None
    end: datetime | None = None


class LoggedRecipe(JoblibRecipe):
    """A product's training on its log; a product adds `name` and the methods that raise here.

    A row is held out by its id, so each training holds out the same rows: the stable version has
    learned from none of them.
    """

    log_days: ClassVar[int] = 28
    """Days of labels that a training takes."""
    least_rows: ClassVar[int] = 1000
    """Rows that suffice: of the log, else `first_rows` are taken; since a change, else all are."""
    held_out_share: ClassVar[float] = 0.3
    write_delay: ClassVar[timedelta] = WRITE_DELAY
    """Time by which the times of `evaluate_labelled` are earlier than those it gets."""

    def first_rows(self) -> Rows:
        """Return rows for the first bento, until the log has enough; the same in each call."""
        raise NotImplementedError(f"{type(self).__name__}.first_rows isn't written")

    def fit_rows(self, rows: Rows, *, lighter: bool) -> Any:
        """Train on rows; a lighter model if the last one was too slow."""
        raise NotImplementedError(f"{type(self).__name__}.fit_rows isn't written")

    def evaluate_rows(self, model: Any, rows: Rows) -> Evaluation:
        """Score a model on rows, of which there is at least one, with `Counts.of` in their order."""
        raise NotImplementedError(f"{type(self).__name__}.evaluate_rows isn't written")

    @override
    def fit(self, *, lighter: bool) -> Any:
        """Train on the rows that aren't held out."""
        return self.fit_rows(self.split.training, lighter=lighter)

    @override
    def evaluate(self, model: Any, *, lighter: bool) -> Evaluation:
        """Score a model on the rows that are held out."""
        return self.evaluate_rows(model, self.split.held_out)

    def evaluate_labelled(self, model: Any, since: datetime, until: datetime) -> Evaluation:
        """Score a model on the rows whose label came after `since` and by `until`, both a `write_delay` earlier.

        So the intervals of Jobs that follow each other have each label once.
        """
        rows = Rows.logged(_labelled(since, until))
        return self.evaluate_rows(model, rows) if len(rows) else {}

    @property
    def data_end(self) -> datetime | None:
        """End of the labels, after which a shadow phase begins."""
        return None if self.logged_split is None else self.logged_split.end

    @property
    def hold_out_start(self) -> datetime | None:
        """Begin of the held-out labels, which are a share of all by chance."""
        return None if self.logged_split is None else self.logged_split.start

    @cached_property
    def split(self) -> Split:
        """Rows of this training, which are read once."""
        return self.logged_split or _first(self.first_rows(), self.held_out_share)

    @cached_property
    def logged_split(self) -> Split | None:
        """Rows of the log: those since the change if they suffice; None without a log or with few rows."""
        if not os.environ.get(LOG):
            return None
        end = datetime.now(UTC)
        start = end - timedelta(days=self.log_days)
        rows = _labelled(start, end)
        if len(rows) < self.least_rows:
            print(  # noqa: T201 - a Job's log
                f"the log has {len(rows)} labelled rows of {self.log_days} days, fewer than"
                f" {self.least_rows}: first_rows are taken",
                flush=True,
            )
            return None
        changed = Trigger.parse(os.environ.get(TRIGGER) or "{}").changed
        if changed is not None and changed > start:
            recent = [row for row in rows if row.label_time > changed]
            if len(recent) >= self.least_rows:
                start, rows = changed, recent
        kept = Rows.logged(rows)
        held = [_draw(row.id) < self.held_out_share for row in rows]
        split = Split(
            kept.chosen(lambda place: not held[place]), kept.chosen(held.__getitem__), start, end
        )
        print(  # noqa: T201 - a Job's log
            f"{len(split.training)} labelled rows of the log since {start:%Y-%m-%d %H:%M} are trained"
            f" on, {len(split.held_out)} are held out",
            flush=True,
        )
        return split


def _first(rows: Rows, share: float) -> Split:
    """Return the split of rows without ids: the positions with the least draws are held out."""
    if not len(rows):
        raise TrainingError("first_rows has no row: return those that the first model learns from")
    order = sorted(range(len(rows)), key=lambda place: _draw(str(place)))
    held = frozenset(order[: math.ceil(len(rows) * share)])
    return Split(
        rows.chosen(lambda place: place not in held), rows.chosen(lambda place: place in held)
    )


def _draw(text: str) -> float:
    """Return a number between 0 and 1 that depends on the text alone."""
    return int.from_bytes(sha256(f"held out {text}".encode()).digest()[:4], "big") / _DRAW


def _labelled(since: datetime, until: datetime) -> list[LabelledRow]:
    try:
        return labelled(since, until, write_delay=WRITE_DELAY)
    except WarehouseError as error:
        raise TrainingError(str(error)) from error
