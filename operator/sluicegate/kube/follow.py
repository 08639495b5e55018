"""A local copy of all objects of a kind: a list, then a watch, and a new list after a failure.

For processes that only read, such as the portfolio page; the operator's own watches are Kopf's.
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
"""Seconds after which a watch is renewed, so that a dead connection is noticed."""
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class Lines(Protocol):
    """A source of the lines of an answer."""

    def lines(self, request: ApiRequest) -> AsyncIterator[bytes]:
        """Yield the lines of an answer as they arrive; a KubeError for a failure."""


class Sink(Protocol):
    """Receiver of the objects of one kind."""

    def observe(self, body: Mapping[str, Any]) -> None:
        """Take an object that exists or has changed."""

    def forget(self, key: Key) -> None:
        """Drop an object that was deleted."""

    def listed(self, kept_keys: set[Key], namespace: str) -> None:
        """Drop the objects of a namespace (empty for all) that a complete list didn't contain."""

    def mark_current(self) -> None:
        """Record that the API server answered, so that the copy is current."""

    def mark_unreachable(self) -> None:
        """Record a failed list or watch, so that the copy may be outdated."""


class _Outdated(Exception):  # noqa: N818 - says what is the case
    """The watch's resourceVersion expired, so that a new list is needed."""


class Follower:
    """Loop that keeps a sink equal to one kind in one namespace, or in all if that is empty."""

    def __init__(
        self,
        api: KubeApi,
        wire_client: Lines,
        resource: Resource,
        sink: Sink,
        *,
        namespace: str = "",
    ) -> None:
        self._api = api
        self._wire = wire_client
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self.primed = asyncio.Event()
        """Set once a whole list was taken in."""

    async def run(self) -> None:
        """Follow until cancelled; a failure is logged, and retried after a pause."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                version = await self._list()
                pause_seconds = FIRST_PAUSE_SECONDS
                while True:
                    version = await self._watch(version)
            except _Outdated:
                await asyncio.sleep(FIRST_PAUSE_SECONDS)
            except (KubeError, ValueError, KeyError) as error:
                self._sink.mark_unreachable()
                requested_seconds = error.retry_after if isinstance(error, TooManyRequests) else 0.0
                wait_seconds = max(requested_seconds, pause_seconds * random.uniform(0.5, 1))
                logger.warning(
                    "%s: retried in %.0f s: %s", self._resource.qualified, wait_seconds, error
                )
                await asyncio.sleep(wait_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE)

    async def _list(self) -> str:
        kept_keys: set[Key] = set()
        version = ""
        async for page in self._api.pages(self._resource, namespace=self._namespace):
            for body in page.items:
                kept_keys.add(key_of(body))
                self._sink.observe(body)
                await asyncio.sleep(0)  # lets the loop answer requests in between
            version = page.resource_version
        self._sink.listed(kept_keys, self._namespace)
        self._sink.mark_current()
        self.primed.set()
        return version

    async def _watch(self, version: str) -> str:
        """Pass changes to the sink until the server ends the watch; return the version to continue from."""
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
                    pass  # a bookmark, of which only the version is used
            version = str(body["metadata"]["resourceVersion"])
            self._sink.mark_current()
        return version
