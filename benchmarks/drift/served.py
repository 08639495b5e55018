"""The rows of a stream so far: the version that answers each, and the results of trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.drift.run import Run, run_of
from benchmarks.drift.streams import FIRST_ROWS, STREAM_START
from sluicegate.slo.label_ages import AGED_SERIES, AGES
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks.drift.models import Model, Trainer

    Rows = NDArray[np.intp]

FIRST_VERSION: Final = "v1"
YOUNGEST: Final = AGED_SERIES[AGES[0]]
"""Series of the labels, which come at once."""
LATEST_ROWS: Final = 2_000
"""Most rows of a training."""
MIN_ROWS: Final = 400
"""Rows since the change that suffice for a training."""
HOLD_OUT_SHARE: Final = 5
"""Rows per held-out row; the newest are held out of the training."""


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes
    ----------
    count, parent_count : wrong answers on the hold-out, of the new version and of its parent.
    pairs : its rows by which of both was wrong, the new version as the candidate.
    """

    version: str
    count: Count
    parent_count: Count
    pairs: Pairs


class Served:
    """One stream so far, under one policy and one seed of the traffic split."""

    def __init__(self, trainer: Trainer, seed: int) -> None:
        self.stream = trainer.stream
        self.came = STREAM_START
        """The row after the last that has come."""
        self.log: list[str] = []
        self._trainer, self._seed = trainer, seed
        rows = len(self.stream.labels)
        self._draws = np.random.default_rng(seed).random(rows)
        self._wrong = np.zeros(rows, dtype=np.bool_)
        self._models = {FIRST_VERSION: trainer.train(0, FIRST_ROWS)}
        self._trainings: list[int] = []
        self._promotions: list[tuple[int, str]] = []
        self._decays = 0

    @property
    def accepted(self) -> Count:
        """Evaluation with which the first version is accepted."""
        return _count(self._models[FIRST_VERSION], FIRST_ROWS, STREAM_START)

    def answer(self, end: int, stable: str, shares: Mapping[str, float]) -> dict[str, Rows]:
        """Advance the stream to `end`, and return which rows each version answers.

        A row is drawn once for all shares: the candidate answers those with the lowest draws. A row
        that no version answers counts as wrong.

        Parameters
        ----------
        shares : of the requests, by version; from 0 to 1, and 1 in sum at most.
        """
        rows = np.arange(self.came, end)
        draws, low = self._draws[self.came : end], 0.0
        self._wrong[self.came : end] = True
        self.came = end
        answered: dict[str, Rows] = {}
        for version in sorted(shares, key=lambda one: one == stable):
            high = low + shares[version]
            answered[version] = chosen = rows[(low <= draws) & (draws < high)]
            self._wrong[chosen] = self.wrong(version, chosen)
            low = high
        return answered

    def wrong(self, version: str, rows: Rows) -> NDArray[np.bool_]:
        """Return whether a version's answer to each of these rows is wrong."""
        return self._models[version].wrong[rows]

    def pairs(self, candidate: str, stable: str, rows: Rows) -> Pairs:
        """Return these rows by which of both versions is wrong."""
        return _pairs(self.wrong(candidate, rows), self.wrong(stable, rows))

    def train(self, parent: str, since: float | None, *, decays: bool) -> Trained:
        """Fit a version on the newest rows, and score it beside its parent.

        Parameters
        ----------
        since : estimated time of the change, in seconds since the first row; None if unknown.
        decays : the training is the remedy of an SLO that isn't met.
        """
        end, first = self.came, self.came - LATEST_ROWS
        if since is not None:
            first = max(first, min(self.stream.row_at(since), end - MIN_ROWS))
        held = end - (end - first) // HOLD_OUT_SHARE
        version = f"v{len(self._models) + 1}"
        self._models[version] = model = self._trainer.train(first, held)
        self._trainings.append(end)
        self._decays += int(decays)
        rows = np.arange(held, end)
        return Trained(
            version,
            _count(model, held, end),
            _count(self._models[parent], held, end),
            self.pairs(version, parent, rows),
        )

    def promoted(self, version: str) -> None:
        """Record that a version became the stable one."""
        self._promotions.append((self.came, version))

    def decided(self, kind: str, reason: str, message: str) -> None:
        """Record a decision, unless it only changes the share of a candidate."""
        if kind in {"Hold", "Advance"}:
            return
        self.log.append(f"{self.came} {kind} {reason}: {message}")

    def run(self, policy: str) -> Run:
        """Compute the figures of the whole stream."""
        return run_of(
            self.stream,
            policy,
            self._seed,
            self._wrong,
            trainings=self._trainings,
            promotions=[row for row, _ in self._promotions],
            decays=self._decays,
            answered=self._answered(),
            log=self.log,
        )

    def _answered(self) -> list[int | None]:
        """Return the rows from each drift until a model mostly of the new concept serves all."""
        drifts, delays = self.stream.drifts, list[int | None]()
        for drift, last in zip(drifts, (*drifts[1:], len(self.stream.labels)), strict=False):
            rows = (
                row - drift
                for row, version in self._promotions
                if drift < row <= last and _is_mostly_after(self._models[version], drift)
            )
            delays.append(next(rows, None))
        return delays


def _is_mostly_after(model: Model, row: int) -> bool:
    return (model.trained_from + model.trained_to) / 2 >= row


def _count(model: Model, first: int, last: int) -> Count:
    wrong = model.wrong[first:last]
    return Count(int(wrong.sum()), len(wrong))


def _pairs(candidate: NDArray[np.bool_], stable: NDArray[np.bool_]) -> Pairs:
    """Return rows by which version was wrong, the candidate first."""
    return Pairs(
        int((~candidate & ~stable).sum()),
        int((~candidate & stable).sum()),
        int((candidate & ~stable).sum()),
        int((candidate & stable).sum()),
    )
