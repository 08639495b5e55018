"""What products see of other namespaces is a setting."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import ProductState
from sluicegate.api.status import DependencyState
from sluicegate.kube.resources import Key
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from sluicegate.reconcile.live.product import product_record
from sluicegate.settings import Settings
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.rollout_world import serving_world

NEAR, FAR = Key("catalog", "features"), Key("finance", "pricing")
DEPENDS_ON = [{"name": "features"}, {"namespace": "finance", "name": "pricing"}]


@pytest.mark.parametrize(
    ("shared", "of_far", "blamed"),
    [
        (True, DependencyState.DEGRADED, ("features", "pricing")),
        (False, DependencyState.UNKNOWN, ("features",)),
    ],
)
async def test_dependency_states_of_another_namespace_are_observed_only_if_sharing_is_enabled(
    server, shared, of_far, blamed
):
    world = serving_world(0, dependsOn=DEPENDS_ON)
    settings = Settings(share_dependency_states=shared)
    observer = reconciler_of(build_controller(server.api, settings)).reader.observer
    for key in (NEAR, FAR):
        observer.fleet.record(key, ProductSnapshot(ProductState.DEGRADED, degraded_at=world.now))
    body = world.spec
    meta = body["metadata"] | {"resourceVersion": "7"}
    observation = await observer.observe(
        product_record(body | {"metadata": meta}),
        world.product,
        terms=world.observation().terms,
        desired=world.observation().desired,
        now=world.now,
    )
    states = {dependency.name: dependency.state for dependency in observation.dependencies}
    assert states == {"features": DependencyState.DEGRADED, "pricing": of_far}
    assert observation.observed.facts.upstream_degraded == blamed
