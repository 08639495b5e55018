"""Simulated alarms: a healthy product is left alone, a broken one is found quickly."""

import pytest

from sluicegate.simulation.degradation import degradation
from sluicegate.simulation.scenario import Imagined, scenario_of
from tests.support.decisions.canary_products import canary_terms

pytestmark = pytest.mark.slow

TERMS = canary_terms(("availability", "0.99", "0.01"))


def _found(candidate_bad, **traffic):
    imagined = Imagined(
        600.0, 0.0, {"availability": 0.003}, {"availability": candidate_bad}, **traffic
    )
    return degradation(TERMS, scenario_of(TERMS, imagined), seed=1)[0]


def test_a_healthy_product_is_not_retrained_in_the_simulation():
    found = _found(0.003)
    assert found.false_alarms == 0.0
    assert found.detected is None


@pytest.mark.parametrize(("candidate_bad", "within"), [(1.0, 30.0), (0.3, 60.0), (0.02, 600.0)])
def test_a_larger_drop_is_detected_sooner(candidate_bad, within):
    found = _found(candidate_bad)
    assert found.detected == 1.0
    assert found.median_minutes <= found.p90_minutes <= within


def test_an_slo_without_events_raises_no_alarm_and_detects_no_drop():
    terms = canary_terms(("accuracy", "0.9", "0.01"))
    imagined = Imagined(600.0, 0.0, {"accuracy": 0.0}, {"accuracy": 0.5})
    found = degradation(terms, scenario_of(terms, imagined), seed=1)[0]
    assert (found.alarms, found.detected, found.median_minutes) == (0, 0.0, None)


def test_a_drop_is_detected_so_much_later_as_its_labels_are():
    terms = canary_terms(("accuracy", "0.9", "0.01"))

    def median(label_delay_minutes):
        imagined = Imagined(
            600.0,
            20.0,
            {"accuracy": 0.05},
            {"accuracy": 0.3},
            label_delay_minutes=label_delay_minutes,
        )
        return degradation(terms, scenario_of(terms, imagined), seed=1)[0].median_minutes

    assert median(1440) == pytest.approx(median(0) + 1440, abs=30)
