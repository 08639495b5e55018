"""All objects of a kind as they are now: a list, then a watch, and a list again where it breaks.

For processes that read alone, the page for instance; the operator's own watches are Kopf's.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol

from sluicegate.kube import requests
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError, TooManyRequests
from sluicegate.kube.requests import ApiRequest
from sluicegate.kube.resources import Key, Resource, key_of

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 240
"""After which a watch is renewed: a connection that died in silence is noticed by then."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class Lines(Protocol):
    """Yields the lines of an answer as they arrive."""

    def lines(self, request: ApiRequest) -> AsyncIterator[bytes]:
        """The lines; a KubeError for a failure."""


class Sink(Protocol):
    """Takes in the objects of one kind."""

    def observe(self, body: Mapping[str, Any]) -> None:
        """An object is there, or has changed."""

    def forget(self, key: Key) -> None:
        """An object was deleted."""

    def listed(self, kept: set[Key], namespace: str) -> None:
        """A list of a namespace (all when it is empty) has ended; what it does not hold is gone."""

    def heard(self) -> None:
        """The API server has answered: what is held is as it is now."""


class _Outdated(Exception):  # noqa: N818 - says what is the case
    """The watch can't go on from its version: list again."""


class Follower:
    """Keeps a sink like one kind in one namespace, or in all when that is empty."""

    def __init__(
        self, api: KubeApi, wire: Lines, resource: Resource, sink: Sink, *, namespace: str = ""
    ) -> None:
        self._api = api
        self._wire = wire
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self.primed = asyncio.Event()
        """Set once a whole list was taken in."""

    async def run(self) -> None:
        """Follow indefinitely; what fails is logged, and done again after a pause."""
        pause = FIRST_PAUSE
        while True:
            try:
                version = await self._list()
                pause = FIRST_PAUSE
                while True:
                    version = await self._watch(version)
            except _Outdated:
                await asyncio.sleep(FIRST_PAUSE)
            except (KubeError, ValueError, KeyError) as error:
                asked = error.retry_after if isinstance(error, TooManyRequests) else 0.0
                wait = max(asked, pause * random.uniform(0.5, 1))
                logger.warning("%s: retried in %.0f s: %s", self._resource.qualified, wait, error)
                await asyncio.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _list(self) -> str:
        kept: set[Key] = set()
        version = ""
        async for page in self._api.pages(self._resource, namespace=self._namespace):
            for body in page.items:
                kept.add(key_of(body))
                self._sink.observe(body)
                await asyncio.sleep(0)  # requests are answered meanwhile
            version = page.resource_version
        self._sink.listed(kept, self._namespace)
        self._sink.heard()
        self.primed.set()
        return version

    async def _watch(self, version: str) -> str:
        """Take in what changes until the server ends the watch; return where to go on."""
        request = requests.watch(
            self._resource, namespace=self._namespace, version=version, seconds=WATCH_SECONDS
        )
        async for line in self._wire.lines(request):
            event = json.loads(line)
            body = event.get("object") or {}
            match event.get("type"):
                case "ERROR":
                    raise _Outdated
                case "DELETED":
                    self._sink.forget(key_of(body))
                case "ADDED" | "MODIFIED":
                    self._sink.observe(body)
                case _:
                    pass  # a bookmark: only its version counts
            version = str(body["metadata"]["resourceVersion"])
            self._sink.heard()
        return version
