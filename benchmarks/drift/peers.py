"""Baselines of the comparison: no retraining, periodic, and detectors whose models serve at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.drift.models import Trainer  # noqa: TC001 - one import style
from benchmarks.drift.run import Run, run_of
from benchmarks.drift.streams import FIRST_ROWS, STREAM_START

if TYPE_CHECKING:
    from collections.abc import Callable

    Alarm = Callable[[bool], bool]
    """Takes whether the last row was wrong; says whether that is a drift."""

LATEST_ROWS: Final = 2_000
"""Rows of a training."""
PERIODS: Final = {"every-500": 500, "every-2000": 2_000}
DETECTORS: Final = ("ADWIN", "DDM", "EDDM", "HDDM_A", "PageHinkley")
NEVER: Final = "never"
PEERS: Final = (NEVER, *PERIODS, *DETECTORS)


def run(policy: str, trainer: Trainer, seed: int) -> Run:
    """Run the whole stream under one of `PEERS`. A new model serves from the next row on."""
    stream = trainer.stream
    rows = len(stream.labels)
    model = trainer.train(0, FIRST_ROWS)
    alarm = _alarm(policy)
    served = model.wrong.copy()
    serves_from, trainings = STREAM_START, []
    for row in range(STREAM_START, rows):
        if alarm(bool(model.wrong[row])) and row + 1 < rows:
            served[serves_from : row + 1] = model.wrong[serves_from : row + 1]
            model = trainer.train(row + 1 - LATEST_ROWS, row + 1)
            serves_from = row + 1
            trainings.append(row + 1)
            alarm = _alarm(policy)
    served[serves_from:] = model.wrong[serves_from:]
    return run_of(stream, policy, seed, served, trainings=trainings, promotions=trainings)


def _alarm(policy: str) -> Alarm:
    if policy == NEVER:
        return lambda _: False
    if policy in PERIODS:
        return _Period(PERIODS[policy])
    return _Detector(policy)


class _Period:
    def __init__(self, rows: int) -> None:
        self._left = rows

    def __call__(self, _: bool) -> bool:  # noqa: FBT001 - an Alarm
        self._left -= 1
        return self._left == 0


class _Detector:
    """A detector of river with its default settings; it is reset after each alarm."""

    def __init__(self, name: str) -> None:
        from river import drift  # noqa: PLC0415 - of the group `benchmarks` alone

        module = {"ADWIN": drift, "PageHinkley": drift}.get(name, drift.binary)
        self._detector: Any = getattr(module, name.replace("_", ""))()

    def __call__(self, is_wrong: bool) -> bool:  # noqa: FBT001 - an Alarm
        self._detector.update(int(is_wrong))
        return bool(self._detector.drift_detected)
