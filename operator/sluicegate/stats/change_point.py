"""Change point of a share of bad events: both the level before and the level after are estimated.

The events before each possible moment, a baseline's own counts included, are compared with those
after it. A baseline of a thousand rows is then a sample of a thousand rows: its uncertainty is part
of the statistic, and doesn't reduce the drop that is detected.

S = max over moments k and alternatives d of
    max_p [l(before; p) + l(after; p + d)] − max_p [l(before; p) + l(after; p)],
a generalised likelihood ratio, where the unknown p costs both sides the same. So S grows as that
of a CUSUM with a known p does, and has its bound: ln(K·A) for a mean time of A between false
alarms (simulated in tests/simulation/test_degradation.py).

Sources: D. Siegmund and E. S. Venkatraman, Annals of Statistics 23 (1995) 255–271; T. L. Lai and H.
Xing, Sequential Analysis 29 (2010) 162–175, for the unknown baseline.
"""

from collections.abc import Sequence
from math import log, sqrt
from typing import Final, NamedTuple

from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.intervals import Z95

DROP_FACTORS: Final = (1, 2, 4)
"""Alternatives are these multiples of `maxDrop` above the level before."""
_NEAR_CERTAIN: Final = 20
"""An alternative must leave a twentieth of the good events."""
_MIN_DROP: Final = 1e-9
_CONTINUITY: Final = 0.5


class ChangePoint(NamedTuple):
    """The most likely moment of a change for the worse.

    Attributes
    ----------
    statistic : S; 0 without evidence of a change.
    start : number of units before it.
    after : events since then.
    """

    statistic: float
    start: int
    after: Count


def alternative_drops(ratio: float, ratio_drop: float) -> tuple[float, ...]:
    """Return the rises above a baseline's bad ratio that the detector tests."""
    max_rise = 1 - (1 - ratio) / _NEAR_CERTAIN
    return tuple(
        factor * ratio_drop for factor in DROP_FACTORS if ratio + factor * ratio_drop < max_rise
    )


def strongest_change(
    baseline: Count,
    units: Sequence[tuple[int, int]],
    ratio_drops: Sequence[float],
    *,
    phi: float = 1.0,
) -> ChangePoint:
    """Find the most likely change for the worse.

    The level after it must also be worse than the baseline, by half of the least alternative: a
    version that did better than accepted for a while may return to the accepted level.

    Parameters
    ----------
    baseline : events that came before all units. units : (bad, total), oldest first.
    drops : the alternatives. phi : dispersion, by which all counts are divided.
    """
    position, ratio_drop = _likeliest_change(baseline, units, ratio_drops)
    if position < 0:
        return ChangePoint(0.0, len(units), NOTHING)
    counts_before, counts_after = summed((baseline, *units[:position])), summed(units[position:])
    return ChangePoint(
        max(_log_likelihood_ratio(counts_before, counts_after, ratio_drop) / phi, 0.0),
        position,
        counts_after,
    )


def _likeliest_change(
    baseline: Count, units: Sequence[tuple[int, int]], ratio_drops: Sequence[float]
) -> tuple[int, float]:
    """Return index and size of the likeliest rise of the bad ratio, by the normal approximation; index −1 if it never rises.

    It needs one pass and no logarithm: the difference D of two ratios has the variance v, and
    (D d − d²/2)/v is the evidence for a rise by d.
    """
    after_bad = after_total = 0
    all_bad = sum(bad_events for bad_events, _ in units)
    all_total = sum(total for _, total in units)
    best_statistic, likeliest_change = 0.0, (-1, 0.0)
    baseline_bad, base_total = baseline
    min_ratio_after = baseline_bad / max(base_total, 1) + min(ratio_drops) / 2
    for position in range(len(units) - 1, -1, -1):
        bad_events, total = units[position]
        after_bad += bad_events
        after_total += total
        if not after_total:
            continue
        before_bad = baseline_bad + all_bad - after_bad
        before_total = base_total + all_total - after_total
        if not before_total:
            continue
        ratio = after_bad / after_total
        ratio_rise = ratio - before_bad / before_total
        if ratio_rise <= 0 or ratio < min_ratio_after:
            continue
        pooled_ratio = (before_bad + after_bad) / (before_total + after_total)
        weight = before_total * after_total / (before_total + after_total)
        weight /= pooled_ratio * (1 - pooled_ratio) + _MIN_DROP
        for ratio_drop in ratio_drops:
            score = (ratio_rise - ratio_drop / 2) * ratio_drop * weight
            if score > best_statistic:
                best_statistic, likeliest_change = score, (position, ratio_drop)
    return likeliest_change


def strongest_change_within_strata(
    strata: Sequence[int],
    baseline_count: Count,
    units: Sequence[tuple[int, int]],
    ratio_drops: Sequence[float],
    *,
    phi: float = 1.0,
) -> ChangePoint:
    """Find the most likely change for the worse, comparing events only within their own stratum.

    The hours of the day are strata: whatever p each of them has, S is the sum of theirs, with one d
    and one moment for all. A daily pattern is then no change, and a change is detected as soon as
    its hours occurred before.

    Parameters
    ----------
    strata : of each unit. accepted : events of no known stratum, which only define "worse": the
        level after the change must exceed their ratio by half of the least alternative.
    """
    place, ratio_drop = _likeliest_change_within_strata(strata, baseline_count, units, ratio_drops)
    if place < 0:
        return ChangePoint(0.0, len(units), NOTHING)
    cells: dict[int, list[list[int]]] = {}
    for position, (stratum, (bad_events, total)) in enumerate(zip(strata, units, strict=True)):
        stratum_counts = cells.setdefault(stratum, [[0, 0], [0, 0]])[position >= place]
        stratum_counts[0] += bad_events
        stratum_counts[1] += total
    comparable_counts = [
        (Count(*counts_before), Count(*counts_after))
        for counts_before, counts_after in cells.values()
    ]
    statistic = sum(
        _log_likelihood_ratio(counts_before, counts_after, ratio_drop)
        for counts_before, counts_after in comparable_counts
        if counts_before[1] and counts_after[1]
    )
    return ChangePoint(max(statistic / phi, 0.0), place, summed(units[place:]))


def _likeliest_change_within_strata(
    strata: Sequence[int],
    baseline_count: Count,
    units: Sequence[tuple[int, int]],
    ratio_drops: Sequence[float],
) -> tuple[int, float]:
    """Return index and size of the likeliest rise of the bad ratio within strata; index −1 if it never rises.

    With D and v by stratum, the evidence for a rise by d is d ΣD/v − d²/2 Σ1/v. The level after a
    moment is that before it, over all strata, plus the mean rise within them.
    """
    cells = {stratum: [0, 0, 0, 0] for stratum in strata}
    for stratum, (bad_events, total) in zip(strata, units, strict=True):
        cells[stratum][0] += bad_events
        cells[stratum][1] += total
    before_bad = sum(stratum_counts[0] for stratum_counts in cells.values())
    before_total = sum(stratum_counts[1] for stratum_counts in cells.values())
    test_sums = [0.0, 0.0, 0.0, 0.0]
    min_ratio_after = baseline_count.bad / max(baseline_count.total, 1) + min(ratio_drops) / 2
    best_statistic, likeliest_change = 0.0, (-1, 0.0)
    for position in range(len(units) - 1, -1, -1):
        bad_events, total = units[position]
        if not total:
            continue
        stratum_counts = cells[strata[position]]
        _add_stratum(test_sums, stratum_counts, -1)
        stratum_counts[0], stratum_counts[1], stratum_counts[2], stratum_counts[3] = (
            stratum_counts[0] - bad_events, stratum_counts[1] - total, stratum_counts[2] + bad_events, stratum_counts[3] + total,
        )  # fmt: skip
        _add_stratum(test_sums, stratum_counts, 1)
        before_bad, before_total = before_bad - bad_events, before_total - total
        rise_sum, weight, risen_events, compared_events = test_sums
        if not before_total or not compared_events or risen_events <= 0:
            continue
        if before_bad / before_total + risen_events / compared_events < min_ratio_after:
            continue
        for ratio_drop in ratio_drops:
            score = ratio_drop * rise_sum - ratio_drop * ratio_drop / 2 * weight
            if score > best_statistic:
                best_statistic, likeliest_change = score, (position, ratio_drop)
    return likeliest_change


def _add_stratum(test_sums: list[float], stratum_counts: Sequence[int], weight_sign: int) -> None:
    """Add the four test sums of one stratum (ΣD/v, Σ1/v, Σ rise·events, Σ events), or subtract them (sign −1)."""
    before_bad, before_total, after_bad, after_total = stratum_counts
    if not before_total or not after_total:
        return
    total = before_total + after_total
    pooled_ratio = (before_bad + after_bad + _CONTINUITY) / (total + 1)
    weight = before_total * after_total / total / (pooled_ratio * (1 - pooled_ratio))
    ratio_rise = after_bad / after_total - before_bad / before_total
    test_sums[0] += weight_sign * ratio_rise * weight
    test_sums[1] += weight_sign * weight
    test_sums[2] += weight_sign * ratio_rise * after_total
    test_sums[3] += weight_sign * after_total


def _log_likelihood_ratio(counts_before: Count, counts_after: Count, ratio_drop: float) -> float:
    """Compute the log-likelihood ratio of a rise by the drop to no change, each at its most likely ratio."""
    total = counts_before.total + counts_after.total
    pooled_ratio = (counts_before.bad + counts_after.bad) / total
    estimated_ratio = (
        counts_before.bad + counts_after.bad - ratio_drop * counts_after.total
    ) / total
    estimated_ratio = min(max(estimated_ratio, _MIN_DROP), 1 - ratio_drop - _MIN_DROP)
    for _ in range(2):  # Newton's method; an early end can only make the ratio too small
        slope = _log_likelihood_slope(counts_before, estimated_ratio) + _log_likelihood_slope(
            counts_after, estimated_ratio + ratio_drop
        )
        curvature = counts_before.total / (
            estimated_ratio * (1 - estimated_ratio)
        ) + counts_after.total / (
            (estimated_ratio + ratio_drop) * (1 - estimated_ratio - ratio_drop)
        )
        estimated_ratio = min(
            max(estimated_ratio + slope / curvature, _MIN_DROP), 1 - ratio_drop - _MIN_DROP
        )
    risen_likelihood = _log_likelihood(counts_before, estimated_ratio) + _log_likelihood(
        counts_after, estimated_ratio + ratio_drop
    )
    return risen_likelihood - _log_likelihood(
        Count(counts_before.bad + counts_after.bad, total), pooled_ratio
    )


def _log_likelihood_slope(count: Count, estimated_ratio: float) -> float:
    return (count.bad - count.total * estimated_ratio) / (estimated_ratio * (1 - estimated_ratio))


def _log_likelihood(count: Count, estimated_ratio: float) -> float:
    bad_events, good_events = count.bad, count.total - count.bad
    return (bad_events * log(estimated_ratio) if bad_events else 0.0) + (
        good_events * log(1 - estimated_ratio) if good_events else 0.0
    )


def min_drop(
    baseline: Count, observed_events: float, evidence_bound: float, phi: float = 1.0
) -> float:
    """Return the least rise that reaches the bound in about half of the cases.

    S of a rise by d is about d² n/(2 p (1 − p) φ), n = n₀ n₁/(n₀ + n₁).
    """
    estimated_ratio = (baseline.bad + _CONTINUITY) / (baseline.total + 1)
    if baseline.total <= 0 or observed_events <= 0:
        return 1.0
    events = baseline.total * observed_events / (baseline.total + observed_events)
    return min(
        sqrt(2 * evidence_bound * phi * estimated_ratio * (1 - estimated_ratio) / events), 1.0
    )


def events_to_detect(
    baseline: Count,
    ratio_drop: float,
    evidence_bound: float,
    phi: float = 1.0,
    *,
    with_high_probability: bool = False,
) -> float | None:
    """Return the events after a rise by `drop` at which S reaches the bound; None if no number suffices.

    That is so in half of the cases; surely, in 95 of 100: S has a variance of twice its mean.
    """
    estimated_ratio = (baseline.bad + _CONTINUITY) / (baseline.total + 1)
    raised_ratio = (
        min(estimated_ratio + ratio_drop / 2, _CONTINUITY)
        if estimated_ratio < _CONTINUITY
        else estimated_ratio
    )
    mean_evidence = (
        (Z95 + sqrt(Z95**2 + 2 * evidence_bound)) ** 2 / 2
        if with_high_probability
        else evidence_bound
    )
    needed_events = 2 * mean_evidence * phi * raised_ratio * (1 - raised_ratio) / ratio_drop**2
    if baseline.total <= needed_events:
        return None
    return needed_events * baseline.total / (baseline.total - needed_events)
