"""Mirrored requests on virtual time: pairs that pods count, and what follows from them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from sluicegate.kube.resources import DEPLOYMENTS, JOBS, SERVICES, Key
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    evidence,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    shadow,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

Body = dict[str, Any]
INTERVAL = 300
MIRROR = {"percent": 50}
ROLLOUT = {
    "steps": [1],
    "maxDurationSeconds": 86_400,
    "shadow": {"mirror": MIRROR, "intervalSeconds": INTERVAL},
}
FEEDBACK = {"secretRef": {"name": "feedback"}}
WORSE = Quality(wrong=0.16)


def mirroring(**spec: Any) -> Body:
    """Return a product whose requests are mirrored to a candidate."""
    body = product(**{"rollout": ROLLOUT, **spec})
    body["spec"]["serving"]["feedback"] = FEEDBACK
    return body


def selected(world: World, key: Key) -> str:
    """Return the revision that mirrored requests go to."""
    service = world.server.find(SERVICES, Key(key.namespace, f"{key.name}-candidate"))
    return str(service["spec"]["selector"]["sluicegate.dev/revision"])


def templates(world: World, key: Key) -> dict[str, Body]:
    """Return pod templates by Deployment."""
    found = world.server.all(DEPLOYMENTS, key.namespace)
    return {one["metadata"]["name"]: one["spec"]["template"] for one in found}


async def with_candidate(world: World, quality: Quality, **spec: Any) -> Key:
    """Return a product whose v2, which behaves so, has its share of the traffic."""
    world.cluster.set_quality(image("b"), quality)
    key = await served(world, mirroring(**spec), **RARELY)
    if "mirror" in world.product(key)["spec"]["rollout"]["shadow"]:
        assert selected(world, key) == "none"
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 1, seconds=600)
    return key


@pytest.mark.slow
@on_virtual_time
async def test_mirrored_pairs_promote_an_equal_candidate_with_one_percent_of_the_traffic(
    world,
):
    key = await with_candidate(world, Quality())
    revision = world.status(key)["candidate"]["revision"]
    assert selected(world, key) == revision
    before = templates(world, key)
    rows: list[int] = []
    while serving(world, key) == "v1":
        if (found := evidence(world, key)) and found["blocks"] > len(rows):
            rows.append(sum(found["pairs"].values()))
        await world.run(10)
    assert len(rows) >= 5, "five intervals count for little, as ρ isn't known"
    assert "labelled after the training" in world.status(key)["decision"]["message"]
    await world.until(lambda: selected(world, key) == "none", seconds=600)
    after = templates(world, key)
    assert all(after[name] == before[name] for name in after), "a rollout restarts no pod"
    assert not list(world.server.all(JOBS, key.namespace))


@pytest.mark.slow
@on_virtual_time
async def test_mirrored_pairs_roll_back_a_worse_candidate_before_its_own_labels(world):
    key = await with_candidate(world, WORSE)
    await world.until(
        lambda: world.condition(key, "Stalled").get("reason") == "ModelRejected",
        seconds=12 * HOUR,
    )
    assert world.status(key)["history"][0]["reason"] == "ShadowWorse"
    await world.until(lambda: selected(world, key) == "none", seconds=600)


@pytest.mark.slow
@on_virtual_time
async def test_each_mirror_interval_is_counted_once_over_a_leader_change(world):
    """All pairs until the end of the last interval, to those between two scrapes, are the evidence's."""
    key = await with_candidate(world, Quality())
    await world.until(lambda: evidence(world, key).get("blocks") == 1, seconds=3 * INTERVAL)
    world.replicas[-1].kill()
    world.start(**RARELY)
    await world.until(lambda: evidence(world, key).get("blocks") == 3, seconds=4 * INTERVAL)
    since = datetime.fromisoformat(shadow(world, key)["sinceTime"]).timestamp()
    until = since - world.loop.wall() + world.loop.time()
    happened = sum(
        curve.at(until)
        for counted in world.cluster.traffic.versions.values()
        for name, curve in counted.events.items()
        if ">" in name
    )
    rows = evidence(world, key)["pairs"]
    assert sum(rows.values()) == pytest.approx(happened, rel=0.05)
    assert rows["onlyStableWrong"] == pytest.approx(rows["onlyCandidateWrong"], abs=3)


@pytest.mark.slow
@on_virtual_time
async def test_a_shadow_job_ends_when_requests_are_mirrored_instead(world):
    jobs = {"command": ["python", "-m", "shadow"], "intervalSeconds": INTERVAL}
    before = ROLLOUT | {"shadow": jobs}
    key = Key("catalog", "search")
    world.cluster.shadows[key] = lambda _: Training(seconds=HOUR)
    assert await with_candidate(world, Quality(), rollout=before) == key
    await world.until(lambda: bool(shadow(world, key).get("job")), seconds=2 * INTERVAL)
    world.edit(key, rollout={"shadow": ROLLOUT["shadow"] | {"command": None}})
    await world.until(lambda: bool(evidence(world, key)), seconds=3 * INTERVAL)
    assert not shadow(world, key).get("job")
    assert not list(world.server.all(JOBS, key.namespace))


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_without_mirrored_pairs_waits_and_status_names_the_missing_pairs(world):
    """A service that still signs its predictions one by one, say."""
    world.cluster.pairs = False
    key = await with_candidate(world, Quality())
    await world.until(lambda: bool(shadow(world, key).get("reason")), seconds=2 * INTERVAL)
    assert shadow(world, key)["reason"] == "NoPairs"
    assert "self.tokens" in world.condition(key, "RolloutProgressing")["message"]
    await world.run(HOUR)
    assert weight(world, key) == 1
    world.cluster.pairs = True
    world.cluster.set_rate(key, 20.0)
    await world.until(lambda: bool(evidence(world, key)), seconds=2 * INTERVAL)
    assert not shadow(world, key).get("reason")


@on_virtual_time
async def test_a_product_without_outcome_slos_needs_no_mirrored_pairs(world):
    """Pairs come, and no SLO is scored by them: the service need not change."""
    ignored = product()["spec"]["slos"][0] | {"onDegraded": "Ignore"}
    served = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.9"}
    key = await with_candidate(world, Quality(), slos=[ignored, served])
    await world.until(lambda: shadow(world, key).get("blocks") == 1, seconds=3 * INTERVAL)
    assert not shadow(world, key).get("reason")
