"""Labels whose delay depends on the outcome, on the whole operator: a canary compares the same ages."""

from __future__ import annotations

from typing import Final

import pytest

from benchmarks.virtual.variation import DAY, Variation
from benchmarks.virtual.workloads import Quality
from tests.support.decisions.rollout_world import image
from tests.support.lives.truth import KEY
from tests.support.virtual.stories import (
    BLOCK,
    HOUR,
    RARELY,
    for_days,
    product,
    pushed,
    served,
    slo,
)

WRONG: Final = 0.2
RATE: Final = 0.5
"""Requests a second; each has a label."""
AT_ONCE, LATER = ((1.0, 60.0),), ((1.0, 3000.0),)


def outcome_of(world, key):
    """Return how the rollout of v2 ended; empty before that."""
    model = world.status(key)["specModel"]
    return model.get("outcome", "") if model["version"] == "v2" else ""


def shares_of(world, key):
    """Return the shares of wrong answers of (v2, v1) that the verdict of v2 has."""
    status = world.status(key)
    versions = [status["stable"], *status["history"]]
    verdict = next(version["verdict"] for version in versions if version["version"] == "v2")
    (slo,) = (one for one in verdict["slos"] if one["name"] == "accuracy")
    return tuple(slo[arm]["bad"] / slo[arm]["total"] for arm in ("candidate", "stable"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "candidate", "ends_as"),
    [
        pytest.param(
            AT_ONCE, LATER, 0.30, "RolledBack", id="wrong answers known late: worse is rolled back"
        ),
        pytest.param(
            LATER, AT_ONCE, 0.20, "Promoted", id="complaints come first: equal is promoted"
        ),
    ],
)
@for_days
async def test_label_delays_that_depend_on_the_outcome_favour_neither_version(
    world, right, wrong, candidate, ends_as
):
    world.cluster.variations[KEY] = Variation(
        "delays", labelled=1.0, delays=right, delays_of_wrong=wrong
    )
    world.cluster.set_quality(image("a"), Quality(wrong=WRONG))
    key = await served(world, product(retraining=None, rollout={"steps": [50]}), **RARELY)
    world.cluster.set_rate(key, RATE)
    world.cluster.set_quality(image("b"), Quality(wrong=candidate))
    await world.run(2 * HOUR)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: outcome_of(world, key) in {"Promoted", "RolledBack"}, seconds=DAY)
    assert outcome_of(world, key) == ends_as
    shares = shares_of(world, key)
    assert shares == pytest.approx((candidate, WRONG), abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param(((1.0, 60.0),), ((1.0, 10_000.0),), id="wrong answers known late"),
        pytest.param(((1.0, 10_000.0),), ((1.0, 60.0),), id="complaints come first"),
    ],
)
@for_days
async def test_a_traffic_change_degrades_no_version_before_its_labels_arrive(world, right, wrong):
    """After it, the labels of one outcome are of the earlier share, and those of the other aren't."""
    world.cluster.variations[KEY] = Variation(
        "settling", labelled=1.0, delays=right, delays_of_wrong=wrong
    )
    world.cluster.rates[KEY] = 2 * RATE
    for digit in ("a", "b"):
        world.cluster.set_quality(image(digit), Quality(wrong=WRONG))
    body = product(retraining=None, rollout={"steps": [50]})
    body["spec"]["model"]["evaluation"] = {"accuracy": {"bad": 2000, "total": 10_000}}
    (accuracy,) = body["spec"]["slos"]
    accuracy |= {"onDegraded": "Alert", "indicator": {"outcomes": {"lagSeconds": 10_000}}}
    key = await served(world, body, **RARELY)
    await world.run(HOUR)
    assert slo(world, key) == ("Unknown", "LabelsSettling")
    await world.run(11 * HOUR)
    assert slo(world, key)[0] == "Met"
    # The next canary measures how late labels are.
    world.edit(key, slos=[accuracy | {"indicator": {"outcomes": {}}}])
    await world.run(12 * HOUR)
    world.edit(key, model=pushed("b", "v2"))
    states = set()
    while outcome_of(world, key) != "Promoted" or world.loop.time() < 60 * HOUR:
        await world.run(BLOCK)
        states.add(slo(world, key))
        assert world.loop.time() < 5 * DAY
    assert not {state for state, _ in states} & {"Missed", "AtRisk"}, states
    assert ("Unknown", "LabelsSettling") in states
    assert slo(world, key)[0] == "Met"
