"""Does the bad ratio swing with the hour of the day? Then only whole days may be compared.

A swing of ±30 % without any drift makes an hourly test alarm in a quarter of all two-month runs;
by whole days it never does, at the price of two days to detection instead of hours.
"""

from collections.abc import Sequence
from math import exp, lgamma, log
from typing import Final

from sluicegate.stats.calendar import CLOCK, HOURS_A_DAY, Calendar

SIGNIFICANCE: Final = 0.01
LEAST_EXPECTED: Final = 5.0
"""Expected bad events of an hour below which χ² isn't a χ²: then no effect is claimed."""
_TERMS: Final = 500


def hour_matters(
    hours: Sequence[tuple[int, int]], first: int, phi: float, calendar: Calendar = CLOCK
) -> bool:
    """Whether a χ² test over the hours of the day is significant at 1 %.

    Parameters
    ----------
    hours : (bad, total) of sums of twelve blocks. first : number of the first. phi : dispersion.
    calendar : in which hours they lie.
    """
    cells = [[0, 0] for _ in range(HOURS_A_DAY)]
    for hour, (bad, total) in enumerate(hours, start=first):
        cell = cells[calendar.hour_of_day(hour)]
        cell[0], cell[1] = cell[0] + bad, cell[1] + total
    filled = [(bad, total) for bad, total in cells if total > 0]
    bad_sum, total_sum = sum(bad for bad, _ in filled), sum(total for _, total in filled)
    if len(filled) < 2 or bad_sum in (0, total_sum) or bad_sum / len(filled) < LEAST_EXPECTED:  # noqa: PLR2004 - a comparison needs two
        return False
    p = bad_sum / total_sum
    chi2 = sum((bad - n * p) ** 2 / (n * p * (1 - p)) for bad, n in filled) / phi
    return chi_square_tail(chi2, len(filled) - 1) < SIGNIFICANCE


def chi_square_tail(value: float, degrees: int) -> float:
    """P(χ² with `degrees` degrees of freedom ≥ value): 1 − P(degrees/2, value/2).

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
