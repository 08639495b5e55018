"""What was measured while a cause outside the model was there, once it is gone."""

from __future__ import annotations

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.api.engine import SloRecord, TimeInterval
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.cli.trials.newest_blocks import UNREAD
from sluicegate.policy.diagnosis.disturbances import evidence_restarted, with_disturbances
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.market_results import judge_by_market
from sluicegate.policy.slo_health.messages import describe
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.counts import NOTHING
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

BASKET = {"name": "basket", "indicator": {"gauge": {"metric": "basket"}}, "maxDrop": "4"}
TERMS = judged_by(ACCURACY, BASKET)
COUNTED, GAUGE = TERMS.slos
BEGAN, NOW = 30, 40
LATE = 12 * 30


@pytest.mark.parametrize(
    ("slo", "counts", "ignored"),
    [
        (COUNTED, [(11, 100)] * NOW, True),  # the baseline accepts 10.6 %
        (COUNTED, [(10, 100)] * NOW, False),
        (COUNTED, None, False),
        (GAUGE, None, True),
    ],
    ids=["worse", "as accepted", "nothing counted", "a gauge"],
)
def test_possibly_worse_counts_of_a_disturbance_are_excluded_even_if_the_slo_is_met_now(
    slo, counts, ignored
):
    known = baseline(slo, 1000, 10_000)
    result = SloResult(slo, SloState.MET, Reason.WITHIN_OBJECTIVE, NOTHING, known)
    record = SloRecord(disturbance_start_time=BEGAN * BLOCK, terms_hash=slo.hash)
    status = serving(slos={slo.name: record})
    measured = {"v1": {slo.name: series(*counts)}} if counts else {}
    read = observed(block=NOW, series=measured)
    after = with_disturbances(TERMS, status, read, (result,), diagnoses=())
    assert after.engine.slo(slo.name).disturbance_start_time is None
    assert evidence_restarted(status, after) is ignored


def test_a_disturbance_does_not_end_for_a_reader_without_the_cluster():
    record = SloRecord(disturbance_start_time=BEGAN * BLOCK, terms_hash=COUNTED.hash)
    status = serving(slos={COUNTED.name: record})
    result = SloResult(COUNTED, SloState.MISSED, Reason.BASELINE_DROPPED)
    read = observed(block=NOW, facts=UNREAD.facts)
    assert with_disturbances(TERMS, status, read, (result,), diagnoses=()) is status


def test_an_old_disturbance_is_no_reason_where_no_event_came_since_the_evidence_began():
    interval = TimeInterval(begin=12 * BLOCK, end=24 * BLOCK)
    record = SloRecord(
        ignored_intervals=(interval,), since=(LATE - 12) * BLOCK, terms_hash=COUNTED.hash
    )
    known = stable(accuracy=baseline(COUNTED, 1000, 10_000))
    status = serving(stable=known, slos={COUNTED.name: record})
    counts = series(*[(10, 100)] * (LATE - 12), *[(0, 0)] * 12)
    read = observed(block=LATE, series={"v1": {COUNTED.name: counts}})
    results, _ = judge_stable(TERMS, status, known, read)
    assert "don't count" not in describe(results[0], BLOCK)


@pytest.mark.parametrize("left_out", [True, False])
def test_events_that_do_not_count_are_named_and_no_market_is_met_by_older_ones(left_out):
    interval = TimeInterval(begin=(LATE - 24) * BLOCK, end=LATE * BLOCK)
    record = SloRecord(ignored_intervals=(interval,) * left_out, terms_hash=COUNTED.hash)
    known = stable(accuracy=baseline(COUNTED, 1000, 10_000))
    status = serving(stable=known, slos={COUNTED.name: record})
    counts = series(*[(10, 100)] * LATE)
    quiet = series(*[(10, 100)] * (LATE - 24), *[(0, 0)] * 24)
    markets = {COUNTED.name: {"AT": quiet, "DE": counts}}
    read = observed(block=LATE, series={"v1": {COUNTED.name: counts}}, markets=markets)
    results, _ = judge_stable(TERMS, status, known, read)
    states, _ = judge_by_market(TERMS, status, known, observed=read, results=results)
    found, text = states[COUNTED.name], describe(results[0], BLOCK)
    by_name = [("AT", SloState.MET), ("DE", SloState.MET)]
    worst_first = [("DE", SloState.UNKNOWN), ("AT", SloState.MET)]
    assert [(each.market, each.state) for each in found] == (worst_first if left_out else by_name)
    end = rfc3339(LATE * BLOCK)
    assert (f"its events up to {end} don't count, as a cause outside the model" in text) is left_out
