"""Objects with our names or labels that aren't this product's: they are let alone."""

from __future__ import annotations

import pytest

from sluicegate.api import names
from sluicegate.kube.errors import Conflict
from sluicegate.kube.resources import JOBS, SERVICES
from sluicegate.reconcile.apply.applier import NameConflict
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import World, serving_world


@pytest.fixture(scope="module")
def world() -> World:
    return serving_world(2)


def owned_by(uid: str | None, **meta) -> dict:
    """Return metadata of an object that says that it belongs to a product of ours."""
    owner = {"kind": names.KIND, "name": "search", "uid": uid, "controller": True}
    return {
        "namespace": "catalog",
        "labels": {names.LABEL_PRODUCT: "search"},
        "ownerReferences": [] if uid is None else [owner],
        **meta,
    }


def known(server, reconciler, resource, body) -> None:
    """Store a live object, which the watch has reported."""
    reconciler.reader.observer.caches.written(resource, server.keep(resource, body))


FORMER = "uid-of-the-product-before"


@pytest.mark.parametrize(("uid", "left"), [("own", True), (FORMER, False), (None, False)])
def test_only_the_products_own_children_are_leftovers(server, reconciler, record, uid, left):
    owner = record.uid if uid == "own" else uid
    known(
        server, reconciler, SERVICES, {"metadata": owned_by(owner, name="search-old"), "spec": {}}
    )
    assert bool(list(reconciler.effects.keeper.applier.leftovers(record, ()))) is left


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(("uid", "ended"), [("own", True), (FORMER, False), (None, False)])
async def test_only_the_products_own_jobs_are_ended(
    server, reconciler, record, world, uid, finished, ended
):
    done = [{"type": "Complete", "status": "True"}] if finished else []
    body = {
        "metadata": owned_by(record.uid if uid == "own" else uid, name="search-train-0a1b2c3d-1"),
        "spec": {},
        "status": {"conditions": done},
    }
    known(server, reconciler, JOBS, body)
    server.sent.clear()
    await reconciler.effects.trainer.keep(record, world.observation(), world.current)
    assert bool(server.writes) is ended


@pytest.mark.parametrize(
    ("uid", "error"), [(FORMER, Conflict), (None, NameConflict)], ids=["former", "nobody's"]
)
async def test_a_child_of_a_deleted_product_delays_the_write_and_an_unowned_object_is_a_conflict(
    server, reconciler, record, world, uid, error
):
    """The garbage collector never deletes an object without an owner: a wait would not end."""
    allocation = allocation_of(world.product, world.current, stable_pods=2)
    children = build_children(world.product, allocation, {}, service_kind=ServiceKind.HEADLESS)
    service = next(child for child in children if child.resource == SERVICES)
    known(
        server, reconciler, SERVICES, {"metadata": owned_by(uid, name=service.key.name), "spec": {}}
    )
    server.sent.clear()
    with pytest.raises(error):
        await reconciler.effects.keeper.applier.apply(record, [service])
    assert not server.writes
