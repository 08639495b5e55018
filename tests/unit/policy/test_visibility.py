"""How small a drop would be seen, and how soon."""

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.policy.slo_health.visibility import describe_visibility, visibility
from sluicegate.stats.counts import NOTHING, Count
from tests.support.decisions.judged import judged_by
from tests.support.decisions.scenarios import ACCURACY

(SLO,) = judged_by(ACCURACY).slos


def seen(accepted, *, since=NOTHING, labels=1200, drift=True):
    """Two hours with so many labels; a baseline of a hold-out, and what came since."""
    baseline = Baseline.of(accepted, 0, 0, BaselineSource.EVALUATION)
    result = SloResult(
        SLO,
        SloState.MET,
        Reason.WITHIN_OBJECTIVE,
        recent=Count(labels // 10, labels),
        baseline=baseline,
        drift=Drift(0.0, 12.5, decides=True) if drift else None,
        budget=since,
    )
    return visibility(result, 300)


def test_a_small_hold_out_is_said_to_see_no_drop_of_three_points():
    found = seen(Count(50, 500))
    assert found.least_drop > 0.06
    assert found.seconds is None
    text = describe_visibility(found, SLO.drop)
    assert "a drop of 6" in text or "a drop of 7" in text
    assert "3 points need a larger baseline" in text


def test_with_what_production_has_shown_it_is_seen_within_hours():
    found = seen(Count(50, 500), since=Count(1500, 15_000))
    assert found.least_drop < 0.03
    assert 3 * 3600 < found.seconds < 12 * 3600
    assert "the allowed 3 points within" in describe_visibility(found, SLO.drop)


def test_half_of_the_labels_take_twice_as_long():
    slow, fast = (seen(Count(1500, 15_000), labels=labels) for labels in (600, 1200))
    assert slow.seconds == pytest.approx(2 * fast.seconds, abs=2)
    assert slow.least_drop > fast.least_drop


def test_nothing_is_promised_where_nothing_is_tested_or_counted():
    assert seen(Count(50, 500), drift=False) is None
    assert seen(Count(50, 500), labels=0) is None


def test_nothing_accepted_and_nothing_seen_since_show_no_drop():
    found = seen(Count(0, 0))
    assert (found.least_drop, found.seconds) == (1.0, None)
