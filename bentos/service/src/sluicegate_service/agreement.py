"""Whether a prediction is right, for a service without code of its own for that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sluicegate_service.feedback import InvalidTruthError, Score, kind_of
from sluicegate_service.outcomes import Outcome


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
        if kind_of(prediction) != kind_of(truth):
            raise InvalidTruthError(
                f"the truth is {kind_of(truth)}, and predictions are {kind_of(prediction)}"
            )
        if self.tolerance_percent is None:
            return Score(Outcome.of(correct=prediction == truth))
        if kind_of(truth) != "a number" or not math.isfinite(truth):
            raise InvalidTruthError("with tolerancePercent, predictions and truths are numbers")
        most_difference = self.tolerance_percent / 100 * abs(truth)
        return Score(Outcome.of(correct=abs(prediction - truth) <= most_difference))
