"""Which version serves follows from the spec as it is now, whatever came before: the whole operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.cluster import bento_of, digest_of
from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DEPLOYMENTS, GATEWAYS, Key
from sluicegate.views.needs import NeedKind, needs_of
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
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.operator import World

STEPS = {"rollout": {"steps": [5, 25, 50]}, "analysis": {"blockSeconds": 60}}
CRASHES = Quality(problem="CrashLoopBackOff")


def deployment_of(world: World, product: Key, digit: str) -> Key:
    """Return the Deployment of a bento."""
    found = world.server.all(DEPLOYMENTS, product.namespace)
    meta = next(
        one["metadata"] for one in found if digest_of(bento_of(one)) == digest_of(image(digit))
    )
    return Key(meta["namespace"], meta["name"])


async def in_canary(world: World, **spec: object) -> Key:
    """Return a product whose v2 has 5 % of the requests."""
    key = await served(world, product(**STEPS, **spec), **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 5, seconds=120)
    await world.run(120)
    return key


def is_at_rest(world: World, key: Key, version: str, *, named: str = "") -> bool:
    """Return whether a version serves, the spec's model is done with, and nothing is under way."""
    status = world.status(key)
    model = status["specModel"]
    done = (model["version"], model["outcome"]) == (named or version, "Promoted")
    stalled = world.condition(key, "Stalled").get("status") == "True"
    return serving(world, key) == version and done and not status.get("candidate") and not stalled


@on_virtual_time
async def test_a_revert_during_a_suspension_ends_the_candidate_after_the_suspension(world):
    key = await in_canary(world)
    world.edit(key, suspend=True)
    await world.run(300)
    world.edit(key, model=pushed("a", "v1"))
    await world.run(300)
    assert weight(world, key) == 5
    world.edit(key, suspend=False)
    await world.until(lambda: is_at_rest(world, key, "v1"), seconds=300)
    await world.run(2 * HOUR)
    assert is_at_rest(world, key, "v1")


@on_virtual_time
async def test_a_change_reverted_during_a_suspension_keeps_the_candidate(world):
    key = await in_canary(world)
    world.edit(key, suspend=True)
    for digit, version in (("a", "v1"), ("b", "v2")):
        await world.run(300)
        world.edit(key, model=pushed(digit, version))
    begun = world.status(key)["candidate"]["startTime"]
    world.edit(key, suspend=False)
    await world.run(120)
    candidate = world.status(key)["candidate"]
    assert (candidate["version"], candidate["startTime"]) == ("v2", begun)


@on_virtual_time
async def test_a_candidate_ends_when_the_spec_names_another_bento_under_a_taken_name(world):
    key = await in_canary(world)
    world.edit(key, model=pushed("c", "v1"))
    await world.until(lambda: not world.status(key).get("candidate"), seconds=300)
    await world.run(HOUR)
    assert serving(world, key) == "v1"
    assert world.condition(key, "Stalled")["reason"] == "VersionReused"
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 5, seconds=300)


@on_virtual_time
async def test_a_rollback_request_to_stable_ends_the_canary(world):
    key = await in_canary(world)
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/1"})
    await world.until(lambda: not world.status(key).get("candidate"), seconds=300)
    await world.run(HOUR)
    assert serving(world, key) == "v1"
    assert world.status(key)["lastHandled"]["rollbackTo"] == "v1/1"
    assert not world.condition(key, "Stalled")
    assert world.condition(key, "RolloutProgressing")["reason"] == "RollbackRequested"


@on_virtual_time
async def test_a_rollback_completes_after_one_of_two_gateways_is_deleted(world):
    """That Gateway sends no request, so no pod waits until it takes the route."""
    internal = world.cluster.add_gateway("internal")
    parents = [{"name": name, "namespace": "gateway"} for name in ("web", "internal")]
    key = await in_canary(world, route={"parentRefs": parents, "path": "/search"})
    world.server.delete(GATEWAYS, internal)
    world.annotate(key, **{names.REQUEST_ABORT: "1"})
    await world.until(lambda: not world.status(key).get("candidate"), seconds=900)
    await world.run(60)
    ready = world.condition(key, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "RouteNotAccepted")
    assert "Gateway gateway/internal" in ready["message"]
    world.edit(key, route={"parentRefs": parents[:1]})
    world.edit(key, model=pushed("c", "v3"))
    await world.until(lambda: weight(world, key) == 5, seconds=300)


@on_virtual_time
async def test_a_serving_product_is_not_ready_one_block_after_its_gateway_was_deleted(world):
    key = await served(world, product(**STEPS), **RARELY)
    gateway, rate = Key("gateway", "web"), world.cluster.rates[key]
    await world.run(HOUR)
    world.server.delete(GATEWAYS, gateway)
    world.cluster.set_rate(key, 0.0)
    await world.until(lambda: world.condition(key, "Ready")["status"] == "False", seconds=180)
    ready = world.condition(key, "Ready")
    assert (ready["reason"], ready["message"]) == (
        "RouteNotAccepted",
        f"Gateway {gateway} doesn't exist",
    )
    world.cluster.add_gateway("web")
    world.cluster.set_rate(key, rate)
    await world.until(lambda: world.condition(key, "Ready")["status"] == "True", seconds=60)


@on_virtual_time
async def test_a_candidate_stays_at_its_share_while_the_only_gateway_is_missing(world):
    key = await in_canary(world)
    share = weight(world, key)
    gateway = Key("gateway", "web")
    world.server.delete(GATEWAYS, gateway)
    await world.run(HOUR)
    assert weight(world, key) == share
    hold = world.status(key)["candidate"]["hold"]
    assert hold["check"] == "RouteNotAccepted"
    assert hold["message"] == f"v2 stays at {share} %: Gateway {gateway} doesn't exist"
    for kind in ("Ready", "TrafficSplitVerified"):
        condition = world.condition(key, kind)
        assert (condition["status"], condition["message"]) == (
            "False",
            f"Gateway {gateway} doesn't exist",
        )
    world.cluster.add_gateway("web")
    await world.until(lambda: weight(world, key) > share, seconds=HOUR)


@on_virtual_time
async def test_a_request_that_cannot_be_handled_yet_is_pending_with_its_wait_reason(world):
    key = await served(world, product(**STEPS), **RARELY)
    await world.run(900)
    world.edit(key, suspend=True, model=pushed("b", "v2"))
    world.annotate(key, **{names.REQUEST_PROMOTE: "v2/1"})
    await world.run(900)
    (request,) = world.status(key)["pendingRequests"]
    assert (request["annotation"], request["value"]) == (names.REQUEST_PROMOTE, "v2/1")
    assert (request["reason"], request["message"]) == ("Suspended", "until spec.suspend is unset")
    waits = needs_of(DataProduct.parse(world.product(key)))
    assert [wait.kind for wait in waits] == [NeedKind.REQUEST]
    version = world.product(key)["metadata"]["resourceVersion"]
    await world.run(900)
    assert world.product(key)["metadata"]["resourceVersion"] == version
    world.edit(key, suspend=False)
    await world.until(lambda: serving(world, key) == "v2", seconds=600)
    assert not world.status(key).get("pendingRequests")


def loses_its_candidate(world: World, key: Key) -> Callable[[], bool]:
    """Return whether all requests go to stable, and no candidate is left that has a share."""
    return lambda: (
        weight(world, key) == 0 and set((world.cluster.weights_of(key) or {}).values()) <= {0, 100}
    )


@pytest.mark.parametrize("restarted", [False, True], ids=["same leader", "restarted"])
@on_virtual_time
async def test_an_invalid_spec_does_not_prevent_the_rollback_of_a_failed_candidate(
    world, restarted
):
    key = await in_canary(world)
    world.edit(key, analysis={"blockSeconds": 30})
    await world.run(60)
    stalled = world.condition(key, "Stalled")
    assert stalled["reason"] == "InvalidSpec"
    assert "spec.analysis.blockSeconds: is 30" in stalled["message"]
    assert world.status(key)["problems"]
    if restarted:
        await world.leader().stop()
        world.start(**RARELY)
    world.cluster.set_quality(image("b"), CRASHES)
    world.cluster.workloads.fail(deployment_of(world, key, "b"))
    await world.until(loses_its_candidate(world, key), seconds=600)
    assert world.condition(key, "Stalled")["reason"] == "InvalidSpec"


@on_virtual_time
async def test_manual_requests_are_handled_while_the_spec_is_invalid(world):
    key = await in_canary(world)
    world.edit(key, analysis={"blockSeconds": 30}, model=pushed("b", "v2"))
    await world.run(60)
    world.annotate(key, **{names.REQUEST_ABORT: "1"})
    await world.until(lambda: not world.status(key).get("candidate"), seconds=300)
    assert world.status(key)["lastHandled"]["abort"] == "1"
    assert world.condition(key, "Stalled")["reason"] == "InvalidSpec"


@on_virtual_time
async def test_a_model_pushed_with_an_invalid_spec_is_rolled_out_once_the_spec_is_corrected(world):
    key = await served(world, product(**STEPS), **RARELY)
    world.edit(key, analysis={"blockSeconds": 30}, model=pushed("b", "v2"))
    await world.run(600)
    assert not world.status(key).get("candidate")
    world.edit(key, analysis={"blockSeconds": 60})
    await world.until(lambda: weight(world, key) == 5, seconds=120)
    assert not world.condition(key, "Stalled")
    assert not world.status(key).get("problems")


@pytest.mark.slow
@on_virtual_time
async def test_a_longer_scrape_interval_does_not_stop_a_rollout_with_short_blocks(world):
    key = await in_canary(world)
    await world.leader().stop()
    world.start(**RARELY, scrape_interval_seconds=30.0)
    await world.until(lambda: weight(world, key) > 5, seconds=4 * HOUR)
    assert world.condition(key, "Stalled")["reason"] == "InvalidSpec"
    await world.until(lambda: serving(world, key) == "v2", seconds=4 * HOUR)


@pytest.mark.slow
@on_virtual_time
async def test_a_revert_to_the_parent_bento_of_stable_starts_no_rollout(world):
    key = await served(world, product(**STEPS), **RARELY)
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=6 * HOUR)
    world.cluster.set_quality(image("d"), BAD)

    def as_before() -> bool:
        return is_at_rest(world, key, "v2-trained", named="v1")

    for ended in ("in its canary", "rejected"):
        world.edit(key, model=pushed("d", "v3"))
        if ended == "rejected":
            await world.until(
                lambda: world.condition(key, "Stalled").get("reason") == "ModelRejected",
                seconds=6 * HOUR,
            )
        else:
            await world.until(lambda: weight(world, key) == 5, seconds=120)
        world.edit(key, model=pushed("a", "v1"))
        await world.until(as_before, seconds=300, what=ended)
        await world.run(HOUR)
        assert as_before()
