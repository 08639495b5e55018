"""The operator's own reconciler on an API server in a socket of this process.

A module that asks for `record` has a `world`, whose product is stored and observed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.runs.collector import collect_rarely

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sluicegate.reconcile.live.product import ProductRecord
    from sluicegate.reconcile.reconciler import ProductReconciler
    from tests.support.apiserver.api_stand_in import ApiStandIn
    from tests.support.decisions.rollout_world import World


def pytest_collection_finish() -> None:
    collect_rarely()


@pytest.fixture
async def server() -> AsyncIterator[ApiStandIn]:
    """The API server."""
    from tests.support.apiserver.api_stand_in import ApiStandIn

    async with ApiStandIn() as started:
        yield started


@pytest.fixture
def reconciler(server: ApiStandIn) -> ProductReconciler:
    """With empty caches."""
    from tests.support.apiserver.built_controller import build_controller, reconciler_of

    return reconciler_of(build_controller(server.api))


@pytest.fixture
def record(server: ApiStandIn, reconciler: ProductReconciler, world: World) -> ProductRecord:
    """The module's product, as it was observed."""
    from sluicegate.kube.resources import DATA_PRODUCTS
    from sluicegate.reconcile.live.product import product_record

    body = server.keep(DATA_PRODUCTS, world.spec)
    reconciler.reader.observer.caches.written(DATA_PRODUCTS, body)
    return product_record(body)
