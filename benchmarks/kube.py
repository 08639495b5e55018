"""The harness's own client of the API server: apply, list, watch.

The harness runs on the same cores as the measured contender, so it sends simple requests and keeps
only the needed part of each object.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from cluster.kubeconfigs import read_kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from benchmarks.contender import Body

PAGE: Final = 500
AT_ONCE: Final = 16
"""Concurrent requests of the harness."""
BAD: Final = 400
AGAIN_SECONDS: Final = 0.2
"""Seconds between a watch's end and the next list."""
Key = tuple[str, str]
"""Namespace and name."""


class RequestFailed(Exception):  # noqa: N818 - what it is, it says
    """The API server refused a request of the harness."""


class Client:
    """One pool of connections, as the user of a kubeconfig of `cluster.kubeconfigs`."""

    def __init__(self, kubeconfig: Path) -> None:
        config = read_kubeconfig(kubeconfig)
        self._url: str = config["clusters"][0]["cluster"]["server"]
        self._tls = _tls(config)
        self._session: aiohttp.ClientSession | None = None
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        """Open the pool."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            self._url, connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the pool."""
        if self._session:
            await self._session.close()

    async def apply(self, body: Body) -> None:
        """Apply an object server-side, like a GitOps tool."""
        path = f"{path_of(body)}?fieldManager=person&force=true"
        await self.send("PATCH", path, body, "application/apply-patch+yaml")

    async def apply_all(self, bodies: Iterable[Body]) -> None:
        """Apply many objects, some at a time."""
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                await self._at_once.acquire()
                task = group.create_task(self.apply(body))
                task.add_done_callback(lambda _: self._at_once.release())

    async def send(
        self, method: str, path: str, body: Body | None = None, kind: str = "application/json"
    ) -> Body:
        """Send a request and return the answer's object."""
        assert self._session
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind}
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= BAD:
                raise RequestFailed(f"{method} {path}: {answer.status} {text[:300]}")
            parsed: Body = json.loads(text)
            return parsed

    async def list(self, path: str) -> tuple[list[Body], str]:
        """Return all objects of a collection, and the version of the list."""
        items: list[Body] = []
        token = ""
        while True:
            page = await self.send("GET", f"{path}?limit={PAGE}&continue={token}")
            items += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return items, page["metadata"]["resourceVersion"]

    async def watch(self, path: str, take_in: Callable[[str, Body], None]) -> None:
        """Call `take_in` for every object, then for every change, until cancelled."""
        while True:
            items, version = await self.list(path)
            for body in items:
                take_in("ADDED", body)
            assert self._session
            async with self._session.get(f"{path}?watch=true&resourceVersion={version}") as answer:
                async for event, body in events(answer):
                    take_in(event, body)
            await asyncio.sleep(AGAIN_SECONDS)


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Body]]:
    """Yield type and object of each event of a watch, until it ends; a refused one has none.

    A busy API server refuses watches, too. The list after each end raises the reason, if it
    persists.
    """
    if answer.status >= BAD:
        return
    incomplete = b""
    async for piece in answer.content.iter_any():
        *lines, incomplete = (incomplete + piece).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            yield event["type"], event["object"]


@dataclass
class Watcher:
    """Times at which each object of a collection first fulfilled a condition."""

    holds: Callable[[Body], bool]
    since: dict[Key, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take_in(self, event: str, body: Body) -> None:
        """Check an object that arrives."""
        key = key_of(body)
        if event != "DELETED" and key not in self.since and self.holds(body):
            self.since[key] = time.monotonic()
            self.changed.set()

    async def until(self, keys: set[Key], *, seconds: float) -> float:
        """Wait for these; return the monotonic time at which the last of them fulfilled it.

        Raises
        ------
        TimeoutError
            With how many did.
        """
        try:
            async with asyncio.timeout(seconds):
                while not keys <= self.since.keys():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError as error:
            done = len(keys & self.since.keys())
            raise TimeoutError(f"{done} of {len(keys)} within {seconds:.0f} s") from error
        return max(self.since[key] for key in keys)


def key_of(body: Body) -> Key:
    """Return namespace and name of an object."""
    return body["metadata"].get("namespace", ""), body["metadata"]["name"]


def path_of(body: Body) -> str:
    """Return the path of an object, from its kind: all kinds in the benchmarks have regular plurals."""
    version, kind = body["apiVersion"], body["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    root = "/apis" if "/" in version else "/api"
    namespace, name = key_of(body)
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}/{version}{within}/{plural}/{name}"


def _tls(config: dict[str, Any]) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]))
        pair.write(base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context
