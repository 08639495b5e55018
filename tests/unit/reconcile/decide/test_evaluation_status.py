"""The numbers that status shows of an evaluation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.engine import ProductState, SloRecord
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import CheckVerdict
from sluicegate.policy.diagnosis.checks import CheckResult, DiagnosisResult
from sluicegate.policy.evaluate import Evaluation
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.reconcile.decide.evaluation_status import with_figures
from sluicegate.stats.counts import NOTHING, Count
from tests.support.decisions.judged import baseline, judged_by, serving
from tests.support.decisions.scenarios import ACCURACY

(SLO,) = judged_by({**ACCURACY, "objective": "0.8"}).slos
SHOWN = SloResult(
    SLO,
    SloState.AT_RISK,
    Reason.BASELINE_DROPPED,
    recent_count=Count(150, 1000),
    baseline=baseline(SLO, 99, 999),
    drift=Drift(6.25, 12.5, decides=True),
    budget=Count(300, 3000),
)


def evaluation(*results: SloResult, **fields) -> Evaluation:
    hold = Hold(reason=Reason.WITHIN_OBJECTIVE, message="")
    known = {"diagnosis": None, "assessment": None, "status": serving(), **fields}
    return Evaluation(hold, ProductState.DEGRADED, results, **known)


def shown(result: SloResult, **fields):
    after = with_figures(serving(**fields), evaluation(result), block_seconds=300)
    assert after.state is ProductState.DEGRADED
    return after.slos[0]


def test_the_output_shows_an_slo_as_the_share_of_good_events_beside_its_baseline():
    found = shown(SHOWN)
    assert (found.ratio, found.bad, found.total, found.objective) == ("0.85", 150, 1000, "0.8")
    assert found.baseline_ratio == "0.9005"  # one of two is bad before any is seen
    assert float(found.drop) == pytest.approx(0.15 - 0.0995)
    lower, upper = map(float, found.interval)
    assert 0 < lower < float(found.drop) < upper < 0.1
    assert float(found.budget_remaining) == pytest.approx(1 - 300 / (0.2 * 3000))
    assert found.degraded is False


SILENT = replace(
    SHOWN,
    state=SloState.UNKNOWN,
    reason=Reason.INSUFFICIENT_DATA,
    recent_count=NOTHING,
    budget=NOTHING,
)


def test_the_status_of_an_slo_without_events_has_its_accepted_baseline():
    found = shown(SILENT)
    assert (found.ratio, found.objective, found.budget_remaining) == (None, "0.8", None)
    assert (found.baseline_ratio, found.drop, found.interval) == ("0.9005", None, ())


@pytest.mark.parametrize("accepted", [None, baseline(SLO, 0, 0)])
def test_an_slo_without_objective_and_baseline_shows_neither(accepted):
    terms = replace(SLO, objective=None, allowed_bad_ratio=None)
    found = shown(
        replace(SILENT, terms=terms, baseline=accepted, drift=None, recent_count=Count(1, 4))
    )
    assert (found.ratio, found.objective, found.budget_remaining) == ("0.75", None, None)
    assert (found.baseline_ratio, found.drop, found.interval) == (None, None, ())


def test_the_status_of_a_gauge_has_its_mean_and_its_confirmed_degradation():
    found = shown(replace(SHOWN, gauge=41.5), slos={"accuracy": SloRecord(degraded=True)})
    assert (found.ratio, found.degraded) == ("41.5", True)


@pytest.mark.parametrize(
    ("cause", "begun"), [(Reason.MODEL_DECAY, 1000), (Reason.UPSTREAM_DEGRADED, 2000)]
)
def test_a_diagnosis_keeps_its_time_while_its_cause_is_the_same(cause, begun):
    finding = CheckResult(Reason.NODE_BUSY, CheckVerdict.CLEAR, "no node is busy")
    status = serving()
    for now, one in ((1000, Reason.MODEL_DECAY), (2000, cause)):
        diagnosis = DiagnosisResult("accuracy", one, "why", (finding,))
        found = evaluation(SHOWN, diagnosis=diagnosis)
        status = with_figures(status, found, block_seconds=300, now=now)
    told = status.diagnosis
    assert (told.cause, told.message, told.diagnosis_time) == (cause, "why", begun)
    assert [(one.check, one.verdict, one.message) for one in told.evidence] == [
        (Reason.NODE_BUSY, CheckVerdict.CLEAR, "no node is busy")
    ]
    assert with_figures(status, evaluation(SHOWN), block_seconds=300).diagnosis is None
