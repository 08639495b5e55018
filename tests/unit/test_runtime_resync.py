"""Lists find what no watch told, by themselves and again and again."""

from __future__ import annotations

import asyncio

from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.runtime.caches import Caches, Change
from sluicegate.runtime.contracts import Priority, Record, Watched
from sluicegate.runtime.resync import Resync
from sluicegate.runtime.tasks import end
from tests.support.api_stand_in import ApiStandIn

A, B = Key("shop", "a"), Key("shop", "b")


def project(body) -> Record:
    meta = body["metadata"]
    key = Key(meta["namespace"], meta["name"])
    return Record(key=key, parent=key, uid=meta["uid"], version=int(meta["resourceVersion"]))


async def test_what_is_gone_without_a_word_is_found_by_the_next_list_and_lists_go_on():
    changes: asyncio.Queue[Change] = asyncio.Queue()
    async with ApiStandIn() as server:
        for key in (A, B):
            server.keep(CONFIG_MAPS, {"metadata": {"namespace": key.namespace, "name": key.name}})
        caches = Caches([Watched(CONFIG_MAPS, project)])
        resync = Resync(server.api, caches, changes.put_nowait, interval=0.01, jitter=lambda: 0.5)
        await resync.prime()
        assert {changes.get_nowait().product for _ in range(2)} == {A, B}
        running = asyncio.create_task(resync.run())
        try:
            async with asyncio.timeout(20):
                for key in (A, B):  # one after the other: the second needs a list of its own
                    del server.objects[CONFIG_MAPS.path(*key)]
                    assert await changes.get() == Change(key, Priority.NORMAL)
        finally:
            await end([running])
    assert len(caches.products) == 0
