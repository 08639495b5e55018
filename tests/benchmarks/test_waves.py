"""Some models become worse at the same moment, then two fifths of all do."""

from __future__ import annotations

import pytest

from benchmarks.measure import Plan
from benchmarks.sluicegate_contender import Sluicegate
from tests.benchmarks.measuring import Found, measured

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
WAVES = Plan(scenarios=("degradations", "commonCause"), limit_seconds=200.0)


@pytest.fixture(scope="module")
def waves() -> Found:
    """Return both waves, one after the other."""
    return measured(60, WAVES, Sluicegate().hurried())


def test_models_degraded_together_are_retrained_within_the_training_budget(waves):
    wave = waves["degradations"]
    assert wave["foundDegraded"] == wave["products"] == wave["jobs"] > 4, wave["causes"]
    assert wave["mostAtOnce"] == 2
    assert wave["mostInNamespace"] == 1


def test_products_degraded_together_are_retrained_in_order_of_priority(waves):
    wave = waves["degradations"]
    assert wave["priorityInversions"] == 0, wave["passedOver"]


def test_a_degradation_of_two_fifths_of_all_products_starts_no_training(waves):
    wave = waves["commonCause"]
    assert wave["jobs"] == 0
    assert wave["causes"] == {"CommonCause": wave["products"]}
