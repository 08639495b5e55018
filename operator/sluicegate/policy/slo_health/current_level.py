"""The present level of an SLO: still bad, as accepted again, or unknown for lack of events.

Windows of days and the CUSUM forget slowly, so they go on saying "bad" long after an incident, and
say nothing new when a single label comes after hours of silence. What is done about a verdict
therefore needs the newest events to bear it out. How far back "newest" reaches is a matter of
events, not of time: from the newest block back until there are enough, so that a product with two
labels an hour is judged as one with a thousand. It doesn't reach across a silence, a fall of the
traffic or a change for the better, as most of what it held would be of another time.

A verdict stays until events contradict it. A product that is worse by a little, and varies from
hour to hour, would otherwise change its cause with every few blocks: a good block isn't a recovery,
nor are events that are too close for a verdict.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.policy.model.excluded_blocks import BlockSpan, block_before
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import ratio_of, upper_bound
from sluicegate.slo.blocks import Series
from sluicegate.slo.burn_rate import MIN_BAD_EVENTS
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import (
    Z95,
    min_total,
    newcombe_difference,
    quantile,
    wilson_lower,
    wilson_upper,
)
from sluicegate.views.numbers import percent

MIN_BLOCKS: Final = 3
"""As many as confirm a verdict: one block alone is too easily a good or a bad one by chance."""
MIN_SHARE: Final = 1 / 3
"""Of a window's events that its newer half must hold. At a steady pace it is a half, and for two
dozen events less than a third in three cases of a hundred."""
MIN_GOOD: Final = 0.01
"""A ratio of good events below which they aren't waited for."""
Z_STILL_BAD: Final = quantile(0.99)
"""Confidence of "still bad": that of the fast burn rates which call an SLO Missed."""


@dataclass(frozen=True, slots=True)
class PresentLevel:
    """The level of the newest events.

    Attributes
    ----------
    bad : whether they are worse than accepted; None without a verdict.
    message : numbers behind the verdict.
    """

    bad: bool | None
    message: str


def present_level(
    terms: SloTerms,
    series: Series,
    baseline: Baseline | None,
    *,
    now: int,
    since: int,
    spans: tuple[BlockSpan, ...] = (),
    earlier: bool | None = None,
    dispersion: float,
) -> PresentLevel:
    """Return the level of the newest events up to block `now`.

    It reaches beyond what is left out only if what came after it is bad by itself, too.

    Parameters
    ----------
    series : blocks of the stable version. baseline : what it was accepted with.
    since : blocks up to this one are of another time. spans : what was left out of the series.
    earlier : verdict on an earlier block of the same degradation; None without one. It stays while
        there are enough events, and they don't contradict it.
    dispersion : that of the drift test. Hours that vary by chance don't make the level bad again.
    """
    limit = accepted_limit(terms, baseline)
    if limit is None:
        return PresentLevel(bad=None, message="there is no accepted ratio to compare with")
    phi = 1.0 if baseline is None else baseline.phi
    noise = phi if earlier else max(phi, dispersion)
    needed = phi * _needed_events(terms, baseline, limit)
    newest, count = NOTHING, NOTHING
    after = max(since, spans[-1].last if spans else 0)
    since_disturbance = series.between(min(after, now), now)
    if _is_compatible(since_disturbance, limit):
        after = since
    for length in _window_lengths(terms, now - since):
        count = series.between(max(block_before(now, length, spans), after), now)
        newer_count = series.between(max(block_before(now, (length + 1) // 2, spans), after), now)
        if newer_count.total < MIN_SHARE * count.total:
            break
        if _compared_with_limit(newer_count, limit, phi) is not True and _has_ended(
            count, newer_count, phi
        ):
            newest = newer_count
            break
        newest = count
        bad = None if count.total < needed else _compared_with_limit(count, limit, phi)
        if (
            earlier is not None
            and bad is not earlier
            and not _contradicts(count, limit + terms.drop / 2, noise, earlier=earlier)
        ):
            bad = None
        if bad is not None:
            return PresentLevel(bad, _comparison_text(count, limit))
    if newest.total < needed:
        text = f"{newest.total:,} events at present, {ceil(needed):,} are needed for a verdict"
        return PresentLevel(bad=None, message=text)
    if earlier is not None:
        return PresentLevel(
            earlier, f"{_comparison_text(newest, limit)}: that is no evidence of a change"
        )
    return PresentLevel(
        bad=None, message=f"{_comparison_text(newest, limit)}: too close for a verdict"
    )


def _needed_events(terms: SloTerms, baseline: Baseline | None, limit: float) -> float:
    """Return the number of events for a verdict, counted by good events if bad ones are the majority."""
    ratio = None if baseline is None else ratio_of(baseline.count)
    return max(terms.min_events(ratio), min_total(max(1 - limit, MIN_GOOD)), 1)


def accepted_limit(terms: SloTerms, baseline: Baseline | None) -> float | None:
    """Return the largest accepted bad ratio; None without a baseline or an objective."""
    limits = [] if terms.allowed_bad_ratio is None else [terms.allowed_bad_ratio]
    if baseline is not None:
        limits.append(upper_bound(baseline.count, baseline.phi))
    return min(limits, default=None)


def _window_lengths(terms: SloTerms, max_blocks: int) -> list[int]:
    """Yield window lengths in blocks, each doubled, up to the number of usable stored blocks."""
    lengths = [max(MIN_BLOCKS, 2 * terms.lag_blocks)]
    while lengths[-1] < min(max_blocks, HOURS * BLOCKS_PER_HOUR):
        lengths.append(2 * lengths[-1])
    return lengths


def _is_compatible(count: Count, limit: float) -> bool:
    """Return whether the events after a disturbance are compatible with those before it."""
    return count.bad >= MIN_BAD_EVENTS and count.bad > limit * count.total


def _compared_with_limit(count: Count, limit: float, phi: float) -> bool | None:
    if count.bad <= limit * count.total:
        return False
    surely_worse = wilson_lower(count.bad / phi, count.total / phi, Z_STILL_BAD) > limit
    return True if surely_worse and count.bad >= MIN_BAD_EVENTS else None


def _contradicts(count: Count, middle: float, phi: float, *, earlier: bool) -> bool:
    """Return whether events are beyond chance on the other side of half of `maxDrop` than the earlier verdict."""
    bad, total = count.bad / phi, count.total / phi
    if earlier:
        return wilson_upper(bad, total, Z95) < middle
    return wilson_lower(bad, total, Z95) > middle


def _has_ended(count: Count, newer_count: Count, phi: float) -> bool:
    """Return whether the older half of a window was worse than its newer half, beyond chance."""
    older = Count(count.bad - newer_count.bad, count.total - newer_count.total)
    if not older.total or not newer_count.total:
        return False
    older_count, now = ((part.bad / phi, part.total / phi) for part in (older, newer_count))
    return newcombe_difference(older_count, now, Z95).lower > 0


def _comparison_text(count: Count, limit: float) -> str:
    bad = percent(count.bad / count.total)
    return f"{bad} of {count.total:,} are bad at present, up to {percent(limit)} is as accepted"
