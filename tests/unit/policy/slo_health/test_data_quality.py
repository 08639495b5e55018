"""Reasons for which an SLO isn't judged, in their order."""

from __future__ import annotations

from dataclasses import replace

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.policy.slo_health.data_quality import View, objection
from tests.support.decisions.judged import judged_by
from tests.support.decisions.scenarios import ACCURACY


def test_a_version_without_series_warms_up_first_and_then_has_no_data():
    """Blocks of the length of stable are read only from its promotion on."""
    (slo,) = judged_by(ACCURACY).slos
    promoted = View(
        slo, None, version_has_series=False, now=12, since=12, problem=None, version="v2",
        settles=0, warm_up_end=12,
    )  # fmt: skip
    assert objection(promoted) is Reason.WARMING_UP
    assert objection(replace(promoted, now=13)) is Reason.NO_DATA
