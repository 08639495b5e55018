"""Whether a prediction is right, for a service without code of its own for that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from sluicegate_service.feedback import InvalidTruthError, Score
from sluicegate_service.outcomes import Outcome

_KINDS: Final = ((bool, "a boolean"), (int | float, "a number"), (str, "a text"),
                 (list, "a list"), (dict, "an object"), (type(None), "null"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """A scorer: a prediction is right if it equals the truth, or is close to it.

    Attributes
    ----------
    tolerance_percent : a number is right within this share of the truth; None for equality.
    """

    tolerance_percent: float | None = None

    def __call__(self, prediction: Any, truth: Any) -> Score:
        """Return the score; InvalidTruthError if the truth is of another kind than the prediction."""
        if _kind(prediction) != _kind(truth):
            raise InvalidTruthError(
                f"the truth is {_kind(truth)}, and predictions are {_kind(prediction)}"
            )
        if self.tolerance_percent is None:
            return Score(Outcome.of(correct=prediction == truth))
        if _kind(truth) != "a number" or not math.isfinite(truth):
            raise InvalidTruthError("with tolerancePercent, predictions and truths are numbers")
        most_difference = self.tolerance_percent / 100 * abs(truth)
        return Score(Outcome.of(correct=abs(prediction - truth) <= most_difference))


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "no JSON")
