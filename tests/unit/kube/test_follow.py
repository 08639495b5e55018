"""A kind as it is now: what is listed, what changes, and what a broken watch leaves out."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from benchmarks.virtual.event_loop import virtual_loop, virtually
from sluicegate.kube import follow
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import TooManyRequests, Transient
from sluicegate.kube.resources import DATA_PRODUCTS, Key, key_of
from sluicegate.kube.transport import Transport
from sluicegate.runtime.tasks import end_tasks
from sluicegate.runtime.write_fence import OpenGate


def body(name, version="1"):
    return {"metadata": {"namespace": "a", "name": name, "resourceVersion": version}}


def event(kind, name="", version="9"):
    return json.dumps({"type": kind, "object": body(name, version)}).encode()


class Server:
    """Plays the API server: a list each time, and a watch of the lines that are next."""

    def __init__(self, lists, watches):
        self.lists, self.watches = list(lists), list(watches)
        self.versions = []

    async def exchange(self, request, most=None):
        names = self.lists.pop(0)
        page = {"metadata": {"resourceVersion": "5"}, "items": [body(name) for name in names]}
        return 200, json.dumps(page).encode(), {}

    async def lines(self, request):
        self.versions.append(dict(request.query)["resourceVersion"])
        if not self.watches:
            await asyncio.Event().wait()
        for line in self.watches.pop(0):
            if isinstance(line, Exception):
                raise line
            yield line

    async def close(self):
        """Nothing is open."""


class Kept:
    """A sink that keeps names."""

    def __init__(self):
        self.names, self.answers, self.failures = set(), 0, 0

    def observe(self, found):
        self.names.add(found["metadata"]["name"])

    def forget(self, key):
        self.names.discard(key.name)

    def listed(self, kept, namespace):
        self.names &= {key.name for key in kept}

    def mark_current(self):
        self.answers += 1

    def mark_unreachable(self):
        self.failures += 1


async def followed(monkeypatch, lists, watches):
    monkeypatch.setattr(follow, "FIRST_PAUSE_SECONDS", 0.001)
    server, kept = Server(lists, watches), Kept()
    api = KubeApi(Transport(server), OpenGate(), field_manager="test")
    follower = follow.Follower(api, server, DATA_PRODUCTS, kept)
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(30):
        await follower.primed.wait()
        while server.watches or server.lists:  # noqa: ASYNC110 - what it plays is no event
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
    task.cancel()
    return server, kept


async def test_a_watch_continues_from_the_version_of_the_list_or_the_previous_watch(monkeypatch):
    watches = [
        [event("ADDED", "new"), event("DELETED", "old", "11"), event("BOOKMARK", "", "20")],
        [],
    ]
    server, kept = await followed(monkeypatch, [["old", "same"]], watches)
    assert kept.names == {"same", "new"}
    assert server.versions[:2] == ["5", "20"]
    assert kept.answers == 4


@pytest.mark.parametrize("broken", [event("ERROR"), Transient("cut off"), b"no JSON"])
async def test_a_broken_watch_is_followed_by_a_list_that_drops_missing_objects(monkeypatch, broken):
    _, kept = await followed(monkeypatch, [["old"], ["same"]], [[broken]])
    assert kept.names == {"same"}
    # An expired version is an answer of the API server.
    assert kept.failures == (0 if broken == event("ERROR") else 1)


def test_followed_objects_have_namespace_and_name_as_key():
    assert key_of(body("x")) == Key("a", "x")


class Failing(Server):
    """A server that fails from one moment on until another; when it was asked for a list."""

    def __init__(self, *spans):
        super().__init__([], [])
        self.spans, self.asked, self.seconds = spans, [], set()

    async def exchange(self, request, most=None):
        now = virtual_loop().time()
        self.asked.append(round(now))
        if any(begin <= now < end for begin, end in self.spans):
            return 500, b"{}", {}
        return 200, b'{"metadata": {"resourceVersion": "5"}, "items": []}', {}

    async def lines(self, request):
        self.seconds.add(dict(request.query)["timeoutSeconds"])
        await asyncio.sleep(50)
        yield json.dumps({"type": "ERROR", "object": {}}).encode()


@virtually
async def test_failed_lists_are_retried_after_at_most_thirty_seconds(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda *half: {(0.5, 1): 1}[half])
    server = Failing((0, 70), (190, 196))
    api = KubeApi(Transport(server), OpenGate(), field_manager="test")
    follower = follow.Follower(api, server, DATA_PRODUCTS, Kept())
    running = asyncio.create_task(follower.run())
    await asyncio.sleep(80)
    assert server.asked == [0, 1, 3, 7, 15, 31, 61]
    assert not follower.primed.is_set()
    await asyncio.sleep(120)
    # At 91 it is answered; a watch that can't go on ends after 50 s, and is listed after one.
    assert server.asked[7:] == [91, 142, 193, 194, 196], "the pauses begin anew"
    assert server.seconds == {"240"}
    await end_tasks([running])


@virtually
async def test_a_watch_refused_with_retry_after_is_listed_again_only_after_that_time():
    class Busy(Failing):
        async def lines(self, request):
            if virtual_loop().time() < 10:
                raise TooManyRequests("later", retry_after=20)
            await asyncio.Event().wait()
            yield b""

    server = Busy()
    api = KubeApi(Transport(server), OpenGate(), field_manager="test")
    running = asyncio.create_task(follow.Follower(api, server, DATA_PRODUCTS, Kept()).run())
    await asyncio.sleep(60)
    await end_tasks([running])
    assert server.asked == [0, 20]
