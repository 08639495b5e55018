"""How a month compares with another: what is proved, what isn't, and how often chance is taken for it."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from sluicegate.stats.counts import Count
from sluicegate.stats.evolution import Evolution, PeriodChange, evolution
from sluicegate.stats.intervals import newcombe_difference

MONTHS = 2000
DAYS = 30


def months(rng, share, *, per_day, correlation):
    """Return bad events of each day of many months: days scatter by beta-binomial correlation."""
    size = (MONTHS, DAYS)
    if correlation:
        more = (1 - correlation) / correlation
        shares = rng.beta(share * more, (1 - share) * more, size=size)
    else:
        shares = np.full(size, share)
    return rng.binomial(per_day, shares)


def judged(now, before, per_day, margin=0.03):
    """Return the share of months of each change."""
    found = [
        evolution(
            [Count(int(bad), per_day) for bad in ours],
            [Count(int(bad), per_day) for bad in theirs],
            margin=margin,
        ).change
        for ours, theirs in zip(now, before, strict=True)
    ]
    return {change: found.count(change) / len(found) for change in PeriodChange}


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.002, 0.01])
@pytest.mark.parametrize(("share", "per_day"), [(0.10, 200), (0.01, 1000)])
def test_an_unchanged_product_is_reported_as_worse_in_at_most_one_of_twenty_months(
    share, per_day, correlation
):
    rng = np.random.default_rng(11)
    now, before = (months(rng, share, per_day=per_day, correlation=correlation) for _ in range(2))
    found = judged(now, before, per_day)
    assert found[PeriodChange.WORSE] <= 0.05
    assert found[PeriodChange.BETTER] <= 0.05


@pytest.mark.parametrize(("correlation", "per_day"), [(0.0, 150), (0.002, 200)])
def test_a_drop_of_three_points_is_detected_in_nineteen_of_twenty_months(correlation, per_day):
    """At 4,500 labels a month where days scatter by chance, at 6,000 where they scatter more."""
    rng = np.random.default_rng(12)
    before = months(rng, 0.10, per_day=per_day, correlation=correlation)
    now = months(rng, 0.13, per_day=per_day, correlation=correlation)
    assert judged(now, before, per_day)[PeriodChange.WORSE] >= 0.95


def test_a_period_with_too_few_events_isnt_called_unchanged():
    few = [Count(1, 10)] * 3
    assert evolution(few, few, margin=0.03).change is PeriodChange.TOO_FEW
    many = [Count(100, 1000)] * 30
    assert evolution(many, many, margin=0.03).change is PeriodChange.NO_EVIDENCE
    assert evolution(many, [], margin=0.03).change is PeriodChange.TOO_FEW
    nothing = Evolution(PeriodChange.TOO_FEW, 0.0, 0.0, 0.0, 1.0)
    assert evolution([], many, margin=0.03) == Evolution(PeriodChange.TOO_FEW) == nothing


def test_a_change_between_periods_has_its_size_and_confidence_interval():
    now, before = [Count(120, 1000)] * 30, [Count(100, 1000)] * 30
    found = evolution(now, before, margin=0.03)
    assert found.change is PeriodChange.WORSE
    assert found.estimate == pytest.approx(0.02)
    expected = newcombe_difference((3600, 30_000), (3000, 30_000), NormalDist().inv_cdf(0.975))
    assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper))
    back = evolution(before, now, margin=0.03)
    assert (back.change, back.estimate) == (PeriodChange.BETTER, pytest.approx(-0.02))


def test_days_with_more_variance_than_chance_widen_the_interval():
    calm = [Count(100, 1000)] * 30
    wild = [Count(40, 1000), Count(160, 1000)] * 15
    narrow, wide = (evolution(days, calm, margin=0.03) for days in (calm, wild))
    assert narrow.phi == 1.0
    assert wide.phi > 20
    assert wide.upper - wide.lower > 2 * (narrow.upper - narrow.lower)


@pytest.mark.parametrize(("days", "phi"), [(6, 1.0), (7, 50.0)])
def test_the_dispersion_of_days_requires_one_week_and_is_capped(days, phi):
    wild = [Count(1, 1000), Count(999, 1000)] * 4
    assert evolution(wild[:days], wild[:days], margin=0.03).phi == phi


@pytest.mark.parametrize(("fixed", "phi_before"), [(False, 2.0), (True, 8.0)])
def test_the_dispersion_of_days_reduces_the_effective_events_of_each_period(fixed, phi_before):
    """A baseline of one count scatters as the days that are compared with it."""

    def scattered(phi, bad):
        distance = (phi * 0.9 * bad * 29 / 30) ** 0.5
        return [Count(bad - distance, 1000), Count(bad + distance, 1000)] * 15

    now, before = scattered(8.0, 100), scattered(2.0, 100)
    found = evolution(now, before, margin=0.03, is_fixed_objective=fixed)
    z = NormalDist().inv_cdf(0.975)
    expected = newcombe_difference(
        (3000 / 8, 30_000 / 8), (3000 / phi_before, 30_000 / phi_before), z
    )
    assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper))
    assert found.phi == pytest.approx(8.0)
    assert evolution(before, now, margin=0.03).phi == pytest.approx(8.0)


@pytest.mark.parametrize(("now", "before"), [(103, 100), (97, 100)])
def test_a_period_counts_as_unchanged_only_if_the_interval_is_within_the_margin(now, before):
    days = [[Count(bad, 1000)] * 5 for bad in (now, before)]
    found = evolution(*days, margin=1.0)
    widest = max(found.upper, -found.lower)
    assert evolution(*days, margin=widest + 1e-9).change is PeriodChange.NO_EVIDENCE
    assert evolution(*days, margin=widest).change is PeriodChange.TOO_FEW
