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

from sluicegate.stats.batch_means import successive_scatter
from sluicegate.stats.calendar import CLOCK, HOURS, HOURS_A_DAY, Calendar
from sluicegate.stats.intervals import quantile

HOUR_SIGNIFICANCE: Final = 0.01
MIN_DAYS: Final = 2
_Z_ALIKE: Final = quantile(1 - HOUR_SIGNIFICANCE)
MIN_EXPECTED_EVENTS: Final = 5.0
"""Expected bad events of an hour below which the χ² approximation isn't valid, and no season is reported."""
_MAX_TERMS: Final = 500


def season_sums(calendar: Calendar) -> int:
    """Return the number of sums that distinguish a season from a change: two days."""
    return calendar.sum_count(MIN_DAYS * HOURS_A_DAY)


def is_hour_significant(
    hours: Sequence[tuple[int, int]], first_hour: int, phi: float, calendar: Calendar = CLOCK
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
    if len(hours) < min(calendar.sum_count(HOURS_A_DAY), HOURS):
        return False
    cells = _counts_by_hour(hours, first_hour, calendar)
    with_events = [(bad_events, total) for bad_events, total in cells if total > 0]
    bad_sum, total_sum = (
        sum(bad_events for bad_events, _ in with_events),
        sum(total for _, total in with_events),
    )
    if (
        len(with_events) < 2  # noqa: PLR2004 - a comparison needs two
        or bad_sum in (0, total_sum)
        or bad_sum / len(with_events) < MIN_EXPECTED_EVENTS
    ):
        return False
    overall_ratio = bad_sum / total_sum
    chi_square = (
        sum(
            (bad_events - n * overall_ratio) ** 2 / (n * overall_ratio * (1 - overall_ratio))
            for bad_events, n in with_events
        )
        / phi
    )
    if chi_square_tail(chi_square, len(with_events) - 1) >= HOUR_SIGNIFICANCE:
        return False
    if len(hours) >= season_sums(calendar):
        return _days_agree(hours, first_hour, calendar)
    noise = max(successive_scatter(hours).phi / phi, 1.0)
    return chi_square_tail(chi_square / noise, len(with_events) - 1) < HOUR_SIGNIFICANCE


def _counts_by_hour(
    hours: Sequence[tuple[int, int]],
    first_hour: int,
    calendar: Calendar,
    day_parity: int | None = None,
) -> list[list[int]]:
    """Add up (bad, total) by hour of the day; only of every other day, if a parity is given."""
    cells = [[0, 0] for _ in range(HOURS_A_DAY)]
    for hour, (bad_events, total) in enumerate(hours, start=first_hour):
        if day_parity is None or calendar.days.number_of_hour(hour) % 2 == day_parity:
            hour_counts = cells[calendar.hour_of_day(hour)]
            hour_counts[0], hour_counts[1] = hour_counts[0] + bad_events, hour_counts[1] + total
    return cells


def _days_agree(hours: Sequence[tuple[int, int]], first_hour: int, calendar: Calendar) -> bool:
    """Return whether even and odd days have the same pattern: their correlation by hour is significant.

    A steady slope through all days makes any two similar, so it is removed first.
    """
    counts_by_parity = [
        _counts_by_hour(hours, first_hour, calendar, day_parity) for day_parity in (0, 1)
    ]
    both_days = [
        (even_days[0] / even_days[1], odd_days[0] / odd_days[1])
        for even_days, odd_days in zip(*counts_by_parity, strict=True)
        if even_days[1] and odd_days[1]
    ]
    if len(both_days) <= 3:  # noqa: PLR2004 - three hours correlate by chance
        return False
    columns = [
        _detrended([day_pair[day_parity] for day_pair in both_days]) for day_parity in (0, 1)
    ]
    vector_norms = [sqrt(sum(value * value for value in column)) for column in columns]
    if min(vector_norms) == 0:
        return False
    product = sum(even_days * odd_days for even_days, odd_days in zip(*columns, strict=True))
    is_alike: bool = (
        product / (vector_norms[0] * vector_norms[1]) * sqrt(len(both_days) - 2) >= _Z_ALIKE
    )
    return is_alike


def _detrended(values: list[float]) -> list[float]:
    """Subtract mean and linear slope from values."""
    count = len(values)
    mean_value, middle_position = sum(values) / count, (count - 1) / 2
    position_variance = sum((position - middle_position) ** 2 for position in range(count))
    slope = (
        sum((position - middle_position) * value for position, value in enumerate(values))
        / position_variance
    )
    return [
        value - mean_value - slope * (position - middle_position)
        for position, value in enumerate(values)
    ]


def chi_square_tail(value: float, degrees_of_freedom: int) -> float:
    """Compute P(χ² with `degrees` degrees of freedom ≥ value): 1 − P(degrees/2, value/2).

    The regularised incomplete gamma function, by its series below its mean and by the continued
    fraction (modified Lentz) above. Source: NIST Digital Library of Mathematical Functions,
    8.11.4 and 8.9.2.
    """
    if value <= 0:
        return 1.0
    shape, x = degrees_of_freedom / 2, value / 2
    scale = exp(shape * log(x) - x - lgamma(shape))
    if x < shape + 1:
        return 1.0 - scale * _gamma_series(shape, x)
    return scale * _gamma_fraction(shape, x)


def _gamma_series(shape: float, x: float) -> float:
    series_term = total = 1 / shape
    for n in range(1, _MAX_TERMS):
        series_term *= x / (shape + n)
        total += series_term
        if series_term < total * 1e-17:
            break
    return total


def _gamma_fraction(shape: float, x: float) -> float:
    denominator_term = x + 1 - shape
    numerator_ratio, denominator_ratio = 1e300, 1 / denominator_term
    value = denominator_ratio
    for n in range(1, _MAX_TERMS):
        numerator = -n * (n - shape)
        denominator_term += 2
        denominator_ratio = 1 / (numerator * denominator_ratio + denominator_term)
        numerator_ratio = denominator_term + numerator / numerator_ratio
        value *= numerator_ratio * denominator_ratio
        if abs(numerator_ratio * denominator_ratio - 1) < 1e-16:  # noqa: PLR2004 - the last bit of a double
            break
    return value
