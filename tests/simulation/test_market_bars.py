"""How often a market is called bad wrongly in a year, and how soon rightly.

Seeds are fixed. `MARKET_YEARS=200` simulates more product-years a row.
"""

from __future__ import annotations

import os
import random
from statistics import median

import numpy as np
import pytest
from scipy.stats import binom

from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.market_verdicts import MarketLimit, judge_markets
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats import lasting_alarm
from sluicegate.stats.calendar import Calendar
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import MAX_DISPERSION, successive_dispersion

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
SHARES = (0.4, 0.25, 0.15, 0.1, 0.05, 0.01)
"""Of the labels that each of six markets has."""
LABELS_AN_HOUR = 500
BLOCKS_A_YEAR = 8760 * 12
YEARS = int(os.environ.get("MARKET_YEARS", "40"))
DAYS_BEFORE, FIRST = 2, 6_000_005
PROMISED = 0.05
"""Share of product-years in which any market is called bad wrongly."""


def years_called_bad(source, ratio, sigma, allowed):
    """Number of the product-years in which any market is called bad, though nothing changes.

    The recursion of `lasting_alarm.advance`, of all years and markets at once.
    """
    bank = MarketLimit(allowed, len(SHARES) + 1, Calendar(300)).bank
    rates = np.tile(np.array(SHARES) * LABELS_AN_HOUR / 12, YEARS)
    statistics = np.zeros((len(bank.alternatives), len(rates)))
    called = np.zeros(len(rates), bool)
    phi = None
    for block in range(BLOCKS_A_YEAR):
        if block % 12 == 0:
            ratios = np.clip(ratio + sigma * source.standard_normal(len(rates)), 0.001, 0.999)
            phi = dispersions(rates, ratio, sigma)
        totals = source.poisson(rates)
        bad = source.binomial(totals, ratios)
        for place, each in enumerate(bank.alternatives):
            step = (bad * each.per_bad + (totals - bad) * each.per_good) / phi
            np.clip(statistics[place] + step, 0.0, bank.alarm_bound, out=statistics[place])
        called |= statistics.max(axis=0) >= bank.alarm_bound
    return int(called.reshape(YEARS, len(SHARES)).any(axis=1).sum())


def dispersions(rates, ratio, sigma):
    """What `successive_dispersion` estimates of hours whose ratios scatter by sigma."""
    return np.minimum(1 + 12 * rates * sigma**2 / (ratio * (1 - ratio)), MAX_DISPERSION)


@pytest.mark.anchor
def test_the_vectorised_market_recursion_equals_that_of_one_cell():
    source, bank = random.Random(3), MarketLimit(0.12, 7, Calendar(300)).bank
    blocks = [(source.randint(0, 9), 30) for _ in range(200)]
    alarm, values = lasting_alarm.begin_alarm(bank, 0), np.zeros(len(bank.alternatives))
    for bad, total in blocks:
        alarm = lasting_alarm.advance_alarm(alarm, bank, [(bad, total)], 1.5)
        steps = [
            bad * alternative.per_bad + (total - bad) * alternative.per_good
            for alternative in bank.alternatives
        ]
        values = np.clip(values + np.array(steps) / 1.5, 0.0, bank.alarm_bound)
    assert alarm.values == pytest.approx(values)


@pytest.mark.anchor
def test_the_dispersion_of_hourly_noise_is_estimated():
    source = np.random.default_rng(5)
    totals = source.poisson(200, 2000)
    bad = source.binomial(totals, np.clip(0.12 + 0.02 * source.standard_normal(2000), 0, 1))
    found = successive_dispersion(zip(bad.tolist(), totals.tolist(), strict=True))
    assert found == pytest.approx(dispersions(200 / 12, 0.12, 0.02), rel=0.1)


@pytest.mark.parametrize(
    ("ratio", "sigma", "allowed"),
    [
        pytest.param(0.08, 0.0, 0.12, id="healthy", marks=pytest.mark.grid),
        pytest.param(0.12, 0.0, 0.12, id="at the limit", marks=pytest.mark.grid),
        pytest.param(0.12, 0.02, 0.12, id="at the limit, with 2 points from hour to hour"),
        pytest.param(0.02, 0.0, 0.02, id="at 98 %", marks=pytest.mark.grid),
    ],
)
def test_a_market_is_called_bad_wrongly_in_at_most_one_of_twenty_product_years(
    ratio, sigma, allowed
):
    wrong = years_called_bad(np.random.default_rng(7), ratio, sigma, allowed)
    print(f"{wrong} of {YEARS} product-years")
    assert wrong <= binom.ppf(0.999, YEARS, PROMISED)


def blocks_until_bad(labels_an_hour, wrong_after, seed):
    """Blocks of five minutes after which a market whose bad share rises from 9 % is called bad."""
    source, series = random.Random(seed), Series()
    limit, expected = MarketLimit(0.12, len(SHARES) + 1, Calendar(300)), labels_an_hour / 12
    for block in range(-DAYS_BEFORE * 288, 96 * 12):
        ratio = 0.09 if block < 0 else wrong_after
        total = int(expected) + (source.random() < expected % 1)
        bad = sum(source.random() < ratio for _ in range(total))
        series.record(Block(FIRST + block, Quality.COUNTED, Count(bad, total)))
        (state,) = judge_markets({"AT": series}, FIRST + block, limit)
        if block >= 0 and state.state is SloState.MISSED:
            break
    return block + 1


@pytest.mark.parametrize(
    ("labels_an_hour", "wrong_after", "hours"),
    [
        pytest.param(25, 0.39, 3.5, marks=pytest.mark.grid),
        pytest.param(100, 0.39, 1.0, marks=pytest.mark.grid),
        (500, 0.39, 0.4),
        pytest.param(100, 0.29, 2.5, marks=pytest.mark.grid),
        (500, 0.29, 0.6),
    ],
)
def test_a_market_that_fell_by_twenty_or_thirty_points_is_called_bad_within_hours(
    labels_an_hour, wrong_after, hours
):
    """As docs/markets.md has it, for limits of 12 % and seven cells: the median of 21 markets."""
    delays = [blocks_until_bad(labels_an_hour, wrong_after, seed) for seed in range(21)]
    assert median(delays) / 12 <= hours
