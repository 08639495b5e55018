"""Features that differ between the rows that trainings read and the requests that are served.

Half of the rows of both sides select a set of values of each feature, which is more frequent on one side: the numbers up
to a threshold, or some categories. The other half have the shares of this set. They didn't select it, so Hoeffding's
inequality for the difference of two means (W. Hoeffding, Probability inequalities for sums of bounded random variables,
1963, 2.7) bounds it from below, for any distribution and any number of categories.
"""

from __future__ import annotations

import math
import os
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from numbers import Real
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sluicegate_service.json_paths import without_path
from sluicegate_service.log_rows import chosen
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sluicegate_service.warehouse import LoggedRequest

    Value = float | str | None
    """A number, a category, or None for a feature that is null or absent."""
    Columns = Mapping[str, Sequence[Value]]

MAX_ROWS: Final = 4000
"""Rows of each side that are compared; of more, a random sample."""
MAX_FEATURES: Final = 300
MAX_NAMED: Final = 3
ERROR_RATE: Final = 0.01
"""Probability at most that any feature without a difference is named."""
LEAST_DIFFERENCE: Final = 0.1
"""Difference of shares that must be shown: hours of the day and labels that are late make smaller ones."""
LEAST_SHARE: Final = 0.05
LEAST_ROWS: Final = 10
"""Share and number of the rows of one side from which a category is quoted: a rare one may be of one person."""
LONGEST_NAME: Final = 60
LONGEST_VALUE: Final = 40
_ROUNDING: Final = 1e-9

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class FeatureDifferences:
    """Features that are shown to differ.

    Attributes
    ----------
    compared : number of features that both sides were compared by; 0 without rows or requests.
    largest : a phrase for each of the features that differ most, with its numbers of both sides; at most
        `MAX_NAMED` of at most 200 characters each.
    """

    compared: int
    largest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Values:
    """A set of values of a feature: numbers up to a threshold, or else some categories.

    The category of a number is `float`, and that of a missing value is None.
    """

    threshold: float | None = None
    categories: frozenset[object] = frozenset()

    def share(self, values: Sequence[Value]) -> float:
        """Return the share of the values that are in the set."""
        return sum(map(self._contains, values)) / len(values)

    def _contains(self, value: Value) -> bool:
        if self.threshold is None:
            return _category(value) in self.categories
        return isinstance(value, float) and value <= self.threshold


def differences_of_product(
    labelled_features: Callable[[datetime, datetime], Iterable[Any]],
    since: datetime,
    until: datetime,
    version: str,
) -> FeatureDifferences | None:
    """Compare rows of a training with the logged requests to a version of the pod's product; None without a log.

    Features that the log doesn't have (`redact`, and all but those of `only`) and the key of a person are left out.

    Parameters
    ----------
    labelled_features : function that returns features of the rows of an interval, each as the JSON of a request
        with one prediction.
    since, until : the interval, with its zone.

    Raises
    ------
    WarehouseError
        The log can't be read.
    TypeError
        A row isn't the JSON of a request.
    """
    settings = LogSettings.from_environment(os.environ)
    if settings is None:
        return None
    rows = (
        without_path(chosen(row, settings), settings.person)
        for row in labelled_features(since, until)
    )
    return compare(rows, Warehouse.of_product().requests(since, until, version))


def compare(rows: Iterable[Any], requests: Iterable[LoggedRequest]) -> FeatureDifferences:
    """Name the features whose values differ most between rows of a training and requests.

    The features are those that the rows have. Requests without JSON are left out, and of several paths of
    the API the one with most requests counts.
    """
    row_sample = _sample(map(_features, rows))
    counts = Counter(name for row in row_sample for name in row)
    names = sorted(name for name, _ in counts.most_common(MAX_FEATURES))
    request_sample = _sample(
        (request.path, _only(dict(_leaves(request.features)), names))
        for request in requests
        if isinstance(request.features, dict | list)
    )
    if len(row_sample) < 2 or len(request_sample) < 2:  # noqa: PLR2004 - one for each half
        return FeatureDifferences(0, ())
    ((path, _),) = Counter(path for path, _ in request_sample).most_common(1)
    served = _columns([features for at, features in request_sample if at == path], names)
    return _named(_columns(row_sample, names), served)


def _sample(rows: Iterable[Row]) -> list[Row]:
    """Return `MAX_ROWS` rows at most, in a random order that is the same in each call."""
    dice = random.Random(0)
    kept: list[Row] = []
    for number, row in enumerate(rows):
        if number < MAX_ROWS:
            kept.append(row)
        elif (place := dice.randrange(number + 1)) < MAX_ROWS:
            kept[place] = row
    dice.shuffle(kept)
    return kept


def _features(row: Any) -> dict[str, Value]:
    """Return features of a row of a training by path, of `MAX_FEATURES` at most."""
    if not isinstance(row, dict | list):
        raise TypeError(
            f"labelled_features returns a {type(row).__name__}: return the JSON of a request for each row"
        )
    return dict(islice(_leaves(row), MAX_FEATURES))


def _leaves(document: Any) -> Iterator[tuple[str, Value]]:
    """Yield path and value of each feature of a request, however deep it is nested."""
    parts = [("", document)]
    while parts:
        path, part = parts.pop()
        if isinstance(part, dict | list):
            items = part.items() if isinstance(part, dict) else enumerate(part)
            parts.extend((f"{path}.{name}" if path else str(name), value) for name, value in items)
        else:
            yield path, _value(part)


def _value(value: Any) -> Value:
    item = getattr(value, "item", None)
    value = item() if callable(item) else value  # a scalar of NumPy
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    if not isinstance(value, Real):
        return str(value)[:LONGEST_VALUE]
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    return None if math.isnan(number) else number


def _only(row: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    return {name: row[name] for name in names if name in row}


def _columns(rows: Sequence[Mapping[str, Value]], names: Sequence[str]) -> Columns:
    return {name: [row.get(name) for row in rows] for name in names}


def _named(rows: Columns, requests: Columns) -> FeatureDifferences:
    texts: list[tuple[float, str]] = []
    for name, of_rows in rows.items():
        of_requests = requests[name]
        values = _selected(of_rows[::2], of_requests[::2])
        measured = of_rows[1::2], of_requests[1::2]
        if not all(measured):
            continue
        difference = abs(values.share(measured[0]) - values.share(measured[1]))
        inverse_sizes = sum(1 / len(part) for part in measured)
        error = math.sqrt(math.log(2 * len(rows) / ERROR_RATE) / 2 * inverse_sizes)
        if difference - error >= LEAST_DIFFERENCE:
            text = f"{_shown(name, LONGEST_NAME)} ({_phrase(values, of_rows, of_requests)})"
            texts.append((-difference, text))
    return FeatureDifferences(len(rows), tuple(text for _, text in sorted(texts)[:MAX_NAMED]))


def _selected(rows: Sequence[Value], requests: Sequence[Value]) -> _Values:
    """Return the set whose shares of both sides differ most: numbers up to a threshold, or categories."""
    of_rows, of_requests = (Counter(map(_category, side)) for side in (rows, requests))
    categories = _Values(
        categories=frozenset(
            category
            for category, count in of_rows.items()
            if count / len(rows) > of_requests[category] / len(requests)
        )
    )
    numbers = [sorted(_numbers(side)) for side in (rows, requests)]
    if not all(numbers):
        return categories

    def distance(threshold: float) -> float:
        below, requests_below = (bisect_right(side, threshold) for side in numbers)
        return abs(below / len(rows) - requests_below / len(requests))

    threshold = max(sorted({*numbers[0], *numbers[1]}), key=distance)
    of_categories = categories.share(rows) - categories.share(requests)
    is_of_numbers = distance(threshold) > of_categories + _ROUNDING
    return _Values(threshold) if is_of_numbers else categories


def _phrase(values: _Values, rows: Sequence[Value], requests: Sequence[Value]) -> str:
    """Return what differs in a feature, with its numbers of both sides."""
    if values.threshold is not None:
        middle = [median(_numbers(side)) for side in (rows, requests)]
        below = _Values(middle[0])
        if abs(below.share(rows) - below.share(requests)) >= LEAST_DIFFERENCE:
            of_rows, of_requests = map(_number, middle)
            return f"median {of_rows} in the training's rows, {of_requests} in the requests"
        return _of_both(f"up to {_number(values.threshold)}", values, rows, requests)
    counts = [Counter(map(_category, side)) for side in (rows, requests)]

    def distance(category: object) -> float:
        return abs(counts[0][category] / len(rows) - counts[1][category] / len(requests))

    category = max(dict.fromkeys((None, *counts[0], *counts[1])), key=distance)
    only = _Values(categories=frozenset({category}))
    if category is None:
        return _of_both("missing", only, rows, requests)
    if category is float:
        return _of_both("a number", only, rows, requests)
    if any(count[category] >= max(LEAST_ROWS, LEAST_SHARE * count.total()) for count in counts):
        return _of_both(f'"{_shown(str(category), LONGEST_VALUE)}"', only, rows, requests)
    of_rows, of_requests = (_percent(values.share(side)) for side in (rows, requests))
    return f"the values of {of_rows} of the training's rows are in {of_requests} of the requests"


def _of_both(text: str, values: _Values, rows: Sequence[Value], requests: Sequence[Value]) -> str:
    of_rows, of_requests = (_percent(values.share(side)) for side in (rows, requests))
    return f"{text} in {of_rows} of the training's rows, in {of_requests} of the requests"


def _category(value: Value) -> object:
    return float if isinstance(value, float) else value


def _numbers(values: Sequence[Value]) -> list[float]:
    return [value for value in values if isinstance(value, float)]


def _number(value: float) -> str:
    return f"{float(f'{value:.4g}'):,.10g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _shown(text: str, longest: int) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
