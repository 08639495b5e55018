"""Burn-rate rows over long windows, with the dispersion of the sums of blocks that these windows add.

A window of a day adds hours, and one of a week adds days. Blocks of five minutes don't show how hours
and days scatter, so a row that trips by the dispersion of blocks is read again with that of the sums.
"""

from dataclasses import replace
from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.policy.slo_health.baseline import scatter_of
from sluicegate.slo.blocks import SINGLE_BLOCKS, Series
from sluicegate.slo.burn_rate import Reading, Threshold, read_burn_rate
from sluicegate.stats import batch_means
from sluicegate.stats.batch_means import MAX_PHI_GROWTH, NO_SCATTER, Scatter
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS

DAY: Final = 24
"""Sums of twelve blocks that the shortest long window adds."""
KNOWN_HOURS: Final = 2 * DAY
"""Sums from which on a swing within a day is no part of what days scatter by."""
MIN_DAYS: Final = 3
"""Degrees of freedom of the days from which on they count."""


def read_threshold(
    threshold: Threshold,
    series: Series,
    baseline: Baseline | None,
    *,
    now: int,
    since: int,
) -> Reading | None:
    """Read a row of the window table at block `now`; None while its long window has too few events.

    Parameters
    ----------
    since : blocks up to this one don't count.
    """
    phi = 1.0 if baseline is None else baseline.phi
    reading = read_burn_rate(threshold, series, now=now, since_block=since, phi=phi)
    if reading is None or not reading.tripped or threshold.row.long <= SINGLE_BLOCKS:
        return reading
    scatter = _scatter(series, baseline, now=now, since=since)
    phi_surely = max(scatter.divisor(threshold.z**2 / 2), phi)
    surely_read = read_burn_rate(threshold, series, now=now, since_block=since, phi=phi_surely)
    return replace(reading, tripped=False) if surely_read is None else surely_read


def _scatter(series: Series, baseline: Baseline | None, *, now: int, since: int) -> Scatter:
    """Estimate the dispersion of the sums since a version began, about at most two levels."""
    complete = now // BLOCKS_PER_HOUR
    first = max(-(-since // BLOCKS_PER_HOUR), complete - HOURS + 1, 0)
    cache_key = ("windows", None if baseline is None else baseline.hour_phi)
    cached = series.derived.get(cache_key)
    if isinstance(cached, tuple) and cached[0] == (first, complete):
        kept_scatter: Scatter = cached[1]
        return kept_scatter
    units = list(zip(*series.hours(first, complete - 1), strict=True))
    level_residuals = batch_means.residuals_around_levels(units, batch_means.likeliest_shift(units))
    if len(units) < KNOWN_HOURS:
        prior = NO_SCATTER if baseline is None else scatter_of(baseline)
        scatter = batch_means.scatter(level_residuals, prior)
    else:
        hourly_scatter = batch_means.successive_scatter(units)
        prior = Scatter(hourly_scatter.phi, MAX_PHI_GROWTH)
        days = batch_means.scatter(level_residuals, prior, batch_sizes=(DAY,), min_batches=MIN_DAYS)
        scatter = Scatter(days.phi, hourly_scatter.degrees_of_freedom)
    series.derived[cache_key] = ((first, complete), scatter)
    return scatter
