"""How often degradation is claimed wrongly, and how soon rightly: the tables of the design.

Seeds are fixed; bounds are the promised rates plus three standard errors of the simulation.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.observed import NO_OTHER_PRODUCTS, Observed
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.policy.slo_health.baseline import ratio_of, upper_bound
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.burn_rate import (
    FAST_BURN_WINDOWS,
    MIN_BAD_EVENTS,
    SLOW_BURN_WINDOWS,
    Level,
    read_burn_rate,
    thresholds,
)
from sluicegate.stats import change_point, cusum
from sluicegate.stats.calendar import HOURS
from sluicegate.stats.counts import Count
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, LATENCY, product

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
DAY, MONTH = 288, 288 * 30
TWO_YEARS = 17_520
"""Hours."""


# ---- burn rates -----------------------------------------------------------------------------
def alarms_by_row(requests_an_hour, months, seed, ratio=0.0005):
    """How often each row begins to trip in 30 days of a service that is healthy."""
    source = np.random.default_rng(seed)
    rows = thresholds(FAST_BURN_WINDOWS, 0.001)
    begun = np.zeros(len(rows))
    for _ in range(months):
        totals = source.poisson(requests_an_hour / 12, MONTH)
        bads = source.binomial(totals, ratio)
        series, tripping = Series(), [False] * len(rows)
        for index, (bad, total) in enumerate(zip(bads.tolist(), totals.tolist(), strict=True), 1):
            series.record(Block(index, Quality.COUNTED, Count(bad, total)))
            for place, row in enumerate(rows):
                reading = read_burn_rate(row, series, now=index, since_block=0, phi=1.0)
                now = reading is not None and reading.tripped
                begun[place] += now and not tripping[place]
                tripping[place] = now
    return begun / months


@pytest.mark.parametrize(
    ("requests", "promised"),
    [(30, 0.05), *(pytest.param(n, 0.02, marks=pytest.mark.grid) for n in (120, 600))],
)
def test_a_healthy_service_raises_alarms_within_the_documented_rate(requests, promised):
    months = 30
    alarms = alarms_by_row(requests, months, seed=requests)
    slack = 3 * math.sqrt(promised / months)
    assert alarms[:2].sum() <= slack, "a row of Missed is to be silent"
    assert (alarms <= promised + slack).all(), alarms


@pytest.mark.parametrize(("requests", "promised"), [(600, 20), (6000, 15)])
def test_an_outage_is_detected_within_the_documented_time(requests, promised):
    source = np.random.default_rng(requests)
    threshold = thresholds(FAST_BURN_WINDOWS, 0.001)[:2]
    minutes = []
    for _ in range(200):
        series = Series()
        for index in range(1, 400):
            rate = 0.0005 if index <= 72 else 0.1
            total = int(source.poisson(requests / 12))
            series.record(
                Block(index, Quality.COUNTED, Count(int(source.binomial(total, rate)), total))
            )
            readings = [
                read_burn_rate(t, series, now=index, since_block=0, phi=1.0) for t in threshold
            ]
            if index > 72 and any(reading and reading.tripped for reading in readings):
                minutes.append(5 * (index - 72))
                break
    assert len(minutes) == 200
    assert median(minutes) <= 1.25 * promised


YEAR = 365 * DAY


@pytest.mark.parametrize("labels", [20 / 12, 50, 1000])
def test_a_product_exactly_at_its_objective_rarely_misses_the_slo_within_a_year(labels):
    """Three blocks in a row make it degraded, as `confirm` has it. Windows are sums of blocks."""
    source, years, promised = np.random.default_rng(7), 100, 0.05
    rows = [row for row in thresholds(SLOW_BURN_WINDOWS, 0.1) if row.row.level is Level.MISSED]
    missed = 0
    for _ in range(years):
        totals = source.poisson(labels, YEAR)
        bads = source.binomial(totals, 0.1)
        sums = [np.concatenate([[0], np.cumsum(one)]) for one in (bads, totals)]
        missed += any(_trips(row, *sums) for row in rows)
    assert missed / years <= promised + 3 * math.sqrt(promised * (1 - promised) / years)


def _trips(threshold, bads, totals):
    """Whether a row trips in three blocks in a row: `read`, of all blocks at once."""
    end = np.arange(1, len(bads))

    def window(length):
        begin = np.maximum(end - length, 0)
        return bads[end] - bads[begin], totals[end] - totals[begin]

    (bad, total), (short_bad, short_total) = window(threshold.row.long), window(threshold.row.short)
    n, z = np.maximum(total, 1), threshold.z
    p = bad / n
    root = z * np.sqrt(p * (1 - p) / n + (z / n) ** 2 / 4)
    lower = (p + z**2 / n / 2 - root) / (1 + z**2 / n)
    tripped = (total >= threshold.min_events) & (bad >= MIN_BAD_EVENTS) & (lower > threshold.ratio)
    tripped &= short_bad > threshold.ratio * short_total
    return (tripped[2:] & tripped[1:-1] & tripped[:-2]).any()


# ---- distance from the baseline -------------------------------------------------------------
def hours_to_alarm(p0, n0, drop, *, events, rate, runs, seed, horizon=TWO_YEARS):
    """Hours until the bank says Missed, by run; infinite when it never is."""
    source = np.random.default_rng(seed)
    count = Count(round(p0 * n0), n0)
    bank = cusum.cusum_bank(ratio_of(count), upper_bound(count, 1.0), drop, cusum.HOURLY_BLOCKS)
    hours = []
    for _ in range(runs):
        totals = source.poisson(events, horizon)
        bads = source.binomial(totals, rate)
        pairs = np.stack([bads, totals], axis=1).tolist()
        progress, alarm = cusum.begin_cusum(bank, 0), math.inf
        for hour, pair in enumerate(pairs, start=1):
            progress = cusum.advance_cusum(progress, bank, (pair,))
            if progress.statistic >= bank.alarm_bound:
                alarm = hour
                break
        hours.append(alarm)
    return hours


CASES = {
    "accuracy, 20 labels an hour": (0.10, 3460, 0.03, 20),
    "accuracy, 200 labels an hour": (0.10, 3460, 0.03, 200),
    "accuracy, short baseline": (0.10, 1245, 0.05, 20),
    "accuracy, 2 labels an hour": (0.10, 1245, 0.05, 2),
    "latency": (0.03, 4527, 0.015, 6000),
    "availability": (0.001, 34_965, 0.001, 6000),
}
ALL_CASES = [
    pytest.param(*case, id=name, marks=() if name == "availability" else pytest.mark.grid)
    for name, case in CASES.items()
]


@pytest.mark.parametrize(("p0", "n0", "drop", "events"), ALL_CASES)
def test_the_false_alarm_rate_over_two_years_is_within_the_documented_bound(p0, n0, drop, events):
    runs, promised = 60, TWO_YEARS / cusum.HOURLY_BLOCKS
    upper = upper_bound(Count(round(p0 * n0), n0), 1.0)
    hours = hours_to_alarm(p0, n0, drop, events=events, rate=upper, runs=runs, seed=11)
    share = sum(map(math.isfinite, hours)) / runs
    assert share <= promised + 3 * math.sqrt(promised * (1 - promised) / runs)


@pytest.mark.parametrize(("p0", "n0", "drop", "events"), ALL_CASES)
def test_a_product_unchanged_since_acceptance_raises_no_alarm(p0, n0, drop, events):
    hours = hours_to_alarm(p0, n0, drop, events=events, rate=p0, runs=20, seed=12)
    assert not any(map(math.isfinite, hours))


@pytest.mark.parametrize(
    ("p0", "n0", "drop", "events", "delays"),
    [
        (0.10, 3460, 0.03, 20, (297, 51, 13)),
        (0.10, 3460, 0.03, 200, (31, 6, 2)),
        (0.10, 1245, 0.05, 20, (124, 22, 5)),
        (0.03, 144_000, 0.015, 6000, (1, 1, 1)),
        (0.001, 144_000, 0.001, 6000, (10, 3, 1)),
    ],
)
def test_a_drop_is_detected_within_the_documented_time(p0, n0, drop, events, delays):
    # A day of 6,000 requests an hour is what the baselines of the last two rows hold.
    for factor, promised in zip((1, 2, 4), delays, strict=True):
        hours = hours_to_alarm(
            p0,
            n0,
            drop,
            events=events,
            rate=p0 + factor * drop,
            runs=150,
            seed=factor,
            horizon=5000,
        )
        assert median(hours) <= 1.2 * promised + 1


def changes(p0, n0, drop, *, events, days, seed, swing=None):
    """The largest S of the two-sample test in so many days as accepted, and its bound.

    Parameters
    ----------
    swing : of the bad ratio with the hour of the day, of itself; then hours are compared with the
        same hours only, from the second day on. The baseline is drawn as well.
    """
    source = np.random.default_rng(seed)
    accepted = Count(int(source.binomial(n0, p0)), n0)
    drops = change_point.alternative_drops(ratio_of(accepted), drop)
    angles = 2 * math.pi * (np.arange(24 * days) / 24 + source.random())
    totals = source.poisson(events * (1 + np.sin(angles[::-1]) / 2))
    bads = source.binomial(totals, p0 * (1 + (swing or 0.0) * np.sin(angles)))
    units = list(zip(bads.tolist(), totals.tolist(), strict=True))
    most = 0.0
    for end in range(1 if swing is None else 24, len(units) + 1):
        kept = range(max(end - HOURS, 0), end)
        if swing is None:
            found = change_point.strongest_change(accepted, units[kept.start : end], drops)
        else:
            hours = [hour % 24 for hour in kept]
            found = change_point.strongest_change_within_strata(
                hours, accepted, units[kept.start : end], drops
            )
        most = max(most, found.statistic)
    return most, math.log(len(drops) * cusum.HOURLY_BLOCKS)


@pytest.mark.parametrize("swing", [None, 0.3, 0.9])
@pytest.mark.parametrize(("p0", "n0", "drop", "events"), ALL_CASES)
def test_two_samples_of_the_same_ratio_raise_no_alarm(p0, n0, drop, events, swing):
    runs, days = 10, 30
    alarms = 0
    for seed in range(runs):
        most, bound = changes(p0, n0, drop, events=events, days=days, seed=seed, swing=swing)
        alarms += most >= bound
    promised = 24 * days / cusum.HOURLY_BLOCKS
    assert alarms / runs <= promised + 3 * math.sqrt(promised * (1 - promised) / runs)


# ---- the whole of it ------------------------------------------------------------------------
def entries_into_degraded(slos, draw, months, *, accepted=None):
    """How often a product becomes Degraded in 30 days, and what was decided."""
    terms = terms_of(DataProduct.parse(product(*slos, retraining=None)))
    release, entries, decided = Release("v1"), 0, []
    for _ in range(months):
        series = {slo.name: Series() for slo in terms.slos}
        before = None
        status = DataProductStatus(
            stable=Version.of(
                release, VersionSource.SPEC, promotion_time=0, baseline=accepted or {}
            )
        )
        for index in range(1, MONTH + 1):
            for name, one in series.items():
                one.record(Block(index, Quality.COUNTED, draw(name, index)))
            observed = Observed(block=index, series={"v1": series}, portfolio=NO_OTHER_PRODUCTS)
            evaluation = evaluate(terms, status, observed, index * 300)
            status = carry_out_at_once(terms, evaluation.status, evaluation.decision, index * 300)
            entries += evaluation.state == "Degraded" and before != "Degraded"
            before = evaluation.state
            if evaluation.decision.type != "Hold":
                decided.append(evaluation.decision)
    return entries / months, decided


@pytest.mark.grid
@pytest.mark.parametrize(("wrong", "promised"), [(0.10, 1.5), (0.08, 0.02)])
def test_a_product_at_its_objective_does_not_flap(wrong, promised):
    source = np.random.default_rng(5)

    def draw(_name, _index):
        total = int(source.poisson(20 / 12))
        return Count(int(source.binomial(total, wrong)), total)

    months = 12
    slo = {name: value for name, value in ACCURACY.items() if name != "maxDrop"}
    flaps, _ = entries_into_degraded([{**slo, "objective": "0.90"}], draw, months)
    assert flaps <= promised + 3 * math.sqrt(promised / months)


def test_a_healthy_product_with_bursts_and_a_daily_pattern_raises_no_alarm():
    source = np.random.default_rng(6)
    rates = {"availability": 0.0003, "latency": 0.004, "accuracy": 0.1}

    def draw(name, index):
        swing = 1 + 0.6 * math.sin(2 * math.pi * index / DAY)
        total = int(source.poisson((20 if name == "accuracy" else 1200) * swing))
        rate = rates[name]
        if name != "accuracy":
            rate = source.beta(rate * 499, (1 - rate) * 499)
        return Count(int(source.binomial(total, min(rate, 1.0))), total)

    slos = [{**AVAILABILITY, "objective": "0.99"}, {**LATENCY, "objective": "0.95"}, ACCURACY]
    _, decided = entries_into_degraded(slos, draw, 1)
    assert decided == []


ANCHORS = Path(__file__).with_name("anchors") / "degradation.json"


@pytest.mark.anchor
def test_anchor_numbers_of_the_degradation_suite_are_reproduced_exactly(golden):
    """Seeds are fixed, so an alarm more, or one that comes an hour later, shows here."""
    source = np.random.default_rng(5)

    def draw(_name, _index):
        total = int(source.poisson(20 / 12))
        return Count(int(source.binomial(total, 0.13)), total)

    slo = {name: value for name, value in ACCURACY.items() if name != "maxDrop"}
    entries, decided = entries_into_degraded([{**slo, "objective": "0.90"}], draw, 1)
    found = {
        "alarms of a month, by row": alarms_by_row(120, 1, seed=2, ratio=0.0015).tolist(),
        "hours to an alarm": {
            str(rate): hours_to_alarm(
                0.10, 3460, 0.03, events=20, rate=rate, runs=10, seed=3, horizon=2000
            )
            for rate in (0.13, 0.16, 0.22)
        },
        "entries into Degraded in a month": entries,
        "decisions of that month": [one.type for one in decided],
    }
    golden(ANCHORS, json.dumps(found, indent=2) + "\n")
