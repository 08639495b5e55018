"""The CUSUM bank: its formula, and that going on from where one was changes not one bit."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import SloRecord
from sluicegate.policy.slo_health.baseline import from_production, ratio_of, upper_bound
from sluicegate.policy.slo_health.drift import Drift, drift_of
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats import cusum
from sluicegate.stats.counts import Count
from sluicegate.stats.seasonality import chi_square_tail, is_hour_significant
from tests.support.decisions.judged import judged_by, series
from tests.support.decisions.scenarios import ACCURACY

A = 87_600
ACCEPTED = Baseline.of(Count(100, 1000), 0, 0, BaselineSource.EVALUATION)


def terms(**fields):
    return judged_by({**ACCURACY, **fields}).slos[0]


def naive(counts, p0, u0, drop, phi=1.0):
    """Return the recursion as the design writes it."""
    alternatives = [p0 + drop, p0 + 2 * drop, p0 + 4 * drop]
    largest = 0.0
    for p in alternatives:
        if not u0 < p < 1 - (1 - p0) / 20:
            continue
        s = 0.0
        for bad, total in counts:
            step = bad * math.log(p / u0) + (total - bad) * math.log((1 - p) / (1 - u0))
            s = max(0.0, s + step / phi)
        largest = max(largest, s)
    return largest


blocks = st.lists(st.tuples(st.integers(0, 60), st.integers(60, 200)), max_size=60)


@given(blocks, st.sampled_from([1.0, 2.5]))
def test_the_cusum_statistic_follows_the_documented_recursion(counts, phi):
    bank = cusum.cusum_bank(0.1, 0.12, 0.03, A)
    progress = cusum.advance_cusum(cusum.begin_cusum(bank, 0), bank, counts, phi)
    assert progress.statistic == pytest.approx(
        naive(counts, 0.1, 0.12, 0.03, phi), rel=1e-9, abs=1e-9
    )


@given(blocks, st.integers(0, 60), st.integers(0, 60))
def test_continuing_a_cusum_equals_recomputing_it(counts, cut, first):
    bank = cusum.cusum_bank(0.1, 0.12, 0.03, A)
    begun = cusum.advance_cusum(cusum.begin_cusum(bank, 0), bank, counts[:cut])
    assert cusum.advance_cusum(begun, bank, counts[cut:]) == cusum.advance_cusum(
        cusum.begin_cusum(bank, 0), bank, counts
    )
    first = min(first, len(counts))
    whole = cusum.advance_cusum(cusum.begin_cusum(bank, 0), bank, counts)
    if whole.can_continue_to(first, len(counts) - 1):
        anew = cusum.advance_cusum(cusum.begin_cusum(bank, first), bank, counts[first:])
        assert whole.values == anew.values


@pytest.mark.parametrize(
    ("first", "last", "leads"),
    [(2, 9, True), (5, 9, True), (2, 99, True), (1, 9, False), (2, 8, False), (6, 9, False)],
)
def test_a_cusum_may_continue_from_an_earlier_start_if_it_was_zero_since(first, last, leads):
    """Begun with block 2, of which 10 comes next; one sum was last 0 before block 5."""
    at = cusum.Progress((1.0, 2.0), (5, 7), start=2, next_block=10)
    assert at.can_continue_to(first, last) is leads


@given(blocks, st.integers(1, 3), st.integers(0, 5))
def test_workdays_and_weekends_have_their_own_cusum_banks(counts, kinds, first):
    banks = [cusum.cusum_bank(0.1, 0.12 - 0.001 * kind, 0.03, A) for kind in range(kinds)]
    sums = [0.0] * 3
    for index, (bad, total) in enumerate(counts, start=first):
        for place, one in enumerate(banks[index % kinds].alternatives):
            step = bad * one.per_bad + (total - bad) * one.per_good
            sums[place] = max(0.0, sums[place] + step / 2.0)
    found = cusum.advance_strata(cusum.begin_cusum(banks[0], first), banks, counts, 2.0)
    assert found.values == pytest.approx(sums, rel=1e-9, abs=1e-9)
    assert (found.start, found.next_block) == (first, first + len(counts))
    start = cusum.begin_cusum(banks[0], first)
    plain = cusum.advance_strata(start, banks, counts)
    assert plain == cusum.advance_strata(start, banks, counts, 1.0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=30, max_size=700))
def test_incremental_drift_equals_drift_computed_from_scratch(rows):
    slo, followed = terms(), Series()
    counts = [(bad, 100 + more) for bad, more in rows]
    for index, one in enumerate(counts, start=1):
        followed.record(Block(index, Quality.COUNTED, Count(*one)))
        seen = drift_of(slo, followed, ACCEPTED, now=index, since=2)
    assert seen == drift_of(slo, series(*counts), ACCEPTED, now=len(rows), since=2)


def test_a_late_block_is_included_in_the_cusum():
    slo, counted = terms(), series(*[(10, 100)] * 60)
    before = drift_of(slo, counted, ACCEPTED, now=60, since=0)
    counted.record(Block(58, Quality.COUNTED, Count(90, 100)))
    assert drift_of(slo, counted, ACCEPTED, now=60, since=0).statistic > before.statistic


def test_a_drift_is_detected_within_the_last_fourteen_days_only():
    counted = series(*[(100, 100)] * 11, *[(10, 100)] * (12 * 400 - 12))
    assert drift_of(terms(), counted, ACCEPTED, now=12 * 400 - 1, since=0).statistic == 0.0


def test_cusum_hours_begin_with_the_first_complete_hour():
    slo, counted = terms(), series(*[(100, 100)] * 24)
    assert drift_of(slo, counted, ACCEPTED, now=23, since=2).statistic == 0.0
    assert drift_of(slo, counted, ACCEPTED, now=24, since=2).statistic > 0.0


@pytest.mark.parametrize(("kept", "drop"), [(3, 0.03), (2, 0.25), (1, 0.45)])
def test_the_cusum_bound_depends_on_the_number_of_alternatives(kept, drop):
    bank = cusum.cusum_bank(0.1, 0.12, drop, A)
    assert len(bank.alternatives) == kept
    assert bank.alarm_bound == pytest.approx(math.log(kept * A))


def test_the_default_dispersion_of_a_cusum_is_one():
    bank = cusum.cusum_bank(0.1, 0.12, 0.03, A)
    begun = cusum.begin_cusum(bank, 0)
    assert cusum.advance_cusum(begun, bank, [(30, 100)]) == cusum.advance_cusum(
        begun, bank, [(30, 100)], 1.0
    )


def test_false_alarms_are_ten_years_apart_and_a_thousand_blocks_on_probation():
    assert (cusum.HOURLY_BLOCKS, cusum.DAILY_BLOCKS) == (10 * 365 * 24, 10 * 365)
    assert cusum.PROBATION_BLOCKS == 1_000


def test_the_cusum_bound_of_three_alternatives_is_twelve_and_a_half():
    assert cusum.cusum_bank(0.1, 0.12, 0.03, A).alarm_bound == pytest.approx(12.48, abs=0.005)


def test_a_ratio_of_three_percent_keeps_all_drop_alternatives():
    p0 = 0.969
    bank = cusum.cusum_bank(p0, 0.9695, 0.004, A)
    assert [round(alternative.ratio, 4) for alternative in bank.alternatives] == [
        0.973,
        0.977,
        0.985,
    ]


def test_a_baseline_too_small_for_its_drop_allows_no_test():
    assert cusum.cusum_bank(0.1, 0.6, 0.03, A) is None
    tiny = Baseline.of(Count(1, 10), 0, 0, BaselineSource.EVALUATION)
    assert drift_of(terms(), Series(), tiny, now=100, since=0) is None


def test_a_provisional_baseline_only_warns():
    slo, counted = terms(objective="0.99", maxDrop="0.2"), series(*[(100, 100)] * 60)
    small = Baseline.of(Count(0, 20), 0, 0, BaselineSource.EVALUATION)
    drift = drift_of(slo, counted, small, now=60, since=0)
    assert drift.statistic > drift.bound
    assert drift.level.name == "AT_RISK"


@pytest.mark.parametrize(
    ("statistic", "level"),
    [(9.5, "MISSED"), (9.49, "AT_RISK"), (4.75, "AT_RISK"), (4.74, "MET")],
)
def test_an_slo_is_missed_at_the_drift_bound_and_at_risk_at_half_of_the_bound(statistic, level):
    assert Drift(statistic, bound=9.5, decides=True).level.name == level


@pytest.mark.slow
def test_the_baseline_interval_of_the_example_equals_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    upper = proportion_confint(100, 1000, alpha=0.05, method="wilson")[1]
    assert upper_bound(Count(100, 1000), 1.0) == pytest.approx(upper, abs=1e-12)
    assert ratio_of(Count(100, 1000)) == 100.5 / 1001


# ---- production baselines -------------------------------------------------------------------
def filled(hours, bad=lambda _hour: 120, total=1200):
    return series(*((bad(hour) // 12, total // 12) for hour in range(hours) for _ in range(12)))


def learnt(counted, now):
    steady = SloRecord(steady_start_time=0)
    return from_production(terms(), steady, counted, now=now, since=2, block_seconds=300)


def test_a_drop_with_few_labels_takes_longer_than_a_day_to_detect():
    sparse = filled(40, lambda _hour: 12, 120)
    assert learnt(sparse, 28 * 12) is None
    assert learnt(sparse, 32 * 12).count == Count(31 * 12, 31 * 120)


def test_a_daily_pattern_makes_the_day_the_test_unit():
    swing = filled(49, lambda hour: round(120 * (1 + 0.5 * math.sin(hour * math.pi / 12))))
    assert learnt(swing, 49 * 12).daily
    assert not learnt(filled(49), 49 * 12).daily


@pytest.mark.slow
@given(st.floats(0.001, 400), st.integers(1, 60))
def test_the_tail_of_chi_square_equals_scipy(value, degrees):
    from scipy.stats import chi2

    assert chi_square_tail(value, degrees) == pytest.approx(
        chi2.sf(value, degrees), rel=1e-9, abs=1e-13
    )


@pytest.mark.parametrize("start", [6, 12, 18, 30, 36, 42])
def test_a_decay_is_not_taken_for_a_daily_pattern_after_two_days(start):
    source = random.Random(start)
    hours = [
        (sum(source.random() < (0.1 if hour < start else 0.16) for _ in range(600)), 600)
        for hour in range(48)
    ]
    assert not is_hour_significant(hours, 0, 1.0)
