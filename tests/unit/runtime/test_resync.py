"""Lists find what no watch told, by themselves and again and again."""

from __future__ import annotations

import asyncio
import contextlib
from copy import deepcopy

import pytest

from sluicegate.kube.resources import CONFIG_MAPS, SERVICES, Key
from sluicegate.runtime.cache import Caches, Change
from sluicegate.runtime.interfaces import Done, QueuePriority, Record, RequeueAfter, Watched
from sluicegate.runtime.resync import Resync
from sluicegate.runtime.tasks import end_tasks
from sluicegate.runtime.unreadable_namespaces import ListedOnly, Refusals
from tests.support.apiserver.api_stand_in import ApiStandIn

OBJECTS_AT_ONCE = 20

# Promised, so written as numbers here.
FORGET_SECONDS = 600.0

A, B = Key("shop", "a"), Key("shop", "b")
PLAIN = {"jitter": lambda: 0.5, "refusals": Refusals(lambda: 0.0)}


def project(body) -> Record:
    meta = body["metadata"]
    key = Key(meta["namespace"], meta["name"])
    return Record(key=key, parent=key, uid=meta["uid"], version=int(meta["resourceVersion"]))


async def test_a_deletion_that_no_watch_reported_is_found_by_the_next_list():
    changes: asyncio.Queue[Change] = asyncio.Queue()
    async with ApiStandIn() as server:
        for key in (A, B):
            server.keep(CONFIG_MAPS, {"metadata": {"namespace": key.namespace, "name": key.name}})
        caches = Caches([Watched(CONFIG_MAPS, project)])
        resync = Resync(server.api, caches, changes.put_nowait, interval=0.01, **PLAIN)
        await resync.prime()
        assert {changes.get_nowait().product for _ in range(2)} == {A, B}
        running = asyncio.create_task(resync.run())
        try:
            async with asyncio.timeout(20):
                for key in (A, B):  # one after the other: the second needs a list of its own
                    del server.objects[CONFIG_MAPS.path(*key)]
                    assert await changes.get() == Change(key, QueuePriority.NORMAL)
        finally:
            await end_tasks([running])
    assert len(caches.products) == 0


async def test_a_list_with_older_versions_than_the_cache_replaces_it_after_an_etcd_restore():
    """What was known looked newer than what is stored, until the operator was started again."""
    changes: asyncio.Queue[Change] = asyncio.Queue()
    async with ApiStandIn() as server:
        old = {
            key: server.keep(CONFIG_MAPS, {"metadata": {"namespace": "shop", "name": key.name}})
            for key in (A, B)
        }
        caches = Caches([Watched(CONFIG_MAPS, project)])
        resync = Resync(server.api, caches, changes.put_nowait, interval=0.01, **PLAIN)
        backup = deepcopy(old[A])
        for key in (A, B) * 500:
            server.move(CONFIG_MAPS, key)
        await resync.prime()
        newest = caches.products.get(A).version
        server.restore({CONFIG_MAPS.path(*A): backup})  # B was made after it
        running = asyncio.create_task(resync.run())
        try:
            async with asyncio.timeout(20):
                while B in caches.products or caches.products.get(A).version == newest:
                    await changes.get()
        finally:
            await end_tasks([running])
    assert caches.products.get(A).version == int(backup["metadata"]["resourceVersion"]) < newest


async def test_processing_a_long_list_page_yields_to_other_tasks():
    in_a_row = [0]

    def project_and_count(body) -> Record:
        in_a_row[-1] += 1
        return project(body)

    async def take_turns() -> None:
        while True:
            in_a_row.append(0)
            await asyncio.sleep(0)

    objects = 10 * OBJECTS_AT_ONCE
    async with ApiStandIn() as server:
        for number in range(objects):
            server.keep(CONFIG_MAPS, {"metadata": {"namespace": "shop", "name": f"n{number}"}})
        caches = Caches([Watched(CONFIG_MAPS, project_and_count)])
        resync = Resync(server.api, caches, lambda _: None, interval=600, **PLAIN)
        turns = asyncio.create_task(take_turns())
        try:
            await resync.prime()
        finally:
            await end_tasks([turns])
    assert sum(in_a_row) == objects
    assert max(in_a_row) <= OBJECTS_AT_ONCE


# ---- namespaces that can't be read ---------------------------------------------------------
GONE = Key("gone", "a")


class Cluster:
    """A server with an object in each of two namespaces, and a resync that watches both."""

    def __init__(self, server: ApiStandIn) -> None:
        self.server = server
        self.now = 0.0
        for key in (A, GONE):
            server.keep(CONFIG_MAPS, {"metadata": {"namespace": key.namespace, "name": key.name}})
        self.caches = Caches([Watched(CONFIG_MAPS, project), Watched(SERVICES, project)])
        self.changes: asyncio.Queue[Change] = asyncio.Queue()
        self.refusals = Refusals(lambda: self.now)
        self.resync = Resync(
            server.api,
            self.caches,
            self.changes.put_nowait,
            refusals=self.refusals,
            namespaces=("gone", "shop"),
            interval=0.05,
            jitter=lambda: 0.0,
        )

    def refuse(self, namespace: str, *resources) -> None:
        """Forbid these lists, as the Role is gone."""
        self.server.refused |= {resource.path(namespace) for resource in resources}

    def known(self) -> set[Key]:
        return set(self.caches.products)

    async def changed(self, key: Key) -> None:
        """Wait until the object's product is requeued."""
        async with asyncio.timeout(20):
            while (await self.changes.get()).product != key:
                pass

    async def reconciled(self, key: Key) -> bool:
        """Return whether the product's turn leads to anything."""

        class Inner:
            async def reconcile(self, key: Key):
                return RequeueAfter(1.0)

        listed = ListedOnly(Inner(), self.refusals, products=self.caches.products)
        return await listed.reconcile(key) != Done()


@pytest.fixture
async def cluster():
    async with ApiStandIn() as server:
        yield Cluster(server)


@contextlib.asynccontextmanager
async def running(cluster: Cluster):
    task = asyncio.create_task(cluster.resync.run())
    try:
        yield
    finally:
        await end_tasks([task])


async def test_a_deleted_namespace_does_not_prevent_lists_of_others(cluster):
    cluster.refuse("gone", CONFIG_MAPS, SERVICES)
    async with asyncio.timeout(20):
        await cluster.resync.prime()
    assert cluster.known() == {A}
    cluster.server.keep(CONFIG_MAPS, {"metadata": {"namespace": B.namespace, "name": B.name}})
    async with running(cluster):
        await cluster.changed(B)


async def test_a_recreated_namespace_is_listed_again(cluster):
    cluster.refuse("gone", CONFIG_MAPS, SERVICES)
    await cluster.resync.prime()
    async with running(cluster):
        cluster.server.refused.clear()
        await cluster.changed(GONE)
    assert cluster.known() == {A, GONE}


async def test_records_of_a_forbidden_namespace_are_kept_for_a_grace_period(cluster):
    await cluster.resync.prime()
    cluster.refuse("gone", CONFIG_MAPS, SERVICES)
    cluster.server.keep(CONFIG_MAPS, {"metadata": {"namespace": B.namespace, "name": B.name}})
    async with running(cluster):
        await cluster.changed(B)  # a list of all was made
        assert cluster.known() == {A, B, GONE}
        assert await cluster.reconciled(GONE)
        cluster.now = FORGET_SECONDS
        await cluster.changed(GONE)
        assert cluster.known() == {A, B}


async def test_an_unreadable_kind_is_not_treated_as_absent_objects(cluster):
    cluster.refuse("gone", SERVICES)
    await cluster.resync.prime()
    assert cluster.known() == {A, GONE}
    assert await cluster.reconciled(A)
    assert not await cluster.reconciled(GONE)
    async with running(cluster):
        while not cluster.changes.empty():
            cluster.changes.get_nowait()
        cluster.server.refused.clear()
        await cluster.changed(GONE)
        assert await cluster.reconciled(GONE)
