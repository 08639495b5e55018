"""Previews on virtual time: whom the header reaches, and that it changes no share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.workloads import Quality
from sluicegate.api.names import PREVIEW_ROUTE_SUFFIX
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, SERVICES, Key
from sluicegate_service.environment import PREVIEW as PREVIEW_VARIABLE
from tests.support.decisions.rollout_world import GATEWAY, image
from tests.support.virtual.stories import (
    RARELY,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

Body = dict[str, Any]
PREVIEW = {"parentRefs": GATEWAY["parentRefs"]}
ROLLOUT = {"steps": [25, 50], "maxDurationSeconds": 86_400}


def route(world: World, key: Key) -> Body | None:
    """The route of previews; None without one."""
    found: Body | None = world.server.find(
        HTTP_ROUTES, Key(key.namespace, f"{key.name}{PREVIEW_ROUTE_SUFFIX}")
    )
    return found


def previewed(world: World, key: Key) -> str:
    """The version whose ready pods the backend of the route of previews selects; empty for none."""
    (rule,) = route(world, key)["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    selector = world.server.find(SERVICES, Key(key.namespace, backend["name"]))["spec"]["selector"]
    versions = {
        pod.labels["sluicegate.dev/version"]
        for pod in world.cluster.pods_of(key)
        if pod.ready and selector.items() <= pod.labels.items()
    }
    assert len(versions) <= 1
    return next(iter(versions), "")


@on_virtual_time
async def test_the_header_reaches_a_candidate_before_it_has_a_share_and_until_its_promotion(world):
    world.cluster.set_quality(image("b"), Quality(start=60.0))
    preview = PREVIEW | {"durationSeconds": 3600}
    body = product(serving={"replicas": 4}, rollout=ROLLOUT | {"preview": preview})
    key = await served(world, body, previews=True, **RARELY)
    before = route(world, key)
    assert previewed(world, key) == ""
    reached: dict[int, set[str]] = {}

    def changed(*_: object) -> None:
        candidate = world.status(key).get("candidate") or {}
        if candidate.get("phase") in ("Starting", "Stepping"):
            reached.setdefault(candidate.get("weight", 0), set()).add(previewed(world, key))

    world.on_step.append(changed)
    world.edit(key, model=pushed("b", "v2"))
    await world.run(3000)
    assert weight(world, key) == 0
    assert previewed(world, key) == "v2"
    progressing = world.condition(key, "RolloutProgressing")
    assert progressing["reason"] == "Previewing"
    answers = "it answers requests with the header sluicegate-preview: catalog/search"
    assert answers in progressing["message"]
    await world.run(700)
    assert weight(world, key) == 25
    await world.until(lambda: serving(world, key) == "v2", seconds=86_400)
    assert reached[0] == {"", "v2"}, "its pods start, then they answer"
    assert reached[25] == reached[50] == {"v2"}
    await world.run(600)
    assert previewed(world, key) == ""
    assert route(world, key) == before, "a rollout changes no route of previews"


@on_virtual_time
async def test_a_candidate_whose_pods_do_not_start_is_rolled_back_within_the_time_of_previews(
    world,
):
    world.cluster.set_quality(image("b"), Quality(problem="CrashLoopBackOff"))
    serving_fields = {"replicas": 1, "progressDeadlineSeconds": 600}
    preview = PREVIEW | {"durationSeconds": 3600}
    body = product(serving=serving_fields, rollout=ROLLOUT | {"preview": preview})
    key = await served(world, body, previews=True, **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.run(1800)
    assert world.status(key)["specModel"]["reason"] == "CanaryNotReady"


@on_virtual_time
@pytest.mark.parametrize("seconds", [300, 3600])
async def test_pods_that_never_become_ready_have_one_deadline_despite_previews(world, seconds):
    world.cluster.set_quality(image("b"), Quality(start=86_400.0))
    serving_fields = {"replicas": 1, "progressDeadlineSeconds": 600}
    preview = PREVIEW | {"durationSeconds": seconds}
    body = product(serving=serving_fields, rollout=ROLLOUT | {"preview": preview})
    key = await served(world, body, previews=True, **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.run(580)
    assert world.status(key)["candidate"]["phase"] == "Starting"
    progressing = world.condition(key, "RolloutProgressing")
    assert "answers requests" not in progressing["message"]
    await world.until(
        lambda: world.condition(key, "RolloutProgressing")["reason"] == "WaitingToRetry",
        seconds=60,
    )


@on_virtual_time
async def test_pods_that_restart_during_previews_have_the_deadline_of_a_start_again(world):
    world.cluster.set_quality(image("b"), Quality(start=60.0))
    serving_fields = {"replicas": 1, "progressDeadlineSeconds": 600}
    preview = PREVIEW | {"durationSeconds": 3600}
    body = product(serving=serving_fields, rollout=ROLLOUT | {"preview": preview})
    key = await served(world, body, previews=True, **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.run(1800)
    (deployment,) = {
        pod.deployment
        for pod in world.cluster.pods_of(key)
        if pod.labels["sluicegate.dev/version"] == "v2"
    }
    world.cluster.workloads.fail(deployment)
    await world.run(30)
    assert previewed(world, key) == ""
    assert world.condition(key, "RolloutProgressing")["reason"] == "Previewing"
    await world.run(1740)
    assert previewed(world, key) == "v2"
    world.cluster.workloads.fail(deployment)
    await world.run(40)
    assert world.status(key)["candidate"]["phase"] == "Starting", "previews ended without a pod"
    assert weight(world, key) == 0
    await world.until(lambda: weight(world, key) == 25, seconds=120)


@on_virtual_time
async def test_a_preview_that_the_platform_does_not_allow_is_named_and_changes_no_route(world):
    key = await served(world, product(rollout=ROLLOUT | {"preview": PREVIEW}), **RARELY)
    assert route(world, key) is None
    (deployment,) = world.server.all(DEPLOYMENTS)
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert PREVIEW_VARIABLE not in {variable["name"] for variable in server["env"]}
    generation = deployment["metadata"]["generation"]
    refused = world.condition(key, "PreviewRefused")
    assert (refused["status"], refused["reason"]) == ("True", "PreviewsNotAllowed")
    assert "SLUICEGATE_PREVIEWS" in refused["message"]
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 25, seconds=600)
    world.edit(key, rollout=ROLLOUT | {"preview": None})
    types = [row["type"] for row in world.status(key)["conditions"]]
    await world.until(
        lambda: "PreviewRefused" not in [row["type"] for row in world.status(key)["conditions"]],
        seconds=60,
    )
    assert "PreviewRefused" in types
    stable = world.server.find(DEPLOYMENTS, Key(key.namespace, deployment["metadata"]["name"]))
    assert stable["metadata"]["generation"] == generation, "its pods are the same without a preview"
    assert weight(world, key) == 25, "an edit is no new version"
