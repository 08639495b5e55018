"""What a replica knows as it begins to lead, be it for the first time or again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.reconcile.reconciler import READ_AT_ONCE, ProductReconciler
from tests.support.api_stand_in import ApiStandIn
from tests.support.built_controller import build_controller, reconciler_of
from tests.support.rollout_world import document

if TYPE_CHECKING:
    from sluicegate.app import Controller

TRAINS = {"retraining": {"trigger": {"id": "12345678"}}}
NOW = 1_767_225_600


@pytest.fixture
async def server():
    async with ApiStandIn() as started:
        yield started


@pytest.fixture
def controller(server) -> Controller:
    return build_controller(server.api)


@pytest.fixture
def reconciler(controller) -> ProductReconciler:
    return reconciler_of(controller)


def stored(server, reconciler, name: str, **status) -> Key:
    """A product as the caches have it."""
    body = document()
    body["metadata"] |= {"name": name, "uid": name}
    kept = server.keep(DATA_PRODUCTS, body | {"status": status})
    reconciler.applier.caches.written(DATA_PRODUCTS, kept)
    return Key("catalog", name)


async def test_a_term_begins_with_what_status_says_of_all_products(server, controller, reconciler):
    count = 2 * READ_AT_ONCE + 1
    names = [f"product-{number}" for number in range(count)]
    last = [stored(server, reconciler, name) for name in names][-1]
    stored(server, reconciler, "trains", **TRAINS)
    await controller.begin()
    before = reconciler.standings.portfolio(last, NOW, asked=True)
    assert (before.products, before.slot) == (count + 1, False)
    stored(server, reconciler, "trains")  # the other replica saw it end
    await controller.begin()
    after = reconciler.standings.portfolio(last, NOW, asked=True)
    assert (after.products, after.slot) == (count + 1, True)
