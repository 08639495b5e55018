"""What was measured while a cause outside the model was there, once it is gone."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import SloRecord
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.diagnosis.disturbances import evidence_restarted, with_disturbances
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.counts import NOTHING
from tests.support.decisions.judged import BLOCK, baseline, judged_by, observed, series, serving
from tests.support.decisions.scenarios import ACCURACY

BASKET = {"name": "basket", "indicator": {"gauge": {"metric": "basket"}}, "maxDrop": "4"}
TERMS = judged_by(ACCURACY, BASKET)
COUNTED, GAUGE = TERMS.slos
BEGAN, NOW = 30, 40


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
