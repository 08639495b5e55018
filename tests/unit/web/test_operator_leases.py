"""The pages while no operator renews the Lease that the products name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sluicegate.kube.leases import render_time
from sluicegate.kube.resources import LEASES, Key
from sluicegate.web.operator_leases import OperatorLeases
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.portfolio.products import document
from tests.support.portfolio.served import NOW, served, store_of

LEASE = Key("platform", "sluicegate")
WRITTEN = {"writtenBy": {"namespace": LEASE.namespace, "lease": LEASE.name, "scope": "Cluster"}}
SENTENCE = (
    "The operator platform/sluicegate has not renewed its Lease since 2026-11-28 10:58:00 UTC"
)


@pytest.fixture
async def server():
    async with ApiStandIn() as stand_in:
        yield stand_in


def lease(age: float) -> dict:
    renewed = datetime.fromtimestamp(NOW, UTC) - timedelta(seconds=age)
    spec = {"renewTime": render_time(renewed), "leaseDurationSeconds": 15}
    return {"metadata": {"namespace": LEASE.namespace, "name": LEASE.name}, "spec": spec}


async def text_of(page, path):
    return await (await page.get(path)).text()


async def test_each_page_names_an_operator_that_does_not_renew_its_lease_until_it_does(server):
    store = store_of([document(status=WRITTEN)])
    leases = OperatorLeases(server.api, store)
    server.keep(LEASES, lease(120))
    async with served(store) as page:
        await leases.read()
        await leases.read()
        for path in ("/", "/markets", "/products/pricing/pricing"):
            text = await text_of(page, path)
            assert SENTENCE in text
            assert "what you see of its products is as of then" in text
        server.keep(LEASES, lease(1))
        await leases.read()
        assert "its Lease" not in await text_of(page, "/")


async def test_a_lease_that_is_renewed_by_a_clock_behind_that_of_the_page_is_not_abandoned(server):
    store = store_of([document(status=WRITTEN)])
    leases = OperatorLeases(server.api, store)
    for age in (120, 110, 100):
        server.keep(LEASES, lease(age))
        await leases.read()
        assert store.abandoned_leases == {}


async def test_a_deleted_lease_is_named_and_one_that_may_not_be_read_is_not(server):
    store = store_of([document(status=WRITTEN)])
    leases = OperatorLeases(server.api, store)
    async with served(store) as page:
        await leases.read()
        assert "The operator platform/sluicegate has no Lease any more" in await text_of(page, "/")
        server.refused.add(LEASES.path(*LEASE))
        await leases.read()
        assert "its Lease" not in await text_of(page, "/")


async def test_a_reader_sees_no_operator_of_products_that_are_hidden(server):
    store = store_of([document(status=WRITTEN), document("eta", "logistics")])
    server.keep(LEASES, lease(120))
    leases = OperatorLeases(server.api, store)
    await leases.read()
    await leases.read()
    async with served(store, server=AccessReviews({"everybody": {"logistics"}})) as page:
        assert "its Lease" not in await text_of(page, "/")
