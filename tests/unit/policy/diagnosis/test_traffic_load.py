"""Load explains slowness: what is taken for normal before the production baseline is there."""

from math import pi, sin

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.policy.diagnosis.traffic_load import load_of
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import judged_by, series
from tests.support.decisions.scenarios import LATENCY, acts, count, product, run, scenario

SINGLE_BLOCKS = 72

# Promised, so written as numbers here.
MIN_BLOCKS = 6
TRAFFIC_FACTOR = 3.0

DAY = 288
USUAL = 1200
SLO = judged_by(LATENCY).slos[0]


def history(requests, slow, last):
    """Return a replay of a product with nothing but latency: requests and slow share by block."""

    def script(index):
        total = round(requests(index))
        return {"v1": {"latency": count(round(total * slow(index)), total)}}

    return run(scenario(script, last, product=product(LATENCY), accepted=None))


def slow_from(block):
    return lambda index: 0.3 if index >= block else 0.002


def swing(phase):
    return lambda index: USUAL * (1 + 0.8 * sin(2 * pi * (index / DAY + phase)))


def load(totals, *, now=None, bad=lambda index, total: 0, baseline=None, since=0, **more):
    counts = series(*((bad(index, total), total) for index, total in enumerate(totals, start=1)))
    now = len(totals) if now is None else now
    more = {"pods": 1.0} | more
    return load_of(SLO, counts, baseline, now=now, since=since, block_seconds=300, **more)


# ---- whole histories ------------------------------------------------------------------------
@pytest.mark.parametrize("since", [30, 60, 200])
def test_a_surge_before_the_production_baseline_is_reported_and_nothing_is_retrained(since):
    def surge(index):
        return USUAL * 4 if index >= since else USUAL

    assert acts(history(surge, slow_from(since), since + 60)) == [("Alert", "TrafficAnomaly")]


def test_a_lasting_surge_never_becomes_the_normal_load():
    def surge(index):
        return USUAL * 4 if index >= 40 else USUAL

    assert acts(history(surge, slow_from(40), 40 + DAY)) == [("Alert", "TrafficAnomaly")]


@pytest.mark.parametrize("length", [12, 24, 48])
def test_the_peak_of_slowly_rising_traffic_is_not_taken_as_the_normal_load(length):
    def ramp(index):
        return USUAL * (1 + 7 * min(max(index - 48, 0) / length, 1.0))

    def slow(index):
        return 0.4 if ramp(index) > 5 * USUAL else 0.002

    assert acts(history(ramp, slow, 48 + length + 60)) == [("Alert", "TrafficAnomaly")]


@pytest.mark.parametrize("phase", [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875])
@pytest.mark.parametrize("since", [30, 60, 90, 120, 150, 180])
def test_a_daily_swing_of_80_percent_is_no_surge(phase, since):
    lines = history(swing(phase), slow_from(since), since + 20)
    assert acts(lines)[0] == ("Retrain", "ModelTooSlow")


@pytest.mark.parametrize("phase", [0.5, 0.625, 0.75])
def test_slowness_detected_late_on_a_day_of_rising_load_starts_a_training_within_the_day(phase):
    def slow(index):
        return 0.09 if index >= 60 else 0.002

    assert ("Retrain", "ModelTooSlow") in acts(history(swing(phase), slow, 60 + DAY))


def test_a_load_that_was_served_fast_before_does_not_explain_slowness():
    def grown(index):
        return USUAL * 4 if index >= 60 else USUAL

    assert acts(history(grown, slow_from(120), 150)) == [("Retrain", "ModelTooSlow")]


# ---- what is normal -------------------------------------------------------------------------
def test_too_few_blocks_give_no_normal_load():
    judged = 12
    assert load([100] * (MIN_BLOCKS + judged - 1)) is None
    assert load([100] * (MIN_BLOCKS + judged)).normal == 100


def test_the_normal_load_excludes_warm_up_and_the_judged_blocks():
    totals = [9000] * 10 + [100] * 20 + [500] * 12
    assert load(totals, since=10).normal == 100
    assert load(totals, since=10).ratio == 5


def test_the_normal_load_excludes_blocks_without_events():
    assert load([100] * 20 + [0] * 30 + [100] * 24 + [300] * 12).normal == 100


def test_the_normal_load_excludes_spans_with_an_unmet_slo():
    totals = [100] * 24 + [1000] * 24 + [1000] * 12
    found = load(totals, bad=lambda index, total: total // 5 if index > 24 else 0)
    assert found.normal == 100


def test_single_slow_requests_do_not_exclude_a_span_from_the_normal_load():
    found = load([20] * 48, bad=lambda index, _total: int(index % 12 == 0))
    assert found.normal == 20


def test_the_normal_load_is_the_same_from_hourly_sums_as_from_blocks():
    totals = [100] * 2 * SINGLE_BLOCKS + [400] * 12
    assert load(totals).normal == 100
    assert load(totals, since=20).normal == 100


def test_the_load_is_counted_in_requests_per_pod():
    assert load([100] * 30 + [400] * 12, pods=2.0).ratio == 2
    assert load([100] * 42, pods=0.0) is None


def pods(numbers):
    return series(*((0, number * 300) for number in numbers))


@pytest.mark.parametrize(
    ("numbers", "ratio"), [([2] * 30 + [10] * 12, 1), ([2] * 42, 5), ([10] * 30 + [2] * 12, 25)]
)
def test_the_load_of_an_autoscaled_product_is_divided_by_the_pods_of_its_own_time(numbers, ratio):
    totals = [100] * 30 + [500] * 12
    assert load(totals, pod_seconds=pods(numbers)).ratio == pytest.approx(ratio)
    accepted = Baseline.of(
        Count(10, DAY * 100), 0, DAY * 300, BaselineSource.PRODUCTION, pods=numbers[0]
    )
    found = load(totals, pod_seconds=pods(numbers), baseline=accepted)
    assert (found.ratio, found.normal) == (pytest.approx(ratio), 100 / numbers[0])


def test_hourly_sums_of_the_load_have_the_pod_count_of_their_hour():
    totals = [100] * SINGLE_BLOCKS + [400] * SINGLE_BLOCKS + [400] * 12
    numbers = [1] * SINGLE_BLOCKS + [4] * SINGLE_BLOCKS + [1] * 12
    found = load(totals, pod_seconds=pods(numbers))
    assert (found.normal, found.ratio) == (100, 4)


def test_blocks_without_a_pod_count_do_not_change_the_normal_load():
    numbers = [0] * 20 + [5] * 22
    assert load([100] * 20 + [500] * 22, pod_seconds=pods(numbers)).normal == 100


def test_the_production_baseline_replaces_the_load_since_acceptance():
    baseline = Baseline.of(Count(10, DAY * 50), 0, DAY * 300, BaselineSource.PRODUCTION)
    found = load([100] * 30 + [400] * 12, baseline=baseline)
    assert (found.normal, found.accepted) == (50, True)
    assert found.ratio > TRAFFIC_FACTOR


def test_one_event_an_hour_is_enough_for_a_normal_load():
    rare = [1] + [0] * 11
    assert load(rare * 20 + [0] * 60 + [3] * 12).normal == pytest.approx(1 / 12)
