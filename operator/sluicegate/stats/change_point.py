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

FACTORS: Final = (1, 2, 4)
"""Alternatives are these multiples of `maxDrop` above the level before."""
_NEAR_CERTAIN: Final = 20
"""An alternative must leave a twentieth of the good events."""
_LEAST: Final = 1e-9
_HALF: Final = 0.5


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


def alternatives(ratio: float, drop: float) -> tuple[float, ...]:
    """Return the rises above a baseline's bad ratio that the detector tests."""
    most_rise = 1 - (1 - ratio) / _NEAR_CERTAIN
    return tuple(factor * drop for factor in FACTORS if ratio + factor * drop < most_rise)


def strongest(
    baseline: Count,
    units: Sequence[tuple[int, int]],
    drops: Sequence[float],
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
    place, drop = _likeliest(baseline, units, drops)
    if place < 0:
        return ChangePoint(0.0, len(units), NOTHING)
    before, after = summed((baseline, *units[:place])), summed(units[place:])
    return ChangePoint(max(_ratio(before, after, drop) / phi, 0.0), place, after)


def _likeliest(
    baseline: Count, units: Sequence[tuple[int, int]], drops: Sequence[float]
) -> tuple[int, float]:
    """Return moment and size of the likeliest rise, by the normal approximation; moment −1 without one.

    It needs one pass and no logarithm: the difference D of two ratios has the variance v, and
    (D d − d²/2)/v is the evidence for a rise by d.
    """
    after_bad = after_total = 0
    all_bad = sum(bad for bad, _ in units)
    all_total = sum(total for _, total in units)
    best, likeliest = 0.0, (-1, 0.0)
    base_bad, base_total = baseline
    least = base_bad / max(base_total, 1) + min(drops) / 2
    for place in range(len(units) - 1, -1, -1):
        bad, total = units[place]
        after_bad += bad
        after_total += total
        if not after_total:
            continue
        before_bad = base_bad + all_bad - after_bad
        before_total = base_total + all_total - after_total
        if not before_total:
            continue
        ratio = after_bad / after_total
        rise = ratio - before_bad / before_total
        if rise <= 0 or ratio < least:
            continue
        pooled = (before_bad + after_bad) / (before_total + after_total)
        weight = before_total * after_total / (before_total + after_total)
        weight /= pooled * (1 - pooled) + _LEAST
        for drop in drops:
            score = (rise - drop / 2) * drop * weight
            if score > best:
                best, likeliest = score, (place, drop)
    return likeliest


def strongest_within(
    strata: Sequence[int],
    accepted: Count,
    units: Sequence[tuple[int, int]],
    drops: Sequence[float],
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
    place, drop = _likeliest_within(strata, accepted, units, drops)
    if place < 0:
        return ChangePoint(0.0, len(units), NOTHING)
    cells: dict[int, list[list[int]]] = {}
    for position, (stratum, (bad, total)) in enumerate(zip(strata, units, strict=True)):
        cell = cells.setdefault(stratum, [[0, 0], [0, 0]])[position >= place]
        cell[0] += bad
        cell[1] += total
    comparable = [(Count(*before), Count(*after)) for before, after in cells.values()]
    statistic = sum(
        _ratio(before, after, drop) for before, after in comparable if before[1] and after[1]
    )
    return ChangePoint(max(statistic / phi, 0.0), place, summed(units[place:]))


def _likeliest_within(
    strata: Sequence[int], accepted: Count, units: Sequence[tuple[int, int]], drops: Sequence[float]
) -> tuple[int, float]:
    """Return moment and size of the likeliest rise within strata; moment −1 without one.

    With D and v by stratum, the evidence for a rise by d is d ΣD/v − d²/2 Σ1/v. The level after a
    moment is that before it, over all strata, plus the mean rise within them.
    """
    cells = {stratum: [0, 0, 0, 0] for stratum in strata}
    for stratum, (bad, total) in zip(strata, units, strict=True):
        cells[stratum][0] += bad
        cells[stratum][1] += total
    before_bad = sum(cell[0] for cell in cells.values())
    before_total = sum(cell[1] for cell in cells.values())
    sums = [0.0, 0.0, 0.0, 0.0]
    level = accepted.bad / max(accepted.total, 1) + min(drops) / 2
    best, likeliest = 0.0, (-1, 0.0)
    for place in range(len(units) - 1, -1, -1):
        bad, total = units[place]
        if not total:
            continue
        cell = cells[strata[place]]
        _add(sums, cell, -1)
        cell[0], cell[1], cell[2], cell[3] = (
            cell[0] - bad, cell[1] - total, cell[2] + bad, cell[3] + total,
        )  # fmt: skip
        _add(sums, cell, 1)
        before_bad, before_total = before_bad - bad, before_total - total
        rise_sum, weight, risen_events, compared_events = sums
        if not before_total or not compared_events or risen_events <= 0:
            continue
        if before_bad / before_total + risen_events / compared_events < level:
            continue
        for drop in drops:
            score = drop * rise_sum - drop * drop / 2 * weight
            if score > best:
                best, likeliest = score, (place, drop)
    return likeliest


def _add(sums: list[float], cell: Sequence[int], sign: int) -> None:
    """Add a stratum's ΣD/v, Σ1/v, its rise in events and its events to the sums, or subtract them (sign −1)."""
    before_bad, before_total, after_bad, after_total = cell
    if not before_total or not after_total:
        return
    total = before_total + after_total
    pooled = (before_bad + after_bad + _HALF) / (total + 1)
    weight = before_total * after_total / total / (pooled * (1 - pooled))
    rise = after_bad / after_total - before_bad / before_total
    sums[0] += sign * rise * weight
    sums[1] += sign * weight
    sums[2] += sign * rise * after_total
    sums[3] += sign * after_total


def _ratio(before: Count, after: Count, drop: float) -> float:
    """Compute the log-likelihood ratio of "risen by the drop" to "the same", each at its best p."""
    total = before.total + after.total
    pooled = (before.bad + after.bad) / total
    p = (before.bad + after.bad - drop * after.total) / total
    p = min(max(p, _LEAST), 1 - drop - _LEAST)
    for _ in range(2):  # Newton's method; an early end can only make the ratio too small
        slope = _slope(before, p) + _slope(after, p + drop)
        curve = before.total / (p * (1 - p)) + after.total / ((p + drop) * (1 - p - drop))
        p = min(max(p + slope / curve, _LEAST), 1 - drop - _LEAST)
    risen_likelihood = _likelihood(before, p) + _likelihood(after, p + drop)
    return risen_likelihood - _likelihood(Count(before.bad + after.bad, total), pooled)


def _slope(count: Count, p: float) -> float:
    return (count.bad - count.total * p) / (p * (1 - p))


def _likelihood(count: Count, p: float) -> float:
    bad, good = count.bad, count.total - count.bad
    return (bad * log(p) if bad else 0.0) + (good * log(1 - p) if good else 0.0)


def least_drop(baseline: Count, after: float, bound: float, phi: float = 1.0) -> float:
    """Return the least rise that reaches the bound in about half of the cases.

    S of a rise by d is about d² n/(2 p (1 − p) φ), n = n₀ n₁/(n₀ + n₁).
    """
    p = (baseline.bad + _HALF) / (baseline.total + 1)
    if baseline.total <= 0 or after <= 0:
        return 1.0
    events = baseline.total * after / (baseline.total + after)
    return min(sqrt(2 * bound * phi * p * (1 - p) / events), 1.0)


def events_to_see(
    baseline: Count, drop: float, bound: float, phi: float = 1.0, *, surely: bool = False
) -> float | None:
    """Return the events after a rise by `drop` at which S reaches the bound; None if no number suffices.

    That is so in half of the cases; surely, in 95 of 100: S has a variance of twice its mean.
    """
    p = (baseline.bad + _HALF) / (baseline.total + 1)
    raised_ratio = min(p + drop / 2, _HALF) if p < _HALF else p
    mean = (Z95 + sqrt(Z95**2 + 2 * bound)) ** 2 / 2 if surely else bound
    needed = 2 * mean * phi * raised_ratio * (1 - raised_ratio) / drop**2
    if baseline.total <= needed:
        return None
    return needed * baseline.total / (baseline.total - needed)
