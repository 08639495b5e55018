"""How small a drop would be seen, and how soon."""

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.policy.slo_health.visibility import describe_visibility, visibility
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import judged_by
from tests.support.decisions.scenarios import ACCURACY

(SLO,) = judged_by(ACCURACY).slos


def seen(before, *, labels=1200, drift=True, phi=1.0, unit=12):
    """Return two hours with so many labels, after these events."""
    result = SloResult(
        SLO,
        SloState.MET,
        Reason.WITHIN_OBJECTIVE,
        recent_count=Count(labels // 10, labels),
        baseline=Baseline.of(Count(50, 500), 0, 0, BaselineSource.EVALUATION),
        drift=Drift(0.0, 12.5, decides=True, count_before=before, phi=phi, unit=unit)
        if drift
        else None,
    )
    return visibility(result, 300)


def test_the_visibility_message_of_a_small_hold_out_names_three_points_as_undetectable():
    found = seen(Count(50, 500))
    assert found.min_drop > 0.06
    assert found.seconds is None
    text = describe_visibility(found, SLO.drop)
    assert "a drop of 6" in text or "a drop of 7" in text
    assert "one of 3 points (maxDrop) would surely be seen only with more events" in text


def test_a_drop_of_three_points_is_detectable_within_hours_with_a_production_baseline():
    found = seen(Count(6500, 65_000))
    assert found.min_drop < 0.03
    assert 8 * 3600 < found.seconds < 14 * 3600
    assert "one of 3 points (maxDrop) within" in describe_visibility(found, SLO.drop)


def test_the_detection_time_grows_with_dispersion_and_by_a_day_for_a_daily_test():
    before = Count(65_000, 650_000)
    calm, noisy, daily = seen(before), seen(before, phi=4.0), seen(before, unit=288)
    assert noisy.seconds == pytest.approx(4 * calm.seconds, rel=0.35)
    assert noisy.min_drop == pytest.approx(2 * calm.min_drop, rel=0.01)
    assert daily.seconds - calm.seconds == 23 * 3600


def test_half_of_the_labels_double_the_detection_time():
    slow, fast = (seen(Count(6500, 65_000), labels=labels) for labels in (600, 1200))
    waits = 15 * 300
    assert slow.seconds - waits == pytest.approx(2 * (fast.seconds - waits), abs=2)
    assert slow.min_drop > fast.min_drop


def test_no_detection_time_is_stated_where_no_test_runs_or_no_event_is_counted():
    assert seen(Count(50, 500), drift=False) is None
    assert seen(Count(50, 500), labels=0) is None


def test_without_baseline_events_no_drop_is_detectable():
    found = seen(Count(0, 0))
    assert (found.min_drop, found.seconds) == (1.0, None)
