"""Where no label is counted, the product names the Secret that feedback can't do without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import ConditionType
from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from sluicegate.slo.blocks import Series
from tests.support.decisions.rollout_world import ACCURACY, RUNTIME, World, document

SERVING = {"runtimeImage": RUNTIME, "replicas": 4}
FEEDBACK = {"feedback": {"secretRef": {"name": "search-feedback"}}}


def message(serving, *, labels):
    """What MetricsAvailable says, of a product that has labels or none."""
    world = World(spec=document(slos=[ACCURACY], serving=serving)).run(40)
    observation = world.observation()
    if not labels:
        (version,) = observation.observed.series
        silent = {version: {"accuracy": Series()}}
        observation = replace(observation, observed=replace(observation.observed, series=silent))
    status = report(observation, make_plan(observation))
    condition = find_condition(status.conditions, ConditionType.METRICS_AVAILABLE)
    return condition.message


def test_the_secret_is_named_while_no_label_is_counted():
    said = message({**SERVING, **FEEDBACK}, labels=False)
    assert "the Secret search-feedback of spec.serving.feedback.secretRef" in said
    assert "hmac and bearer, each of at least 16 bytes" in said


@pytest.mark.parametrize(("serving", "labels"), [({**SERVING, **FEEDBACK}, True), (SERVING, False)])
def test_it_is_not_where_labels_are_counted_or_feedback_is_not_set(serving, labels):
    assert "Secret" not in message(serving, labels=labels)
