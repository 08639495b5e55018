"""What a replica knows as it begins to lead, be it for the first time or again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS, JOBS, Key
from sluicegate.reconcile.observe.term_start import READ_AT_ONCE
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.rollout_world import document

if TYPE_CHECKING:
    from sluicegate.manager import Controller
    from sluicegate.reconcile.reconciler import ProductReconciler

ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
NOW = 1_767_225_600


@pytest.fixture
def controller(server) -> Controller:
    return build_controller(server.api)


@pytest.fixture
def reconciler(controller) -> ProductReconciler:
    return reconciler_of(controller)


def stored(server, reconciler, name: str, **status) -> Key:
    """Return a product as the caches have it."""
    body = document()
    body["metadata"] |= {"name": name, "uid": name}
    kept = server.keep(DATA_PRODUCTS, body | {"status": status})
    reconciler.reader.observer.caches.written(DATA_PRODUCTS, kept)
    return Key("catalog", name)


def training(server, reconciler, name: str, **status) -> None:
    """Store a training Job of a product in the caches."""
    owner = {"kind": names.KIND, "name": name, "uid": name, "controller": True}
    meta = {"namespace": "catalog", "name": f"{name}-train-12345678-1"}
    owned = meta | {"labels": {names.LABEL_PRODUCT: name}, "ownerReferences": [owner]}
    kept = server.keep(JOBS, {"metadata": owned, "spec": {}, "status": status})
    reconciler.reader.observer.caches.written(JOBS, kept)


async def test_a_leader_term_begins_with_snapshots_from_status_and_jobs_of_all_products(
    server, controller, reconciler
):
    count = 2 * READ_AT_ONCE + 1
    last = [stored(server, reconciler, f"product-{number}") for number in range(count)][-1]
    stored(server, reconciler, "trains")
    training(server, reconciler, "trains")
    begun = int(reconciler.wall())
    await controller.begin()
    assert begun <= reconciler.reader.observer.attendance.term <= int(reconciler.wall())
    before = reconciler.reporter.fleet.portfolio(last, NOW, needs_slot=True)
    assert (before.products, before.slot) == (count + 1, False)
    training(server, reconciler, "trains", **ENDED)  # the other replica saw it
    await controller.begin()
    after = reconciler.reporter.fleet.portfolio(last, NOW, needs_slot=True)
    assert (after.products, after.slot) == (count + 1, True)
