"""Test for a daily season of the bad ratio; with a season, only the same hours are compared.

A season repeats each day, so one day can't show it: a rise at noon could be an effect of that day's
hours, or a change. So after one day, hours that differ (a χ² test) are compared only with
themselves: the next day shows which of the two it was, and a change at noon is detected in the
hours after midnight. From two days on the days must have the same pattern; an event on one day
alone is no season.

A swing of ±30 % without any drift makes an hourly test alarm in a quarter of all two-month runs;
tests on whole days, and on the same hours of other days, never alarm (tests/simulation).
"""

from collections.abc import Sequence
from math import exp, lgamma, log, sqrt
from typing import Final

from sluicegate.stats.batch_means import from_unit_to_unit
from sluicegate.stats.calendar import CLOCK, HOURS, HOURS_A_DAY, Calendar
from sluicegate.stats.intervals import quantile

SIGNIFICANCE: Final = 0.01
LEAST_DAYS: Final = 2
_Z_ALIKE: Final = quantile(1 - SIGNIFICANCE)
LEAST_EXPECTED: Final = 5.0
"""Expected bad events of an hour below which the χ² approximation isn't valid, and no season is reported."""
_TERMS: Final = 500


def season_sums(calendar: Calendar) -> int:
    """Return the number of sums that distinguish a season from a change: two days."""
    return calendar.sums(LEAST_DAYS * HOURS_A_DAY)


def hour_matters(
    hours: Sequence[tuple[int, int]], first: int, phi: float, calendar: Calendar = CLOCK
) -> bool:
    """Return whether the bad ratio depends on the hour of the day.

    This is so if a χ² test over the hours is significant at 1 %, and the days have the same
    pattern. With less than two days the χ² test alone decides; with less than one (or than is kept,
    where blocks are short) the result is False.

    Parameters
    ----------
    hours : (bad, total) of sums of twelve blocks. first : number of the first. phi : dispersion.
    calendar : in which hours they lie.
    """
    if len(hours) < min(calendar.sums(HOURS_A_DAY), HOURS):
        return False
    cells = _by_hour(hours, first, calendar)
    with_events = [(bad, total) for bad, total in cells if total > 0]
    bad_sum, total_sum = sum(bad for bad, _ in with_events), sum(total for _, total in with_events)
    if (
        len(with_events) < 2  # noqa: PLR2004 - a comparison needs two
        or bad_sum in (0, total_sum)
        or bad_sum / len(with_events) < LEAST_EXPECTED
    ):
        return False
    p = bad_sum / total_sum
    chi2 = sum((bad - n * p) ** 2 / (n * p * (1 - p)) for bad, n in with_events) / phi
    if chi_square_tail(chi2, len(with_events) - 1) >= SIGNIFICANCE:
        return False
    if len(hours) >= season_sums(calendar):
        return _days_agree(hours, first, calendar)
    noise = max(from_unit_to_unit(hours).phi / phi, 1.0)
    return chi_square_tail(chi2 / noise, len(with_events) - 1) < SIGNIFICANCE


def _by_hour(
    hours: Sequence[tuple[int, int]], first: int, calendar: Calendar, parity: int | None = None
) -> list[list[int]]:
    """Add up (bad, total) by hour of the day; only of every other day, if a parity is given."""
    cells = [[0, 0] for _ in range(HOURS_A_DAY)]
    for hour, (bad, total) in enumerate(hours, start=first):
        if parity is None or calendar.days.of(hour) % 2 == parity:
            cell = cells[calendar.hour_of_day(hour)]
            cell[0], cell[1] = cell[0] + bad, cell[1] + total
    return cells


def _days_agree(hours: Sequence[tuple[int, int]], first: int, calendar: Calendar) -> bool:
    """Return whether even and odd days have the same pattern: their correlation by hour is significant.

    A steady slope through all days makes any two similar, so it is removed first.
    """
    halves = [_by_hour(hours, first, calendar, parity) for parity in (0, 1)]
    both_days = [
        (even[0] / even[1], odd[0] / odd[1])
        for even, odd in zip(*halves, strict=True)
        if even[1] and odd[1]
    ]
    if len(both_days) <= 3:  # noqa: PLR2004 - three hours correlate by chance
        return False
    columns = [_without_slope([pair[place] for pair in both_days]) for place in (0, 1)]
    norms = [sqrt(sum(value * value for value in column)) for column in columns]
    if min(norms) == 0:
        return False
    product = sum(even * odd for even, odd in zip(*columns, strict=True))
    alike: bool = product / (norms[0] * norms[1]) * sqrt(len(both_days) - 2) >= _Z_ALIKE
    return alike


def _without_slope(values: list[float]) -> list[float]:
    """Subtract mean and linear slope from values."""
    count = len(values)
    mean, middle = sum(values) / count, (count - 1) / 2
    spread = sum((place - middle) ** 2 for place in range(count))
    slope = sum((place - middle) * value for place, value in enumerate(values)) / spread
    return [value - mean - slope * (place - middle) for place, value in enumerate(values)]


def chi_square_tail(value: float, degrees: int) -> float:
    """Compute P(χ² with `degrees` degrees of freedom ≥ value): 1 − P(degrees/2, value/2).

    The regularised incomplete gamma function, by its series below its mean and by the continued
    fraction (modified Lentz) above. Source: NIST Digital Library of Mathematical Functions,
    8.11.4 and 8.9.2.
    """
    if value <= 0:
        return 1.0
    a, x = degrees / 2, value / 2
    scale = exp(a * log(x) - x - lgamma(a))
    if x < a + 1:
        return 1.0 - scale * _series(a, x)
    return scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _TERMS):
        term *= x / (a + n)
        total += term
        if term < total * 1e-17:
            break
    return total


def _fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1e300, 1 / b
    value = d
    for n in range(1, _TERMS):
        numerator = -n * (n - a)
        b += 2
        d = 1 / (numerator * d + b)
        c = b + numerator / c
        value *= c * d
        if abs(c * d - 1) < 1e-16:  # noqa: PLR2004 - the last bit of a double
            break
    return value
