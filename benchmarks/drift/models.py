"""Models trained on a part of a stream, with their errors on all of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.drift.streams import Stream

BOOSTING: Final = "hgb"
BAYES: Final = "nb"
KINDS: Final = (BOOSTING, BAYES)


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes
    ----------
    trained_to : the row after the last one of its training.
    trained_from : the first row of its training.
    wrong : whether it errs, by row of the whole stream.
    """

    trained_from: int
    trained_to: int
    wrong: NDArray[np.bool_]


class Trainer:
    """Trainer of models of one kind on one stream, with a cache: policies share many."""

    def __init__(self, stream: Stream, kind: str) -> None:
        self.stream = stream
        self._kind = kind
        self._known: dict[tuple[int, int], Model] = {}

    def train(self, first: int, last: int) -> Model:
        """Return the model of the rows first ≤ row < last."""
        key = (first, last)
        if key not in self._known:
            self._known[key] = self._fit(first, last)
        return self._known[key]

    def _fit(self, first: int, last: int) -> Model:
        features, labels = self.stream.features, self.stream.labels
        wrong = np.ones(len(labels), dtype=np.bool_)
        stretch = slice(first, last)
        if len(np.unique(labels[stretch])) == 1:  # only one class
            wrong = labels != labels[first]
        else:
            model = _estimator(self._kind).fit(features[stretch], labels[stretch])
            ahead = slice(first, None)
            wrong[ahead] = model.predict(features[ahead]) != labels[ahead]
        return Model(first, last, wrong)


def _estimator(kind: str) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - takes a second
    from sklearn.naive_bayes import GaussianNB  # noqa: PLC0415 - the same

    if kind == BAYES:
        return GaussianNB()
    return HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, random_state=0)
