"""A product whose accuracy follows an upstream's release is not retrained; one that decays by itself is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.virtual.cluster import Effect
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.variation import Scatter, Variation
from benchmarks.virtual.workloads import Quality
from sluicegate.policy.diagnosis.upstream_release import BLOCKS_BEFORE
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    for_days,
    on_virtual_time,
    opened,
    product,
    pushed,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from benchmarks.virtual.variation import Delays
    from sluicegate.kube.resources import Key

LOST: Final = 0.2
"""Of the consumer's predictions, that become wrong with all of the upstream's traffic on v2."""
AVAILABLE: Final = {
    "name": "availability",
    "objective": "0.9",
    "maxRegression": "0.03",
    "indicator": {"availability": {}},
}
ACCURATE: Final = {
    "name": "accuracy",
    "objective": "0.85",
    "maxDrop": "0.05",
    "indicator": {"outcomes": {}},
    "onDegraded": "Alert",
}
COMPARED: Final = BLOCKS_BEFORE // 12 + 1
"""Hours of blocks of five minutes."""
STEPS: Final = {"steps": [5, 25, 50], "maxDurationSeconds": 86_400}


async def served_for(
    world: World,
    hours: int,
    *,
    delays: Delays = ((1.0, 0.0),),
    approval: str = "Automatic",
    slos: tuple[dict[str, Any], ...] = (AVAILABLE,),
) -> tuple[Key, Key]:
    """Return pricing and search, which depends on it, in service for some hours.

    `delays` are those of labels, `slos` those of pricing.
    """
    pricing = world.apply(
        product(
            "pricing",
            model=pushed("c", "v1"),
            slos=list(slos),
            retraining=None,
            rollout=STEPS | {"approval": approval},
        )
    )
    search = world.apply(product("search", dependsOn=[{"name": "pricing"}]))
    for key in (pricing, search):
        world.cluster.variations[key] = Variation(
            f"upstream {key.name}", wrong=Scatter(), labelled=0.5, delays=delays
        )
        world.cluster.set_rate(key, 4.0)
    world.start(**RARELY)
    await world.until(lambda: serving(world, search) == "v1", seconds=60)
    await world.run(hours * HOUR)
    return pricing, search


async def consumed(
    world: World, *, delays: Delays = ((1.0, 0.0),), approval: str = "Automatic"
) -> tuple[Key, Key]:
    """Return the same after hours that are compared with those of a release.

    V2 of pricing is in its canary.
    """
    pricing, search = await served_for(world, COMPARED, delays=delays, approval=approval)
    world.edit(pricing, model=pushed("d", "v2"))
    return pricing, search


def causes(world: World, key: Key) -> str:
    return str((world.status(key).get("diagnosis") or {}).get("cause", ""))


def trained(world: World, key: Key) -> bool:
    return "lastTrainingTime" in (world.status(key).get("retraining") or {})


@pytest.mark.slow
@for_days
async def test_a_dependent_of_a_bad_release_is_not_retrained_and_recovers_with_the_rollback(world):
    pricing, search = await consumed(world)
    world.cluster.effects[search] = (Effect(pricing, image("d"), LOST),)
    await world.until(lambda: causes(world, search) == "UpstreamReleased", seconds=6 * HOUR)
    await world.until(lambda: serving(world, pricing) == "v2", seconds=6 * HOUR)
    await world.run(2 * HOUR)
    assert causes(world, search) == "UpstreamReleased"
    active = world.condition(search, "RetrainingActive")
    assert active["reason"] == "UpstreamReleased"
    assert "That ends once that product serves another version, or with" in active["message"]
    message = world.status(search)["diagnosis"]["message"]
    assert "accuracy follows the release of catalog/pricing v2" in message
    (condition,) = [
        each for each in world.status(pricing)["conditions"] if each["type"] == "DegradesDependents"
    ]
    assert condition["reason"] == "DependentDegraded"
    assert "catalog/search is degraded" in condition["message"]
    assert "(owner of catalog/search): roll the release back here" in condition["message"]

    world.annotate(pricing, **{"sluicegate.dev/rollback-to": "v1/now"})
    await world.until(lambda: serving(world, pricing) == "v1", seconds=HOUR)
    await world.until(
        lambda: world.condition(search, "Degraded").get("status") == "False", seconds=6 * HOUR
    )
    await world.run(3 * HOUR)
    assert not trained(world, search)
    assert all(each["type"] != "DegradesDependents" for each in world.status(pricing)["conditions"])


@pytest.mark.slow
@for_days
async def test_a_consumer_is_not_retrained_on_labels_that_come_after_the_release_was_rolled_back(
    world,
):
    pricing, search = await consumed(world, delays=((1.0, HOUR),), approval="Manual")
    world.cluster.effects[search] = (Effect(pricing, image("d"), 0.5),)
    await world.until(
        lambda: (world.status(pricing).get("candidate") or {}).get("weight") == 50, seconds=6 * HOUR
    )
    await world.run(HOUR * 0.9)
    world.annotate(pricing, **{"sluicegate.dev/abort": "v2/now"})
    await world.until(lambda: "candidate" not in world.status(pricing), seconds=HOUR)
    assert not causes(world, search)
    shares = world.status(pricing)["history"][0]["shares"]
    assert [shares[0]["weight"], shares[-1]["weight"]] == [5, 0]

    await world.until(lambda: causes(world, search) == "UpstreamReleased", seconds=3 * HOUR)
    assert "without traffic since" in world.status(search)["diagnosis"]["message"]
    assert (
        "That ends once labels of the time of that release come no more, or with"
        in world.condition(search, "RetrainingActive")["message"]
    )
    assert all(each["type"] != "DegradesDependents" for each in world.status(pricing)["conditions"])
    await world.until(
        lambda: world.condition(search, "Degraded").get("status") == "False", seconds=6 * HOUR
    )
    await world.run(4 * HOUR)
    assert not trained(world, search)
    world.cluster.set_quality(image("a"), Quality(wrong=0.3))
    await world.until(lambda: trained(world, search), seconds=6 * HOUR)


@pytest.mark.slow
@for_days
async def test_a_consumer_is_not_retrained_on_a_bad_release_that_follows_an_incident_of_the_upstream(
    world,
):
    pricing, search = await served_for(world, 3, slos=(AVAILABLE, ACCURATE))
    effects = (Effect(pricing, image("c"), LOST / 2), Effect(pricing, image("e"), LOST))
    world.cluster.effects[search] = effects
    world.cluster.set_quality(image("c"), Quality(wrong=0.6))
    await world.until(lambda: causes(world, search) == "UpstreamDegraded", seconds=6 * HOUR)
    await world.run(2 * HOUR)
    world.edit(pricing, model=pushed("d", "v2"))
    await world.until(lambda: serving(world, pricing) == "v2", seconds=12 * HOUR)
    await world.run(2 * HOUR)
    world.edit(pricing, model=pushed("e", "v3"), rollout={"approval": "Manual"})
    await world.until(lambda: causes(world, search) == "UpstreamReleased", seconds=6 * HOUR)
    world.annotate(pricing, **{"sluicegate.dev/abort": "v3/now"})
    await world.until(
        lambda: world.condition(search, "Degraded").get("status") == "False", seconds=6 * HOUR
    )
    await world.run(4 * HOUR)
    assert not trained(world, search)


@pytest.mark.slow
@for_days
async def test_a_consumer_that_degrades_before_its_upstream_is_confirmed_is_not_retrained(world):
    pricing, search = await served_for(world, 3, slos=(AVAILABLE, ACCURATE))
    # The labels of pricing come three blocks later.
    late = Variation("late pricing", wrong=Scatter(), labelled=0.5, delays=((1.0, 900.0),))
    world.cluster.variations[pricing] = late
    world.cluster.effects[search] = (Effect(pricing, image("c"), 0.5),)
    world.cluster.set_quality(image("c"), Quality(wrong=0.3))
    await world.until(lambda: causes(world, search) == "UpstreamDegrading", seconds=6 * HOUR)
    active = world.condition(search, "RetrainingActive")
    assert active["reason"] == "UpstreamDegrading"
    assert "degrading upstream, not confirmed yet: pricing" in active["message"]
    await world.until(lambda: causes(world, search) == "UpstreamDegraded", seconds=HOUR)
    assert not trained(world, search)


@pytest.mark.slow
@for_days
async def test_a_version_on_probation_that_degrades_a_counted_consumer_is_rolled_back(world):
    pricing, search = await served_for(world, COMPARED)
    listener = {"name": "web", "namespace": "gateway"}
    world.edit(pricing, rollout={"consumers": {"names": ["search"], "parentRefs": [listener]}})
    depends = {"name": "pricing", "evidence": "IfAvailable"}
    world.edit(search, dependsOn=[depends])
    await world.run(HOUR)
    world.cluster.effects[search] = (Effect(pricing, image("d"), LOST),)
    world.edit(pricing, model=pushed("d", "v2"))
    world.annotate(pricing, **{"sluicegate.dev/promote": "v2/now"})
    await world.until(lambda: serving(world, pricing) == "v2", seconds=HOUR)
    assert world.status(pricing)["probation"]["against"] == "v1"

    await world.until(lambda: serving(world, pricing) == "v1", seconds=6 * HOUR)
    past = next(each for each in world.status(pricing)["history"] if each["version"] == "v2")
    assert (past["outcome"], past["reason"]) == ("RolledBack", "ProbationFailed")
    await world.until(
        lambda: world.condition(search, "Degraded").get("status") == "False", seconds=6 * HOUR
    )
    assert not trained(world, search)


async def seconds_until_trained(world: World, *, lost: float) -> float:
    """Let search decay an hour after the begin of v2's canary; return the seconds until its training."""
    pricing, search = await consumed(world)
    world.cluster.effects[search] = (Effect(pricing, image("d"), lost),)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), Quality(wrong=0.3))
    return await world.until(lambda: trained(world, search), seconds=12 * HOUR)


@pytest.mark.slow
def test_a_decay_beside_a_bad_release_is_retrained_within_twice_the_usual_time():
    async def story(lost: float) -> float:
        async with opened(for_days=True) as world:
            return await seconds_until_trained(world, lost=lost)

    usual = run_virtually(story(0.0))
    assert run_virtually(story(LOST / 2)) <= 2 * usual


@pytest.mark.slow
@on_virtual_time
async def test_a_product_without_dependents_has_no_field_and_no_condition_of_them(world):
    key = world.apply(
        product(model=pushed("c", "v1"), slos=[AVAILABLE], retraining=None, rollout={"steps": [50]})
    )
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    world.edit(key, model=pushed("d", "v2"))
    await world.until(
        lambda: (world.status(key).get("candidate") or {}).get("weight") == 50, seconds=HOUR
    )
    status = world.status(key)
    world.annotate(key, **{"sluicegate.dev/abort": "v2/now"})
    await world.until(lambda: "candidate" not in world.status(key), seconds=HOUR)
    ended = world.status(key)
    assert not {"approvals"} & status["candidate"].keys()
    assert not {"shares"} & (ended["stable"].keys() | ended["history"][0].keys())
    assert not {"EvidenceOneSided", "DegradesDependents"} & {
        condition["type"] for condition in ended["conditions"]
    }
    assert all("/" not in row["slo"] for row in status["candidate"]["evidence"])
