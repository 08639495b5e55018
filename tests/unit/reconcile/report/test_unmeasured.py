"""A service level that can't be measured is reported: its product isn't Healthy, nor are all SLOs met."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import ConditionType
from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from sluicegate.slo.blocks import Block, Quality, Series
from tests.support.decisions.rollout_world import ACCURACY, RUNTIME, World, document, serving_world
from tests.support.decisions.scenarios import AVAILABILITY, BLOCK, count, product, run, scenario

FEEDBACK = {"feedback": {"secretRef": {"name": "search-feedback"}}}
WITHOUT = {"runtimeImage": RUNTIME, "replicas": 4}


DAY = 24 * 12
"""Blocks."""


def told(serving, *, blocks=40, read=True):
    """Return the status of a product whose availability is counted, and no truth ever was, nor `read`."""
    owed = [{**AVAILABILITY, "objective": "0.5"}, ACCURACY]
    world = World(spec=document(slos=owed, serving=serving)).run(blocks)
    observation = world.observation()
    (version, series), *_ = observation.observed.series.items()
    truths = Series()
    if read:
        truths.record(Block(observation.observed.block, Quality.NO_SERIES))
    seen = {version: {"availability": series["accuracy"], "accuracy": truths}}
    observation = replace(observation, observed=replace(observation.observed, series=seen))
    return report(observation, make_plan(observation))


@pytest.mark.parametrize(
    ("serving", "blocks", "state", "reason", "way_out"),
    [
        (WITHOUT, 40, "Unknown", "NoFeedbackKey", "set serving.feedback.secretRef"),
        ({**WITHOUT, **FEEDBACK}, 40, "Healthy", "NoData", "there is no such series"),
        ({**WITHOUT, **FEEDBACK}, DAY + 40, "Unknown", "NoLabels", "to /feedback"),
    ],
    ids=["feedback is missing", "labels may come", "no label came for a day"],
)
def test_the_slos_met_condition_is_true_only_if_all_slos_are_known(
    serving, blocks, state, reason, way_out
):
    status = told(serving, blocks=blocks)
    met = find_condition(status.conditions, ConditionType.SLO_MET)
    ready = find_condition(status.conditions, ConditionType.READY)
    assert status.state == state
    assert (met.status, met.reason) == ("Unknown", reason)
    assert met.message.startswith("accuracy is unknown")
    assert way_out in met.message
    assert "availability" not in met.message
    assert ready.status == "True"
    assert status.summary.reason == (reason if state == "Unknown" else "")


def test_an_slo_that_was_just_added_to_an_old_version_is_not_called_without_labels():
    status = told({**WITHOUT, **FEEDBACK}, blocks=DAY + 20, read=False)
    assert find_condition(status.conditions, ConditionType.SLO_MET).reason == "NoData"


@pytest.mark.parametrize(("blocks", "status"), [(0, None), (40, "True")])
def test_no_market_is_called_met_before_anything_is_measured(blocks, status):
    counted = {**WITHOUT, **FEEDBACK, "market": {"from": "Header"}}
    body = document(slos=[ACCURACY], serving=counted, markets=["FR", "AT"])
    world = World(spec=body).run(40)
    observation = world.observation()
    if not blocks:
        read = replace(observation.observed, series={})
        observation = replace(observation, observed=read)
    found = find_condition(
        report(observation, make_plan(observation)).conditions, ConditionType.MARKETS_MET
    )
    assert (found and found.status) == status


def test_the_slo_conditions_are_not_yet_observed_while_the_first_version_starts():
    world = World(spec=document())
    world.settle()
    world.step()
    for kind in (ConditionType.SLO_MET, ConditionType.METRICS_AVAILABLE):
        one = find_condition(world.current.conditions, kind)
        assert (one.status, one.reason) == ("Unknown", "NotYetObserved")


def test_labels_counted_without_the_feedback_of_the_library_are_evaluated():
    script = {"v1": {"availability": count(0, 1200), "accuracy": count(10, 100)}}
    last = {"v1": {"availability": count(0, 1200)}}
    spec = product(serving=None)
    lines = run(scenario(lambda index: script if index < 60 else last, 120, product=spec))
    assert lines[50]["slos"]["accuracy"]["state"] == "Met"
    assert lines[-1]["slos"]["accuracy"]["reason"] == "NoData"


def test_a_product_that_had_labels_once_is_not_reported_as_without_labels():
    served = {"v1": {"availability": count(0, 1200)}}
    labelled = {"v1": {"availability": count(0, 1200), "accuracy": count(10, 100)}}
    begun, ended = DAY + 40, DAY + 60
    lines = run(scenario(lambda index: labelled if begun <= index < ended else served, 2 * DAY))
    said = {line["at"] // BLOCK: line for line in lines}
    assert (said[begun - 1]["state"], said[begun - 1]["decision"]["reason"]) == (
        "Unknown",
        "NoLabels",
    )
    assert said[ended - 1]["state"] == "Healthy"
    assert lines[-1]["slos"]["accuracy"]["reason"] == "NoData"
    assert lines[-1]["state"] == "Healthy"


def test_a_held_candidate_names_the_unknown_slo():
    script = {"v1": {"availability": count(0, 1200)}}
    line = run(scenario(lambda _index: script, 30, product=product(serving=None)))[-1]
    assert (line["state"], line["decision"]["reason"]) == ("Unknown", "NoFeedbackKey")


def test_without_measurements_status_keeps_the_last_known_values():
    world = serving_world(20)
    assert (world.current.state, world.current.engine.last_known_state) == ("Healthy", "Healthy")
    world.bad["v1"] = 0.5
    world.until(lambda one: one.current.state == "Degraded", most=60)
    world.is_measured = False
    world.run(30)
    assert (world.current.state, world.current.engine.last_known_state) == ("Unknown", "Degraded")
    world.is_measured, world.bad["v1"] = True, 0.1
    world.until(lambda one: one.current.state == "Healthy")
    assert world.current.engine.last_known_state == "Healthy"
