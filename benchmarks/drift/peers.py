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
HELD_OUT_ROWS: Final = LATEST_ROWS // 5
"""Newest rows that a policy with a hold-out doesn't train on."""
ROLLOUT_ROWS: Final = 300
"""Rows from such a training until its model serves, as many as a rollout of six blocks takes."""
PERIODS: Final = {
    "every-500": 500,
    "every-2000": 2_000,
    "every-500-held": 500,
    "every-1000-held": 1_000,
}
WITH_HOLD_OUT: Final = frozenset({"every-500-held", "every-1000-held"})
DETECTORS: Final = ("ADWIN", "DDM", "EDDM", "HDDM_A", "PageHinkley")
NEVER: Final = "never"
PEERS: Final = (NEVER, *PERIODS, *DETECTORS)


def run(policy: str, trainer: Trainer, seed: int) -> Run:
    """Run the whole stream under one of `PEERS`.

    A new model serves from the next row on. With a hold-out it is trained without the newest rows and serves
    once a rollout would have ended; no model is refused.
    """
    stream = trainer.stream
    rows = len(stream.labels)
    held, delay = (HELD_OUT_ROWS, ROLLOUT_ROWS) if policy in WITH_HOLD_OUT else (0, 0)
    model = trainer.train(0, FIRST_ROWS)
    alarm = _alarm(policy)
    served = model.wrong.copy()
    trainings = []
    for row in range(STREAM_START, rows):
        if alarm(bool(served[row])) and row + 1 < rows:
            model = trainer.train(row + 1 - LATEST_ROWS, row + 1 - held)
            serves_from = row + 1 + delay
            served[serves_from:] = model.wrong[serves_from:]
            trainings.append(row + 1)
            alarm = _alarm(policy)
    promotions = [row + delay for row in trainings]
    return run_of(stream, policy, seed, served, trainings=trainings, promotions=promotions)


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
