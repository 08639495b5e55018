"""Lists find what no watch told, by themselves and again and again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.runtime.caches import Caches, Change
from sluicegate.runtime.contracts import Priority, Record, Watched
from sluicegate.runtime.resync import OBJECTS_AT_ONCE, Resync
from sluicegate.runtime.tasks import end
from tests.support.api_stand_in import ApiStandIn

if TYPE_CHECKING:
    from collections.abc import Callable

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


@contextlib.asynccontextmanager
async def resyncing(busy: Callable[[ApiStandIn], bool], changes: Callable[[Change], None]):
    """A resync every 0.6 s, for the length of a block, of a server that an object vanishes from."""
    async with ApiStandIn() as server:
        server.keep(CONFIG_MAPS, {"metadata": {"namespace": A.namespace, "name": A.name}})
        resync = Resync(
            server.api,
            Caches([Watched(CONFIG_MAPS, project)]),
            changes,
            interval=0.6,
            jitter=lambda: 0.5,
            busy=lambda: busy(server),
        )
        await resync.prime()
        del server.objects[CONFIG_MAPS.path(*A)]
        running = asyncio.create_task(resync.run())
        try:
            yield server
        finally:
            await end([running])


async def test_a_list_of_all_is_put_off_until_the_operator_has_time_for_it():
    changes: asyncio.Queue[Change] = asyncio.Queue()
    sent: list[int] = []

    def busy(server: ApiStandIn) -> bool:
        sent.append(len(server.sent))
        return len(sent) <= 3

    async with resyncing(busy, changes.put_nowait):
        await changes.get()
        async with asyncio.timeout(20):
            assert await changes.get() == Change(A, Priority.NORMAL)
    assert sent[:4] == [sent[0]] * 4, "nothing was asked while it was busy"


async def test_a_list_of_all_comes_an_interval_later_though_the_operator_is_always_busy():
    changes: asyncio.Queue[Change] = asyncio.Queue()
    async with resyncing(lambda _: True, changes.put_nowait):
        await changes.get()
        async with asyncio.timeout(20):
            assert await changes.get() == Change(A, Priority.NORMAL)


async def test_while_a_long_page_is_taken_in_others_have_a_turn():
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
        resync = Resync(server.api, caches, lambda _: None, interval=600, jitter=lambda: 0.5)
        turns = asyncio.create_task(take_turns())
        try:
            await resync.prime()
        finally:
            await end([turns])
    assert sum(in_a_row) == objects
    assert max(in_a_row) <= OBJECTS_AT_ONCE
