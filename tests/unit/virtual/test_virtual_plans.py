"""The predictions of `plan --changes` equal the responses of the whole operator."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.admission import Refused
from benchmarks.virtual.event_loop import run_virtually
from sluicegate.api import names
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.cli.trials.planned_change import planned_change
from sluicegate.cli.trials.planned_objects import COMPARED, PlannedOutcome, Running
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, HTTP_ROUTES
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import RARELY, opened, product, pushed, served, slo, trainings

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

Body = dict[str, Any]
RUNTIME = f"registry.example/runtime@sha256:{'e' * 64}"

EDITS: dict[str, tuple[Body, PlannedOutcome]] = {
    "another model": ({"model": pushed("b", "v2")}, PlannedOutcome.CANARY),
    "another runtime image": ({"serving": {"runtimeImage": RUNTIME}}, PlannedOutcome.CANARY),
    "another model while it is suspended": (
        {"model": pushed("b", "v2"), "suspend": True},
        PlannedOutcome.SUSPENDED,
    ),
    "more replicas": ({"serving": {"replicas": 3}}, PlannedOutcome.UPDATE),
    "a variable": ({"serving": {"env": [{"name": "LEVEL", "value": "2"}]}}, PlannedOutcome.RESTART),
    "more memory": (
        {"serving": {"resources": {"requests": {"memory": "2Gi"}}}},
        PlannedOutcome.RESTART,
    ),
    "another path": ({"route": {"path": "/find"}}, PlannedOutcome.UPDATE),
    "another cooldown": ({"retraining": {"cooldownSeconds": 7200}}, PlannedOutcome.NOTHING),
    "another description": ({"displayName": "Search"}, PlannedOutcome.NOTHING),
    "nothing": ({}, PlannedOutcome.NOTHING),
    "blocks that are too short": ({"analysis": {"blockSeconds": 30}}, PlannedOutcome.REFUSED),
    "steps that fall": ({"rollout": {"steps": [50, 5]}}, PlannedOutcome.REFUSED),
    "another entry service of the same bento": (
        {"model": {"bento": {"image": image("a"), "version": "v1", "service": "Other"}}},
        PlannedOutcome.RESTART,
    ),
    "another name of the same bento": ({"model": pushed("a", "v1b")}, PlannedOutcome.NOTHING),
    "another model of a product that is retired": (
        {"model": pushed("b", "v2"), "lifecycle": "Retired"},
        PlannedOutcome.NOTHING,
    ),
    "a variable while it is suspended": (
        {"serving": {"env": [{"name": "LEVEL", "value": "2"}]}, "suspend": True},
        PlannedOutcome.SUSPENDED,
    ),
    "another bento under the name of stable": (
        {"model": pushed("b", "v1")},
        PlannedOutcome.REFUSED,
    ),
}
"""Edits of a product in service, each with plan's prediction."""


def merged(body: Body, patch: Body) -> Body:
    """Return the object that a merge patch makes of another."""
    result = deepcopy(body)
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
            continue
        known = result.get(name)
        result[name] = (
            merged(known, part) if isinstance(part, dict) and isinstance(known, dict) else part
        )
    return result


def planned(world: World, key: Key, patch: Body) -> PlannedOutcome:
    """Return plan's prediction for an edit."""
    live = world.product(key)
    edited = merged(live, {"spec": patch})
    edited.pop("status", None)
    try:
        manifest = DataProduct.parse(edited)
    except InvalidProduct:
        return PlannedOutcome.REFUSED
    objects = running(world) if live["spec"].get("suspend") else None
    return planned_change(DataProduct.parse(live), manifest, world.settings, objects).change


def running(world: World) -> Running:
    """Return the objects that run."""
    return Running({resource: tuple(world.server.all(resource)) for resource in COMPARED})


def pods(world: World) -> list[str]:
    """Return the pod templates of all versions."""
    return sorted(
        json.dumps([deployment["metadata"]["name"], deployment["spec"]["template"]], sort_keys=True)
        for deployment in world.server.all(DEPLOYMENTS)
    )


def objects(world: World) -> list[str]:
    """Return the specs of Deployments and routes."""
    return sorted(
        json.dumps([one["metadata"]["name"], one["spec"]], sort_keys=True)
        for kind in (DEPLOYMENTS, HTTP_ROUTES)
        for one in world.server.all(kind)
    )


async def done(world: World, key: Key, patch: Body) -> PlannedOutcome:
    """Return the operator's response to an edit."""
    templates, specs = pods(world), objects(world)
    try:
        world.edit(key, **patch)
    except Refused:
        return PlannedOutcome.REFUSED
    await world.run(90)
    status = world.status(key)
    if world.condition(key, "Stalled").get("status") == "True":
        assert not status.get("candidate")
        return PlannedOutcome.REFUSED
    if status.get("candidate"):
        return PlannedOutcome.CANARY
    if (pods(world), objects(world)) == (templates, specs) and await resumed(world, key):
        return PlannedOutcome.SUSPENDED
    if pods(world) != templates:
        return PlannedOutcome.RESTART
    return PlannedOutcome.UPDATE if objects(world) != specs else PlannedOutcome.NOTHING


async def resumed(world: World, key: Key) -> bool:
    """Return whether more than nothing follows once a product that is suspended is not any more."""
    if not world.product(key)["spec"].get("suspend"):
        return False
    before = pods(world), objects(world)
    world.edit(key, suspend=False)
    await world.run(90)
    return (pods(world), objects(world)) != before


async def compared(patch: Body) -> tuple[PlannedOutcome, PlannedOutcome]:
    async with opened() as world:
        key = await served(world, product(), **RARELY)
        await world.run(120)
        prediction = planned(world, key, patch)
        return prediction, await done(world, key, patch)


@pytest.mark.parametrize("edit", EDITS)
def test_plan_predicts_the_operators_response_to_an_edit(edit):
    patch, expected = EDITS[edit]
    assert run_virtually(compared(patch)) == (expected, expected)


SUSPENDED = (
    {"serving": {"env": [{"name": "LEVEL", "value": "2"}]}},
    {"serving": {"replicas": 3}},
    {"route": {"path": "/find"}},
    {"route": None},
    {"model": pushed("b", "v2")},
    {"retraining": {"cooldownSeconds": 7200}},
)
"""Edits of a product that is suspended."""


@pytest.mark.parametrize("edit", SUSPENDED, ids=lambda edit: next(iter(edit)))
def test_plan_predicts_that_an_edit_of_a_suspended_product_waits_for_the_resumption(edit):
    async def story() -> None:
        async with opened() as world:
            key = await served(world, product(), **RARELY)
            await world.run(120)
            world.edit(key, suspend=True)
            await world.run(60)
            nothing = PlannedOutcome.NOTHING
            assert planned(world, key, {"suspend": False}) is nothing
            waits = planned(world, key, edit)
            before = pods(world), objects(world)
            world.edit(key, **edit)
            await world.run(60)
            assert (pods(world), objects(world)) == before
            assert planned(world, key, {}) is waits
            resumption = planned(world, key, {"suspend": False})
            assert waits is (nothing if resumption is nothing else PlannedOutcome.SUSPENDED)
            assert await done(world, key, {"suspend": False}) is resumption

    run_virtually(story())


def test_plan_predicts_the_degradation_by_an_objective_above_the_present_level():
    async def story() -> None:
        async with opened() as world:
            body = product()
            accuracy = body["spec"]["slos"][0]
            body["spec"]["slos"] = [accuracy | {"objective": "0.5"}]
            key = await served(world, body, **RARELY)
            await world.until(lambda: slo(world, key)[0] == "Met", seconds=3600)
            attainable = {"slos": [accuracy | {"objective": "0.6"}]}
            raised = {"slos": [accuracy | {"objective": "0.99"}]}
            assert planned(world, key, attainable) is PlannedOutcome.NOTHING
            assert planned(world, key, raised) is PlannedOutcome.DEGRADED
            world.edit(key, **raised)
            await world.until(lambda: bool(trainings(world, key)), seconds=3600)

    run_virtually(story())


def test_plan_predicts_that_a_suspended_product_starts_no_first_version():
    async def story() -> None:
        async with opened() as world:
            body = product(suspend=True)
            manifest = merged(body, {"metadata": {"namespace": "catalog"}})
            change = planned_change(None, DataProduct.parse(manifest), world.settings)
            assert change.change is PlannedOutcome.SUSPENDED
            key = world.apply(body)
            world.start(**RARELY)
            await world.run(120)
            assert not pods(world)
            assert not world.status(key).get("candidate")

    run_virtually(story())


def test_plan_predicts_that_a_revert_during_a_canary_ends_the_canary():
    async def story() -> None:
        async with opened() as world:
            key = await served(world, product(), **RARELY)
            world.edit(key, model=pushed("b", "v2"))
            await world.until(lambda: bool(world.status(key).get("candidate")), seconds=120)
            await world.run(60)
            live = DataProduct.parse(world.product(key))
            edited = merged(world.product(key), {"spec": {"model": pushed("a", "v1")}})
            change = planned_change(live, DataProduct.parse(edited), world.settings)
            assert change.effects == ("the rollout of v2 ends: its traffic returns to stable",)
            world.edit(key, model=pushed("a", "v1"))
            await world.until(lambda: not world.status(key).get("candidate"), seconds=300)

    run_virtually(story())


def test_plan_predicts_that_a_rolled_back_version_is_not_retried():
    async def story() -> None:
        async with opened() as world:
            key = await served(world, product(), **RARELY)
            world.edit(key, model=pushed("b", "v2"))
            await world.until(lambda: bool(world.status(key).get("candidate")), seconds=120)
            world.annotate(key, **{names.REQUEST_ABORT: "1"})
            await world.until(lambda: not world.status(key).get("candidate"), seconds=300)
            live = DataProduct.parse(world.product(key))
            assert planned_change(live, live, world.settings).change is PlannedOutcome.NOTHING
            await world.run(300)
            assert not world.status(key).get("candidate")
            assert world.server.get(DATA_PRODUCTS, key)["spec"]["model"]["bento"]["version"] == "v2"

    run_virtually(story())
