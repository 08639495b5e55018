"""Labels by the age of their prediction at their arrival, in the classes of the library."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

from sluicegate.stats.counts import Count

AGE_BOUNDS_SECONDS: Final = (30, 300, 3_600, 21_600, 86_400, 259_200)
"""Upper bounds of the classes, in seconds; the last class has none."""
AGES: Final = (*map(str, AGE_BOUNDS_SECONDS), "+Inf")
"""Values of the label `age` of sluicegate_predictions_labelled_total."""
AGED_SERIES: Final = {age: f"labelsAged{age.removeprefix('+')}" for age in AGES}
"""Names under which the labels of a class are kept, and written into records; no SLO has such a name."""


@dataclass(frozen=True, slots=True)
class LabelsByAge:
    """Cumulative labels of both versions in one block, by age class.

    Attributes
    ----------
    candidate_bad, candidate_total, stable_bad, stable_total : by class, youngest first.
    """

    candidate_bad: tuple[int, ...]
    candidate_total: tuple[int, ...]
    stable_bad: tuple[int, ...]
    stable_total: tuple[int, ...]

    def within(self, classes: int) -> tuple[Count, Count]:
        """Return the labels of (candidate, stable) in this many of the youngest classes."""
        last_class = classes - 1
        return (
            Count(self.candidate_bad[last_class], self.candidate_total[last_class]),
            Count(self.stable_bad[last_class], self.stable_total[last_class]),
        )


@lru_cache(maxsize=2**12)
def labels_by_age(candidate: tuple[Count, ...], stable: tuple[Count, ...]) -> LabelsByAge:
    """Return cumulative labels of both versions from those of each age class, youngest class first."""
    return LabelsByAge(*_cumulative_counts(candidate), *_cumulative_counts(stable))


def _cumulative_counts(counts: Sequence[Count]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (
        tuple(accumulate(count.bad for count in counts)),
        tuple(accumulate(count.total for count in counts)),
    )


def covered_classes(seconds: float) -> int:
    """Return how many of the youngest classes are within this many seconds."""
    return sum(age_bound <= seconds for age_bound in AGE_BOUNDS_SECONDS)
