"""The way from one replica to the in-memory API server, and what goes wrong on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from typing import TYPE_CHECKING, Any

from benchmarks.virtual.admission import Refused
from benchmarks.virtual.event_loop import VirtualLoop
from sluicegate.kube.errors import AnswerTooLarge

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.virtual.api_server import ApiServer
    from benchmarks.virtual.watching import Stream
    from sluicegate.kube.requests import ApiRequest
    from sluicegate.kube.resources import Resource

Body = dict[str, Any]
Answer = tuple[int, bytes, "Mapping[str, str]"]


class Trouble(Enum):
    """What becomes of a request."""

    REFUSED = "nobody listens"
    SWALLOWED = "it never arrives, and nobody says so"
    UNANSWERED = "it is carried out, and the answer never comes"
    BROKEN = "the answer isn't JSON"


@dataclass(frozen=True, slots=True)
class Late:
    """A request arrives so many seconds late, even if its sender has given up meanwhile."""

    seconds: float


Fault = Trouble | Late | Refused
"""Trouble on the way, or what the API server says in place of what it would have said."""


@dataclass
class Network:
    """What all replicas share: the server, how long the way takes, and the faults.

    Attributes
    ----------
    faults : by name, so that each can be removed; the first that says something holds.
    """

    server: ApiServer
    dice: random.Random
    faults: dict[str, Callable[[str, ApiRequest], Fault | None]] = field(default_factory=dict)
    watch_faults: dict[str, Callable[[str, Resource], Fault | None]] = field(default_factory=dict)
    sent: int = 0
    writer: tuple[str, ApiRequest] | None = None
    """Who writes at this moment, and by which request; None for whoever isn't a replica."""
    refused: list[Callable[[str, ApiRequest, Refused], None]] = field(default_factory=list)
    """Take note of what the server itself refuses."""
    writes: deque[tuple[str, ApiRequest]] = field(default_factory=lambda: deque(maxlen=100))

    def fault(self, replica: str, request: ApiRequest) -> Fault | None:
        """What goes wrong with a request, if anything."""
        return next(
            (one for judge in self.faults.values() if (one := judge(replica, request))), None
        )

    def seconds(self) -> float:
        """How long the way takes, there and back."""
        return 0.002 + 0.02 * self.dice.random()


@dataclass(eq=False)
class Line:
    """A replica's wire. Once it is cut, nothing gets through any more."""

    network: Network
    replica: str
    cut: bool = False

    async def exchange(self, request: ApiRequest, most: int | None = None) -> Answer:
        """Return status, body and headers of the answer."""
        self.network.sent += 1
        await asyncio.sleep(self.network.seconds())
        if self.cut:
            raise ConnectionRefusedError("the process is gone")
        fault = self.network.fault(self.replica, request)
        if fault is Trouble.REFUSED:
            raise ConnectionRefusedError("nobody listens")
        if fault is Trouble.SWALLOWED:
            await asyncio.sleep(10 * request.seconds)
        if isinstance(fault, Late):
            if fault.seconds >= request.seconds:
                loop = asyncio.get_running_loop()
                loop.call_later(fault.seconds, self._arrive_late, request)
            await asyncio.sleep(fault.seconds)
        try:
            if isinstance(fault, Refused):
                raise fault
            text = json.dumps(self._ask(request)).encode()
            status, headers = 200, {"Date": formatdate(self._now(), usegmt=True)}
        except Refused as refusal:
            status, text, headers = refusal.status, refusal.text(), refusal.headers
        if fault is Trouble.UNANSWERED:
            await asyncio.sleep(10 * request.seconds)
        text = b"<html>" if fault is Trouble.BROKEN else text
        if most is not None and len(text) > most:
            raise AnswerTooLarge(f"{request.title}: the answer has more than {most} bytes")
        return status, text, headers

    @staticmethod
    def _now() -> float:
        """The server's clock: that of the loop, or the machine's for a client in real time."""
        loop = asyncio.get_running_loop()
        return loop.wall() if isinstance(loop, VirtualLoop) else time.time()

    def _arrive_late(self, request: ApiRequest) -> None:
        with suppress(Refused):  # nobody waits for the answer
            self._ask(request)

    def _ask(self, request: ApiRequest) -> Body:
        """Return what the server says; who writes is known meanwhile."""
        if request.method == "GET":
            return self.network.server.answer(request)
        self.network.writer = (self.replica, request)
        try:
            body = self.network.server.answer(request)
        except Refused as refusal:
            for told in self.network.refused:
                told(self.replica, request, refusal)
            raise
        finally:
            self.network.writer = None
        self.network.writes.append((self.replica, request))
        return body

    async def close(self) -> None:
        """Nothing is open."""

    def check_watch(self, resource: Resource) -> None:
        """Raise what a watch, or the list before it, meets."""
        if self.cut:
            raise ConnectionRefusedError("the process is gone")
        for judge in self.network.watch_faults.values():
            fault = judge(self.replica, resource)
            if isinstance(fault, Refused):
                raise fault
            if fault is not None:
                raise ConnectionRefusedError(fault.value)

    def watch(
        self, resource: Resource, namespace: str, labels: str, since: int, *, seconds: float
    ) -> Stream:
        """Open a watch, which the server ends after so many seconds."""
        self.check_watch(resource)
        server = self.network.server
        stream = server.watch(resource, namespace, labels, since)
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, lambda: stream.expire(server.version))
        return stream
