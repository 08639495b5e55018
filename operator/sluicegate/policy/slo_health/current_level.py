"""What an SLO does at present: still bad, as accepted again, or too little to say.

Windows of days and the CUSUM forget slowly, so they go on saying "bad" long after an incident, and
say nothing new when a single label comes after hours of silence. What is done about a verdict
therefore needs the newest events to bear it out. How far back "newest" reaches is a matter of
events, not of time: from the newest block back until there are enough, so that a product with two
labels an hour is judged as one with a thousand. It doesn't reach across a silence, a fall of the
traffic or a change for the better, as most of what it held would be of another time.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.policy.model.excluded_blocks import BlockSpan, back
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import ratio_of, upper_bound
from sluicegate.slo.blocks import Series
from sluicegate.slo.burn_rate import LEAST_BAD
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import Z95, least_total, newcombe, quantile, wilson_lower
from sluicegate.views.numbers import percent

LEAST_BLOCKS: Final = 3
"""As many as confirm a verdict: one block alone is too easily a good or a bad one by chance."""
LEAST_SHARE: Final = 1 / 3
"""Of a window's events that its newer half must hold. At a steady pace it is a half, and for two
dozen events less than a third in three cases of a hundred."""
LEAST_GOOD: Final = 0.01
"""A ratio of good events below which they aren't waited for."""
Z_STILL_BAD: Final = quantile(0.99)
"""Confidence of "still bad": that of the fast burn rates which call an SLO Missed."""


@dataclass(frozen=True, slots=True)
class Present:
    """What the newest events say.

    Attributes
    ----------
    bad : whether they are worse than accepted; None without a verdict.
    message : numbers behind the verdict.
    """

    bad: bool | None
    message: str


def present_of(
    terms: SloTerms,
    series: Series,
    baseline: Baseline | None,
    *,
    now: int,
    since: int,
    spans: tuple[BlockSpan, ...] = (),
) -> Present:
    """What the newest events up to block `now` say.

    It reaches beyond what is left out only if what came after it is bad by itself, too.

    Parameters
    ----------
    series : blocks of the stable version. baseline : what it was accepted with.
    since : blocks up to this one are of another time. spans : what was left out of the series.
    """
    limit = accepted_limit(terms, baseline)
    if limit is None:
        return Present(bad=None, message="there is no accepted ratio to compare with")
    phi = 1.0 if baseline is None else baseline.phi
    needed = phi * _needed(terms, baseline, limit)
    newest, seen = NOTHING, NOTHING
    after = max(since, spans[-1].last if spans else 0)
    alone = series.between(min(after, now), now)
    if _bears_out(alone, limit):
        after = since
    for length in _lengths(terms, now - since):
        seen = series.between(max(back(now, length, spans), after), now)
        newer = series.between(max(back(now, (length + 1) // 2, spans), after), now)
        if newer.total < LEAST_SHARE * seen.total:
            break
        if _compared(newer, limit, phi) is not True and _has_ended(seen, newer, phi):
            newest = newer
            break
        newest = seen
        bad = None if seen.total < needed else _compared(seen, limit, phi)
        if bad is not None:
            return Present(bad, _compares(seen, limit))
    if newest.total < needed:
        text = f"{newest.total:,} events at present, {ceil(needed):,} are needed for a verdict"
        return Present(bad=None, message=text)
    return Present(bad=None, message=f"{_compares(newest, limit)}: too close for a verdict")


def _needed(terms: SloTerms, baseline: Baseline | None, limit: float) -> float:
    """Events that carry information: if most are bad by nature, these are the good ones."""
    ratio = None if baseline is None else ratio_of(baseline.count)
    return max(terms.least_events(ratio), least_total(max(1 - limit, LEAST_GOOD)), 1)


def accepted_limit(terms: SloTerms, baseline: Baseline | None) -> float | None:
    """The bad ratio that is accepted at most; None where nothing says it."""
    limits = [] if terms.allowed_bad is None else [terms.allowed_bad]
    if baseline is not None:
        limits.append(upper_bound(baseline.count, baseline.phi))
    return min(limits, default=None)


def _lengths(terms: SloTerms, most: int) -> list[int]:
    """Windows in blocks, each twice the one before, up to what is kept or counts."""
    lengths = [max(LEAST_BLOCKS, 2 * terms.lag_blocks)]
    while lengths[-1] < min(most, HOURS * BLOCKS_PER_HOUR):
        lengths.append(2 * lengths[-1])
    return lengths


def _bears_out(seen: Count, limit: float) -> bool:
    """Whether the events since a disturbance are such as those before it may explain."""
    return seen.bad >= LEAST_BAD and seen.bad > limit * seen.total


def _compared(seen: Count, limit: float, phi: float) -> bool | None:
    if seen.bad <= limit * seen.total:
        return False
    surely = wilson_lower(seen.bad / phi, seen.total / phi, Z_STILL_BAD) > limit
    return True if surely and seen.bad >= LEAST_BAD else None


def _has_ended(seen: Count, newer: Count, phi: float) -> bool:
    """Whether what a window holds beyond its newer half was surely worse: it is of another time."""
    older = Count(seen.bad - newer.bad, seen.total - newer.total)
    if not older.total or not newer.total:
        return False
    then, now = ((one.bad / phi, one.total / phi) for one in (older, newer))
    return newcombe(then, now, Z95).lower > 0


def _compares(seen: Count, limit: float) -> str:
    bad = percent(seen.bad / seen.total)
    return f"{bad} of {seen.total:,} are bad at present, up to {percent(limit)} is as accepted"
