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

BATCH_SIZES: Final = (1, 2, 4, 8, 24)
"""Units of a batch."""
MAX_PHI_GROWTH: Final = 8.0
"""Degrees of freedom that the next finer scale is worth."""
MIN_BATCHES: Final = 12
"""Degrees of freedom that a coarser scale needs: with fewer, each young version would seem to scatter."""
MIN_DEGREES: Final = 8.0
"""Degrees of freedom that "events are independent" is worth while nothing else is known."""
_DEGREES_PER_DIFFERENCE: Final = 2 / 3
"""Degrees of freedom of a difference of neighbours, of which two share a unit."""


class Scatter(NamedTuple):
    """A dispersion, as a multiple of that of independent events, with its degrees of freedom.

    Attributes
    ----------
    phi : variance of a sum, in that of independent events. degrees : of freedom.
    """

    phi: float
    degrees_of_freedom: float

    def divisor(self, evidence_bound: float, min_degrees: float = 0.0) -> float:
        """Return the number by which evidence is divided before it is compared with a bound.

        Evidence z²/2 with a variance that is estimated has the distribution of t²: it shows as much as
        (ν + 1)/2 ln(1 + z²/ν) with a known one. The divisor is φ times the ratio of both at the bound.

        Parameters
        ----------
        bound : of the log-likelihood ratio, above 0. least : degrees of freedom that are assumed at least.
        """
        degrees_of_freedom = max(self.degrees_of_freedom, min_degrees)
        return (
            self.phi
            * degrees_of_freedom
            * expm1(2 * evidence_bound / (degrees_of_freedom + 1))
            / (2 * evidence_bound)
        )


NO_SCATTER: Final = Scatter(1.0, MIN_DEGREES)
Residual = tuple[float, float]
"""Bad events of a unit beyond its level, and their variance if independent; 0 for an empty unit."""


def residuals(units: Iterable[tuple[int, int]], expected_ratio: float) -> list[Residual]:
    """Compute the residual of each unit (bad, total) from one expected bad ratio, with its variance."""
    variance = expected_ratio * (1 - expected_ratio)
    return [(bad_events - total * expected_ratio, total * variance) for bad_events, total in units]


def residuals_around_levels(
    units: Sequence[tuple[int, int]], shift_position: int
) -> list[Residual]:
    """Compute the residuals about the level before a place, and about that from there on."""
    return [
        residual
        for segment in (units[:shift_position], units[shift_position:])
        for residual in residuals(segment, _bad_ratio(segment))
    ]


def _bad_ratio(units: Sequence[tuple[int, int]]) -> float:
    total = sum(total for _, total in units)
    return sum(bad_events for bad_events, _ in units) / total if total else 0.0


def scatter(
    later_residuals: Sequence[Residual],
    prior: Scatter = NO_SCATTER,
    *,
    strata_count: int = 1,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    min_batches: int = MIN_BATCHES,
) -> Scatter:
    """Return the largest dispersion over the scales, and all degrees of freedom.

    Parameters
    ----------
    later_residuals : of consecutive units, oldest first. prior : what is known beforehand.
    strata : of which each had a level of its own, with one rise.
    scales : units of a batch, the finest first. least : degrees of freedom that a coarser one needs.
    """
    filled_units = sum([variance > 0 for _, variance in later_residuals])
    degrees_of_freedom = filled_units - strata_count - 1
    if degrees_of_freedom <= 0:
        return prior
    phi, weight = prior
    largest_phi = phi
    degrees_factor = filled_units / (
        filled_units - strata_count + 1
    )  # levels of strata take their part of the residuals
    cumulative_residuals = [(0.0, 0.0), *accumulate(later_residuals, _add_residuals)]
    for scale in batch_sizes:
        edges = cumulative_residuals[
            len(later_residuals) % scale :: scale
        ]  # the oldest units are no whole batch
        batches = [
            (later_deviation - earlier_deviation, later_variance - earlier_variance)
            for (earlier_deviation, earlier_variance), (
                later_deviation,
                later_variance,
            ) in pairwise(edges)
        ]
        squared_differences = _squared_differences(batches)
        degrees_of_freedom_found = (
            _DEGREES_PER_DIFFERENCE * len(squared_differences) / degrees_factor
        )
        if not squared_differences or (scale > 1 and degrees_of_freedom_found < min_batches):
            break
        estimate = sum(squared_differences) / len(squared_differences) * degrees_factor
        phi = (weight * phi + degrees_of_freedom_found * estimate) / (
            weight + degrees_of_freedom_found
        )
        weight = MAX_PHI_GROWTH
        largest_phi = max(largest_phi, phi)
    return Scatter(max(largest_phi, 1.0), prior.degrees_of_freedom + degrees_of_freedom)


def _add_residuals(first_residual: Residual, second_residual: Residual) -> Residual:
    return first_residual[0] + second_residual[0], first_residual[1] + second_residual[1]


def _squared_differences(batches: Sequence[Residual]) -> list[float]:
    """Compute the squared differences of neighbouring ratios, each in its variance."""
    with_variance = [(deviation, variance) for deviation, variance in batches if variance > 0]
    return [
        (earlier_deviation / earlier_variance - later_deviation / later_variance) ** 2
        * earlier_variance
        * later_variance
        / (earlier_variance + later_variance)
        for (earlier_deviation, earlier_variance), (later_deviation, later_variance) in pairwise(
            with_variance
        )
    ]


def successive_scatter(units: Sequence[tuple[int, int]]) -> Scatter:
    """Estimate the dispersion of single units, in which a slow swing and a change cancel."""
    unit_residuals = residuals(units, _bad_ratio(units))
    squared_differences = _squared_differences(unit_residuals)
    if not squared_differences:
        return NO_SCATTER
    degrees_of_freedom = _DEGREES_PER_DIFFERENCE * len(squared_differences)
    phi = (
        MIN_DEGREES + degrees_of_freedom * sum(squared_differences) / len(squared_differences)
    ) / (MIN_DEGREES + degrees_of_freedom)
    return Scatter(max(phi, 1.0), MIN_DEGREES + degrees_of_freedom)


def likeliest_shift(units: Sequence[tuple[int, int]]) -> int:
    """Return the index at which two bad ratios explain the units best; the number of units if one ratio does."""
    all_bad, all_total = (
        sum(bad_events for bad_events, _ in units),
        sum(total for _, total in units),
    )
    largest_explained, shift_position = 0.0, len(units)
    bad_events = total = 0
    for position, count in enumerate(units[:-1], start=1):
        bad_events, total = bad_events + count[0], total + count[1]
        rest_total = all_total - total
        if not total or not rest_total:
            continue
        ratio_rise = (all_bad - bad_events) / rest_total - bad_events / total
        between_variance = ratio_rise * ratio_rise * total * rest_total / all_total
        if between_variance > largest_explained:
            largest_explained, shift_position = between_variance, position
    return shift_position


def residuals_around_hours(
    strata: Sequence[int], units: Sequence[tuple[int, int]], shift_position: int
) -> tuple[list[Residual], int]:
    """Compute residuals around a bad ratio of each hour of day, raised by one amount from a unit on; count the hours.

    The rise is that of the strata that have events on both sides, weighted by the events after it.
    """
    cells: dict[int, list[int]] = {}
    for position, (stratum, (bad_events, total)) in enumerate(zip(strata, units, strict=True)):
        hour_counts, after_offset = (
            cells.setdefault(stratum, [0, 0, 0, 0]),
            2 * (position >= shift_position),
        )
        hour_counts[after_offset] += bad_events
        hour_counts[after_offset + 1] += total
    comparable_hours = [
        hour_counts for hour_counts in cells.values() if hour_counts[1] and hour_counts[3]
    ]
    compared_total = sum(hour_counts[3] for hour_counts in comparable_hours)
    risen_total = sum(
        hour_counts[2] - hour_counts[3] * hour_counts[0] / hour_counts[1]
        for hour_counts in comparable_hours
    )
    ratio_rise = risen_total / compared_total if compared_total else 0.0
    ratio_by_stratum = {
        stratum: (bad_events + bad_after_shift - ratio_rise * after_offset) / (total + after_offset)
        for stratum, (bad_events, total, bad_after_shift, after_offset) in cells.items()
        if total + after_offset
    }
    hour_residuals = []
    for position, (stratum, (bad_events, total)) in enumerate(zip(strata, units, strict=True)):
        expected_ratio = ratio_by_stratum.get(stratum, 0.0) + ratio_rise * (
            position >= shift_position
        )
        expected_ratio = min(max(expected_ratio, 0.0), 1.0)
        hour_residuals.append(
            (bad_events - total * expected_ratio, total * expected_ratio * (1 - expected_ratio))
        )
    return hour_residuals, len(ratio_by_stratum)
