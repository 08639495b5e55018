"""The ranking model: a sieve that scores each car, and a comparison of cars two by two.

The comparison predicts which of two cars the visitor would rather open. All pairs of m candidates
are m · (m − 1) / 2 comparisons: 120 for 16 candidates, 8,128 for 128. A shortlist limits that: only
the cars with the best scores of the sieve are compared, and the cost grows with m alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from search_ranking.features import CODES, FEATURES, features, names_in

#: Cars of the first page: a ranking is right if the opened car is on it.
FIRST_PAGE: Final = 4

# Other cars of its search with which each opened car is compared in training.
_LESSONS: Final = 5
# Pairs that are compared at once; limits the memory for scoring a whole hold-out.
_CHUNK: Final = 200_000

Columns = Mapping[str, NDArray[Any]]
Scores = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effort:
    """Cost of a ranking. `shortlist`: number of cars that are compared; None compares all."""

    name: str
    sieve_trees: int
    comparison_trees: int
    shortlist: int | None


FULL: Final = Effort("full", sieve_trees=150, comparison_trees=300, shortlist=None)
LIGHT: Final = Effort("light", sieve_trees=150, comparison_trees=150, shortlist=8)


@dataclass(frozen=True, slots=True)
class RankingModel:
    """Fitted sieve and comparison, with their known names."""

    effort: Effort
    names: dict[str, NDArray[Any]] = field(repr=False)
    sieve: HistGradientBoostingClassifier = field(repr=False)
    comparison: HistGradientBoostingClassifier = field(repr=False)

    @classmethod
    def fit(
        cls, searches: Columns, cars: Columns, opened: NDArray[np.int64], *, effort: Effort
    ) -> Self:
        """Fit to logged searches: n searches, n · m cars row by row, the index of the opened car."""
        names = names_in(searches, cars)
        matrix = features(searches, cars, names)
        count, width = matrix.shape[:2]
        sieve = _trees(effort.sieve_trees, codes=range(CODES))
        sieve.fit(matrix.reshape(count * width, -1), (np.arange(width) == opened[:, None]).ravel())
        lessons, preferred = _lessons(_with_sieve(matrix, sieve), opened)
        codes = [*range(CODES), *(len(FEATURES) + 1 + code for code in range(CODES))]
        comparison = _trees(effort.comparison_trees, codes=codes)
        comparison.fit(lessons, preferred)
        return cls(effort=effort, names=names, sieve=sieve, comparison=comparison)

    def score(self, searches: Columns, cars: Columns) -> Scores:
        """Return a score for each car, n × m; the higher, the earlier it is shown."""
        matrix = _with_sieve(features(searches, cars, self.names), self.sieve)
        shortlist = self.effort.shortlist
        if shortlist is None or matrix.shape[1] <= shortlist:
            return self._compare(matrix)
        scores = matrix[:, :, -1].copy()
        best = np.argsort(-scores, axis=1)[:, :shortlist]
        compared = self._compare(np.take_along_axis(matrix, best[:, :, None], axis=1))
        # Every car of the shortlist is before every other car.
        np.put_along_axis(scores, best, compared - compared.min() + scores.max() + 1.0, axis=1)
        return scores

    def _compare(self, matrix: Matrix) -> Scores:
        """Return log odds with which each car is preferred to the others, weighted by the others' chance.

        Without the weights a car could win by comparisons with hundreds that no visitor would open.
        """
        count, width = matrix.shape[:2]
        left, right = np.triu_indices(width, k=1)
        against = np.zeros((count, width, width))
        rows = max(_CHUNK // max(len(left), 1), 1)
        for start in range(0, count if len(left) else 0, rows):
            part = slice(start, start + rows)
            pairs = _pairs(matrix[part][:, left], matrix[part][:, right])
            odds = self.comparison.decision_function(pairs.reshape(-1, pairs.shape[-1]))
            against[part, left, right] = odds.reshape(pairs.shape[:2])
        chance = np.exp(matrix[:, :, -1] - matrix[:, :, -1].max(axis=1, keepdims=True))
        won = (against - against.transpose(0, 2, 1)) * chance[:, None, :]
        return np.asarray(won.sum(axis=2) / chance.sum(axis=1, keepdims=True))


def first_page(scores: Scores) -> NDArray[np.intp]:
    """Return indexes of the cars shown without scrolling, best first, n × FIRST_PAGE."""
    return np.argsort(-scores, axis=1)[:, :FIRST_PAGE]


def _trees(count: int, *, codes: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=count,
        learning_rate=0.1,
        max_leaf_nodes=31,
        categorical_features=list(codes),
        early_stopping=False,
        random_state=0,
    )


def _with_sieve(matrix: Matrix, sieve: HistGradientBoostingClassifier) -> Matrix:
    """Append the sieve's log odds to the features."""
    count, width = matrix.shape[:2]
    odds = sieve.decision_function(matrix.reshape(count * width, -1))
    return np.concatenate([matrix, odds.reshape(count, width, 1)], axis=2)


def _pairs(left: Matrix, right: Matrix) -> Matrix:
    """Return the features of a comparison: those of both cars, and the differences of their numbers."""
    return np.concatenate([left, right, left[..., CODES:] - right[..., CODES:]], axis=-1)


def _lessons(matrix: Matrix, opened: NDArray[np.int64]) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return training pairs: the opened car with others of its search in random order, and which it is."""
    count, width = matrix.shape[:2]
    generator = np.random.default_rng(0)
    others = (opened[:, None] + generator.integers(1, width, size=(count, _LESSONS))) % width
    rows = np.arange(count)[:, None]
    preferred, passed = matrix[rows, opened[:, None]], matrix[rows, others]
    first = generator.integers(2, size=(count, _LESSONS, 1)).astype(bool)
    pairs = _pairs(np.where(first, preferred, passed), np.where(first, passed, preferred))
    return pairs.reshape(-1, pairs.shape[-1]), first.ravel()
