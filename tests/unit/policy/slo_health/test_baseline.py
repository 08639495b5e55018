"""Which baseline counts, and what it may decide."""

from __future__ import annotations

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import SloRecord
from sluicegate.policy.slo_health.baseline import (
    decides,
    from_evaluation,
    from_production,
    usable_baseline,
)
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.ratio_slo import judge, shown_block_count
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import dispersion
from tests.support.decisions.judged import (
    BLOCK,
    baseline,
    judged_by,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

(SLO,) = judged_by({**ACCURACY, "objective": "0.9"}).slos


@pytest.mark.parametrize(
    ("counted", "counts"), [(SLO.indicator_hash, True), ("", True), ("another", False)]
)
def test_a_baseline_is_used_only_if_it_was_counted_by_the_same_indicator(counted, counts):
    """Before indicators were hashed, none was noted."""
    known = baseline(SLO, 10, 100, indicator_hash=counted)
    assert usable_baseline(known, SLO) == (known if counts else None)
    assert usable_baseline(None, SLO) is None


def test_a_hold_out_without_rows_gives_no_baseline():
    found = from_evaluation({"accuracy": Count(0, 0), "gone": Count(1, 10)}, (SLO,), 0)
    assert found == {}


@pytest.mark.parametrize(
    ("total", "source", "may"),
    [
        (25, BaselineSource.EVALUATION, True),
        (24, BaselineSource.EVALUATION, False),
        (1, BaselineSource.PRODUCTION, True),
    ],
)
def test_a_hold_out_baseline_may_cause_a_degradation_only_if_large_enough_to_prove_the_objective(
    total, source, may
):
    """Wilson's upper bound of none bad in n is 1.645²/(n + 1.645²): below .1 from 25 events on."""
    assert decides(baseline(SLO, 0, total).replace(source=source), SLO) is may


@pytest.mark.parametrize(("age", "shown"), [(0, 1), (1, 1), (2, 2), (24, 24), (25, 24)])
def test_a_young_version_shows_the_blocks_since_its_start_and_at_least_one(age, shown):
    assert shown_block_count(SLO, 100, 100 - age) == shown


BURSTS = [(12 * (index % 4 == 0), 40 + index % 5) for index in range(1, 12 * 200 + 6)]
"""Bad events of 200 hours and five blocks, all in each fourth block."""


def sums(counts):
    return Count(sum(bad for bad, _ in counts), sum(total for _, total in counts))


@pytest.mark.parametrize(
    ("seasonality", "since", "steady", "first"),
    [("Auto", 2, 0, 12), ("Auto", 12, 0, 12), ("Auto", 13, 0, 24), ("Weekly", 2, 30, 36)],
)
def test_a_production_baseline_has_whole_hours_since_the_slo_was_stable(
    seasonality, since, steady, first
):
    (slo,) = judged_by({**ACCURACY, "seasonality": seasonality}).slos
    found = from_production(
        slo,
        SloRecord(steady_start_time=steady * BLOCK),
        series(*BURSTS),
        now=len(BURSTS),
        since=since,
        block_seconds=BLOCK,
    )
    last, singles = 12 * 200, len(BURSTS) - 72
    by_day = [BURSTS[max(day * 288, first) : min((day + 1) * 288, last)] for day in range(9)]
    weekdays = [sums(by_day[day] + (by_day[day + 7] if day < 2 else [])) for day in range(7)]
    assert found == Baseline.of(
        sums(BURSTS[first:last]),
        first * BLOCK,
        last * BLOCK,
        BaselineSource.PRODUCTION,
        phi=dispersion(Count(*burst) for burst in BURSTS[singles:last]),
        hour_phi=found.hour_phi,
        daily=seasonality == "Weekly",
        weekdays=tuple(weekdays) if seasonality == "Weekly" else (),
        indicator_hash=slo.indicator_hash,
    )
    assert found.phi > 1
    assert found.hour_phi >= found.phi


DAY = 12 * 26


@pytest.mark.parametrize(
    ("fields", "newest", "accepted", "record", "learnt"),
    [
        ({"objective": "0.8"}, (10, 100), None, {}, True),
        ({}, (10, 100), None, {}, True),
        ({"objective": "0.8"}, (10, 100), BaselineSource.EVALUATION, {}, True),
        ({"objective": "0.8"}, (10, 100), BaselineSource.PRODUCTION, {}, False),
        ({"objective": "0.8"}, None, None, {}, False),
        ({}, None, None, {}, False),
        ({"objective": "0.95"}, (10, 100), None, {}, False),
        ({"objective": "0.8"}, (10, 100), None, {"degraded": True}, False),
        ({"objective": "0.8"}, (10, 100), None, {"disturbance_start_time": 0}, False),
        ({"objective": "0.8"}, (10, 100), None, {"steady_start_time": BLOCK * 12 * 3}, False),
    ],
    ids=[
        "it is met", "nothing says what is good", "only a hold-out is known", "it is known", "no newest block",
        "neither", "it is missed", "it is degraded", "a cause outside is there", "not for a day",
    ],
)  # fmt: skip
def test_a_production_baseline_is_recorded_once_while_the_slo_is_healthy(
    fields, newest, accepted, record, learnt
):
    terms = judged_by({**ACCURACY, **fields})
    (slo,) = terms.slos
    known = {"accuracy": baseline(slo, 100, 1000).replace(source=accepted)} if accepted else {}
    kept = SloRecord(**{"steady_start_time": 0, "terms_hash": slo.hash, **record})
    blocks = series(*[(10, 100)] * (DAY - 1), *([newest] if newest else []))
    read = observed(block=DAY, series={"v1": {"accuracy": blocks}})
    status = serving(stable=stable(**known), slos={"accuracy": kept})
    _, after = judge_stable(terms, status, status.stable, read)
    assert (after.stable.baseline != known) is learnt


@pytest.mark.parametrize(
    ("seasonality", "hours", "learnt"),
    [("Auto", 23, False), ("Auto", 24, True), ("Weekly", 167, False), ("Weekly", 168, True)],
)
def test_a_production_baseline_covers_whole_days(seasonality, hours, learnt):
    (slo,) = judged_by({**ACCURACY, "seasonality": seasonality}).slos
    found = from_production(
        slo,
        SloRecord(steady_start_time=0),
        series(*[(10, 100)] * (12 * hours)),
        now=12 * hours,
        since=0,
        block_seconds=BLOCK,
    )
    assert (found is not None) is learnt


# ---- what is calm, and what is fresh ----------------------------------------------------------
def judged(*counts):
    (slo,) = judged_by({**ACCURACY, "objective": "0.7"}).slos
    known = baseline(slo, 800, 10_000)
    return judge(
        slo, series(*counts), baseline=known, now=len(counts), since=0, drift_since=0, shown_since=0
    )


def test_an_slo_is_met_while_its_drift_evidence_is_below_half_of_the_bound():
    found = [judged(*[(bad, 1000)] * 12) for bad in range(70, 130)]
    halves = [2 * one.drift.statistic / one.drift.bound for one in found]
    assert [one.is_calm for one in found] == [half < 1 for half in halves]
    assert any(1 <= half < 2 for half in halves), "else no half is seen"


def test_a_block_is_fresh_with_at_least_one_event():
    assert judged(*[(8, 100)] * 12, (0, 1)).is_fresh
    assert not judged(*[(8, 100)] * 12, (0, 0)).is_fresh
