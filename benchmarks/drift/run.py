"""Result of one policy on one stream."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - one import style
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.drift.streams import STREAM_START

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.drift.streams import Stream

WORST_ROWS: Final = 1_000


@dataclass(frozen=True)
class Run:
    """Result of one policy on a whole stream.

    Attributes
    ----------
    accuracy : share of the streamed rows with a right answer.
    worst : the same in the worst 1,000 rows in a row.
    trainings, promotions : the rows after which they occurred.
    decays : trainings because of a degradation.
    answered : rows from each known drift until a version that was mostly trained on the new concept
        serves all; None for never.
    wrong : whether the answer was wrong, by streamed row.
    log : decisions in words. drifts : rows at which the concept is known to change.
    """

    stream: str
    policy: str
    seed: int
    accuracy: float
    worst: float
    trainings: tuple[int, ...]
    promotions: tuple[int, ...]
    decays: int = 0
    answered: tuple[int | None, ...] = ()
    wrong: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    log: tuple[str, ...] = ()
    drifts: tuple[int, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return the JSON object of `--output`; shares from 0 to 1."""
        return {
            "stream": self.stream,
            "policy": self.policy,
            "seed": self.seed,
            "accuracy": round(self.accuracy, 5),
            "worst": round(self.worst, 5),
            "trainings": len(self.trainings),
            "promotions": len(self.promotions),
            "decays": self.decays,
            "answered": list(self.answered),
            "drifts": list(self.drifts),
            "course": self.course,
        }

    @property
    def course(self) -> list[float]:
        """Share of right answers in each 1,000 streamed rows, without the incomplete rest."""
        starts = range(0, len(self.wrong) - WORST_ROWS + 1, WORST_ROWS)
        return [
            round(1 - float(self.wrong[start : start + WORST_ROWS].mean()), 4) for start in starts
        ]


def run_of(
    stream: Stream,
    policy: str,
    seed: int,
    wrong: NDArray[np.bool_],
    *,
    trainings: Sequence[int],
    promotions: Sequence[int],
    decays: int = 0,
    answered: Sequence[int | None] = (),
    log: Sequence[str] = (),
) -> Run:
    """Compute the figures of a run.

    Parameters
    ----------
    wrong : whether the answer was wrong, by row of the whole stream.
    """
    streamed = wrong[STREAM_START:]
    window = min(WORST_ROWS, len(streamed))
    sums = np.cumsum(np.concatenate([[0], streamed]))
    worst = 1 - float((sums[window:] - sums[:-window]).max()) / window
    return Run(
        stream.name,
        policy,
        seed,
        1 - float(streamed.mean()),
        worst,
        tuple(trainings),
        tuple(promotions),
        decays,
        tuple(answered),
        streamed,
        tuple(log),
        stream.drifts,
    )
