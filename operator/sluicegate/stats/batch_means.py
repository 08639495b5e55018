"""Dispersion of sums of events on the scale on which a test adds them: batch means.

The blocks of an hour may agree with each other while hours differ: if a ratio moves by two points from
hour to hour, blocks of fifty events have a dispersion of 1.2, and sums of an hour one of 3.7. A test
that adds hours has the dispersion of hours, and one that adds days that of days. So units are added
in batches of 1, 2, 4, 8 and 24, and the largest dispersion counts.

Each scale is estimated from the differences of neighbouring batches of residuals about the levels
before and after a suspected change. Neither the change nor a slow decay is part of it: both are what
a test has to find.

An estimate from few batches is uncertain. So it is drawn towards that of the next finer scale, and
the finest one towards what is known beforehand, and evidence divided by it is that of Student's t.

Sources: J. von Neumann, Ann. Math. Statist. 12 (1941) 367–395, for differences of neighbours; C.
Alexopoulos and A. F. Seila, "Output data analysis", Handbook of Simulation (1998), §7.3, for batch
means.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import expm1
from typing import Final, NamedTuple

SCALES: Final = (1, 2, 4, 8, 24)
"""Units of a batch."""
COARSER: Final = 8.0
"""Degrees of freedom that the next finer scale is worth."""
LEAST_BATCHES: Final = 12
"""Degrees of freedom that a coarser scale needs: with fewer, each young version would seem to scatter."""
LEAST_DEGREES: Final = 8.0
"""Degrees of freedom that "events are independent" is worth while nothing else is known."""
_SHARED: Final = 2 / 3
"""Degrees of freedom of a difference of neighbours, of which two share a unit."""


class Scatter(NamedTuple):
    """A dispersion and its certainty.

    Attributes
    ----------
    phi : variance of a sum, in that of independent events. degrees : of freedom.
    """

    phi: float
    degrees: float

    def divisor(self, bound: float, least: float = 0.0) -> float:
        """Return what evidence is divided by before it is compared with a bound.

        Evidence z²/2 with a variance that is estimated has the distribution of t²: it shows as much as
        (ν + 1)/2 ln(1 + z²/ν) with a known one. The divisor is φ times the ratio of both at the bound.

        Parameters
        ----------
        bound : of the log-likelihood ratio, above 0. least : degrees of freedom that are assumed at least.
        """
        degrees_of_freedom = max(self.degrees, least)
        return (
            self.phi
            * degrees_of_freedom
            * expm1(2 * bound / (degrees_of_freedom + 1))
            / (2 * bound)
        )


INDEPENDENT: Final = Scatter(1.0, LEAST_DEGREES)
Residual = tuple[float, float]
"""Bad events of a unit beyond its level, and their variance if independent; 0 for an empty unit."""


def residuals(units: Iterable[tuple[int, int]], level: float) -> list[Residual]:
    """Compute the residuals of units (bad, total) about one level."""
    variance = level * (1 - level)
    return [(bad - total * level, total * variance) for bad, total in units]


def about_levels(units: Sequence[tuple[int, int]], place: int) -> list[Residual]:
    """Compute the residuals about the level before a place, and about that from there on."""
    return [
        residual
        for part in (units[:place], units[place:])
        for residual in residuals(part, _level(part))
    ]


def _level(units: Sequence[tuple[int, int]]) -> float:
    total = sum(total for _, total in units)
    return sum(bad for bad, _ in units) / total if total else 0.0


def scatter(
    later_residuals: Sequence[Residual],
    prior: Scatter = INDEPENDENT,
    *,
    strata: int = 1,
    scales: Sequence[int] = SCALES,
    least: int = LEAST_BATCHES,
) -> Scatter:
    """Return the largest dispersion over the scales, and all degrees of freedom.

    Parameters
    ----------
    later_residuals : of consecutive units, oldest first. prior : what is known beforehand.
    strata : of which each had a level of its own, with one rise.
    scales : units of a batch, the finest first. least : degrees of freedom that a coarser one needs.
    """
    filled_units = sum([variance > 0 for _, variance in later_residuals])
    degrees_of_freedom = filled_units - strata - 1
    if degrees_of_freedom <= 0:
        return prior
    phi, weight = prior
    largest = phi
    degrees_factor = filled_units / (
        filled_units - strata + 1
    )  # levels of strata take their part of the residuals
    sums = [(0.0, 0.0), *accumulate(later_residuals, _plus)]
    for scale in scales:
        edges = sums[len(later_residuals) % scale :: scale]  # the oldest units are no whole batch
        batches = [(r1 - r0, v1 - v0) for (r0, v0), (r1, v1) in pairwise(edges)]
        squares = _differences(batches)
        degrees = _SHARED * len(squares) / degrees_factor
        if not squares or (scale > 1 and degrees < least):
            break
        estimate = sum(squares) / len(squares) * degrees_factor
        phi = (weight * phi + degrees * estimate) / (weight + degrees)
        weight = COARSER
        largest = max(largest, phi)
    return Scatter(max(largest, 1.0), prior.degrees + degrees_of_freedom)


def _plus(left: Residual, right: Residual) -> Residual:
    return left[0] + right[0], left[1] + right[1]


def _differences(batches: Sequence[Residual]) -> list[float]:
    """Compute the squared differences of neighbouring ratios, each in its variance."""
    with_variance = [(deviation, variance) for deviation, variance in batches if variance > 0]
    return [
        (r0 / v0 - r1 / v1) ** 2 * v0 * v1 / (v0 + v1)
        for (r0, v0), (r1, v1) in pairwise(with_variance)
    ]


def from_unit_to_unit(units: Sequence[tuple[int, int]]) -> Scatter:
    """Estimate the dispersion of single units, in which a slow swing and a change cancel."""
    unit_residuals = residuals(units, _level(units))
    squares = _differences(unit_residuals)
    if not squares:
        return INDEPENDENT
    degrees = _SHARED * len(squares)
    phi = (LEAST_DEGREES + degrees * sum(squares) / len(squares)) / (LEAST_DEGREES + degrees)
    return Scatter(max(phi, 1.0), LEAST_DEGREES + degrees)


def likeliest_shift(units: Sequence[tuple[int, int]]) -> int:
    """Return the place at which two levels explain the units best; their number if one level does."""
    all_bad, all_total = sum(bad for bad, _ in units), sum(total for _, total in units)
    best, place = 0.0, len(units)
    bad = total = 0
    for position, count in enumerate(units[:-1], start=1):
        bad, total = bad + count[0], total + count[1]
        rest_total = all_total - total
        if not total or not rest_total:
            continue
        rise = (all_bad - bad) / rest_total - bad / total
        between = rise * rise * total * rest_total / all_total
        if between > best:
            best, place = between, position
    return place


def about_hours(
    strata: Sequence[int], units: Sequence[tuple[int, int]], place: int
) -> tuple[list[Residual], int]:
    """Compute the residuals about a level of each stratum and one rise from a place on; count the strata.

    The rise is that of the strata that have events on both sides, weighted by the events after it.
    """
    cells: dict[int, list[int]] = {}
    for position, (stratum, (bad, total)) in enumerate(zip(strata, units, strict=True)):
        cell, after = cells.setdefault(stratum, [0, 0, 0, 0]), 2 * (position >= place)
        cell[after] += bad
        cell[after + 1] += total
    comparable = [cell for cell in cells.values() if cell[1] and cell[3]]
    compared_total = sum(cell[3] for cell in comparable)
    risen_total = sum(cell[2] - cell[3] * cell[0] / cell[1] for cell in comparable)
    rise = risen_total / compared_total if compared_total else 0.0
    levels = {
        stratum: (bad + after_bad - rise * after) / (total + after)
        for stratum, (bad, total, after_bad, after) in cells.items()
        if total + after
    }
    hour_residuals = []
    for position, (stratum, (bad, total)) in enumerate(zip(strata, units, strict=True)):
        level = levels.get(stratum, 0.0) + rise * (position >= place)
        level = min(max(level, 0.0), 1.0)
        hour_residuals.append((bad - total * level, total * level * (1 - level)))
    return hour_residuals, len(levels)
