"""What a version brought, in all places where people read it, after a decay of the whole operator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, EVENTS
from sluicegate.prometheus.timing import Timing
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.text import markdown
from sluicegate.reporting.words import report_sentence
from sluicegate.reviews.store import read_review
from sluicegate.reviews.subject import subject_of
from sluicegate.views.product import versions
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BAD,
    HOUR,
    RARELY,
    TRAINED,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.api.review import DataProductReview
    from sluicegate.kube.resources import Key

GAIN = r"accuracy rose by [23]\d\.\d points \[[23]\d\.\d, [34]\d\.\d\]"
AVAILABILITY = {
    "name": "availability", "indicator": {"availability": {}}, "objective": "0.99",
    "maxRegression": "0.005",
}  # fmt: skip


def judged() -> dict[str, Any]:
    """Return a product of which availability takes longer to be judged than the SLO that is retrained for."""
    body = product(review={"every": "Week", "startDate": "2025-10-01"})
    body["spec"]["slos"].append(AVAILABILITY)
    return body


def ledger(world: World) -> DataProductReview:
    """Return the open review."""
    newest = max(world.server.all(DATA_PRODUCT_REVIEWS), key=lambda one: one["metadata"]["name"])
    return read_review(newest)


def history(world: World, key: Key) -> dict[str, dict[str, Any]]:
    """Return the versions as the plugin lists them, by name."""
    body = {"metadata": {"generation": 1}, "spec": {}, "status": world.status(key)}
    return {version["version"]: version for version in versions(body)}


@on_virtual_time
async def test_a_version_promoted_before_its_labels_arrived_has_the_change_on_the_hold_out(world):
    body = judged()
    (accuracy, _) = body["spec"]["slos"]
    accuracy["indicator"] = {"outcomes": {"lagSeconds": 40_000}}
    key = await served(world, body, **RARELY)
    pairs = {
        "bothRight": 5900,
        "onlyStableWrong": 3100,
        "onlyCandidateWrong": 100,
        "bothWrong": 900,
    }
    report = TRAINED | {"pairs": {"accuracy": pairs}}
    world.cluster.trainings[key] = Training(seconds=600, report=report)
    await world.run(HOUR)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=6 * HOUR)
    message = world.status(key)["decision"]["message"]
    await world.run(1.1 * HOUR)  # the ledger is written once an hour

    gain = r"on the hold-out accuracy rose by 30\.0 points \[\d\d\.\d, \d\d\.\d\]"
    assert re.search(
        rf"{gain}: 90\.0 % \(n=10,000\) against stable's 60\.0 % \(n=10,000\)", message
    )
    assert re.match(r"hold-out accuracy \+30\.0 \[", history(world, key)["v2-trained"]["brought"])
    assert re.search(rf"v2-trained: {gain}", report_sentence(facts_of(ledger(world), None)))


@pytest.mark.slow
@on_virtual_time
async def test_a_promotion_reports_its_change_of_the_slo_that_the_training_was_for(world):
    key = await served(world, judged(), **RARELY)
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=9 * HOUR)
    decision = world.status(key)["decision"]
    await world.run(1.1 * HOUR)  # the ledger is written once an hour

    assert re.match(rf"v2-trained replaces v1: {GAIN}", decision["message"])
    (event,) = [event for event in world.server.all(EVENTS) if event["reason"] == "Promoted"]
    assert re.search(GAIN, event["note"])
    stable = world.status(key)["stable"]
    assert (stable["causeSlo"], stable["verdict"]["type"]) == ("accuracy", "Promote")
    assert stable["verdict"]["message"] == decision["message"]
    assert re.match(r"accuracy \+[23]\d\.\d \[", history(world, key)["v2-trained"]["brought"])
    review = ledger(world)
    (candidate,) = review.status.candidates
    assert (candidate.outcome, candidate.cause_slo) == ("Promoted", "accuracy")
    assert {slo.name for slo in candidate.slos} == {"accuracy", "availability"}
    facts = facts_of(review, None)
    assert re.search(rf"v2-trained: {GAIN}\.", report_sentence(facts))
    assert re.search(
        rf"v2-trained promoted \(canary not worse\): {GAIN}.*\. Tried: retrained: model decay of accuracy\n",
        markdown([facts]).replace("\\", ""),
    )


@pytest.mark.slow
@on_virtual_time
async def test_a_rolled_back_version_keeps_the_change_measured_by_its_canary(world):
    key = await served(world, judged(), **RARELY)
    world.cluster.set_quality(image("b"), BAD)
    await world.run(HOUR)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(
        lambda: any(
            past_version["version"] == "v2"
            for past_version in world.status(key).get("history") or ()
        ),
        seconds=9 * HOUR,
    )
    await world.run(1.1 * HOUR)

    assert history(world, key)["v2"]["brought"].startswith("accuracy -")
    subject = subject_of(DataProduct.parse(world.server.get(DATA_PRODUCTS, key)), Timing())
    assert subject is not None
    (candidate,) = subject.candidates
    assert (candidate.version, candidate.outcome) == ("v2", "RolledBack")
    assert {slo.name for slo in candidate.slos} == {"accuracy", "availability"}


@on_virtual_time
async def test_a_version_keeps_the_experiment_labels_of_its_bento(world):
    first = {"hypothesis": "a first ranking", "author": "ana"}
    second = {"hypothesis": "margins raise accuracy", "author": "bo", "git-revision": "0a1b2c3"}
    world.cluster.set_quality(image("a"), Quality(labels=tuple(first.items())))
    world.cluster.set_quality(image("b"), Quality(labels=tuple(second.items()), wrong=0.6))
    key = await served(world, judged(), **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: "history" in world.status(key), seconds=12 * HOUR)
    await world.run(1.1 * HOUR)  # the ledger is written once an hour

    stated = {"hypothesis": "margins raise accuracy", "author": "bo", "gitRevision": "0a1b2c3"}
    (refused,) = world.status(key)["history"]
    assert (refused["outcome"], refused["iteration"]) == ("RolledBack", stated)
    assert world.status(key)["stable"]["iteration"] == first
    (candidate,) = ledger(world).status.candidates
    assert candidate.iteration.to_dict() == stated
    report = markdown([facts_of(ledger(world), None)])
    assert "Tried: margins raise accuracy (by bo, revision 0a1b2c3, pushed)" in report
