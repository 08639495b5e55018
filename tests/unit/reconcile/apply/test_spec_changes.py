"""A changed spec reaches the pods; a newer operator alone replaces none of them."""

from __future__ import annotations

from copy import deepcopy

import pytest

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DEPLOYMENTS
from sluicegate.reconcile.build import Child, build_children
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import World, serving_world

ALL_OF_IT = {
    "manager": names.FIELD_MANAGER,
    "operation": "Apply",
    "fieldsV1": {"f:metadata": {"f:annotations": {}, "f:labels": {}}, "f:spec": {}},
}


@pytest.fixture(scope="module")
def world() -> World:
    return serving_world(2)


def deployment(world: World, **serving) -> Child:
    """Return the Deployment of v1, with these fields in spec.serving."""
    body = world.product.to_dict()
    body["spec"]["serving"] |= serving
    product = DataProduct.parse(body)
    allocation = allocation_of(product, world.current, stable_pods=2)
    children = build_children(product, allocation, {}, service_kind=ServiceKind.HEADLESS)
    return next(child for child in children if child.resource == DEPLOYMENTS)


def lives(server, reconciler, child: Child, change=lambda template: None) -> dict:
    """Return the Deployment as an earlier version of the operator may have applied it."""
    body = deepcopy(child.manifest)
    body["metadata"]["managedFields"] = [ALL_OF_IT]
    change(body)
    kept = server.keep(DEPLOYMENTS, body)
    reconciler.reader.observer.caches.written(DEPLOYMENTS, kept)
    return kept["spec"]["template"]


def rendered_otherwise(body: dict) -> None:
    """Change the template of a body, as another builder renders it from the same inputs."""
    body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 77
    body["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH] = "of another builder"


def template_of(server, child: Child) -> dict:
    return server.objects[DEPLOYMENTS.path(*child.key)]["spec"]["template"]


@pytest.mark.parametrize(
    "serving",
    [
        {"env": [{"name": "LEVEL", "value": "debug"}]},
        {"resources": {"requests": {"cpu": "2"}}},
        {"imagePullSecrets": [{"name": "pull"}]},
    ],
    ids=["env", "resources", "imagePullSecrets"],
)
@pytest.mark.parametrize("change", [lambda body: None, rendered_otherwise])
async def test_a_spec_change_reaches_the_pods(server, reconciler, record, world, serving, change):
    lives(server, reconciler, deployment(world), change)
    desired = deployment(world, **serving)
    await reconciler.effects.keeper.applier.apply(record, [desired])
    assert template_of(server, desired) == desired.manifest["spec"]["template"]


async def test_an_operator_upgrade_does_not_replace_pods_of_an_unchanged_spec(
    server, reconciler, record, world
):
    desired = deployment(world)
    before = lives(server, reconciler, desired, rendered_otherwise)
    await reconciler.effects.keeper.applier.apply(record, [desired])
    assert template_of(server, desired) == before
    assert template_of(server, desired) != desired.manifest["spec"]["template"]


async def test_a_pod_template_without_an_own_managed_fields_entry_is_rendered_again(
    server, reconciler, record, world
):
    """Another manager took the fields over, so nothing shows what an older operator had rendered."""

    def by_hand(body: dict) -> None:
        rendered_otherwise(body)
        body["metadata"]["managedFields"] = []

    desired = deployment(world)
    lives(server, reconciler, desired, by_hand)
    await reconciler.effects.keeper.applier.apply(record, [desired])
    assert template_of(server, desired) == desired.manifest["spec"]["template"]
