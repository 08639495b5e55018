"""The network between a replica and the in-memory API server, and its faults."""

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


class NetworkFault(Enum):
    """Result of a faulty request."""

    REFUSED = "connection refused"
    SWALLOWED = "it never arrives, and nobody says so"
    UNANSWERED = "it is carried out, and the answer never comes"
    BROKEN = "the answer isn't JSON"


@dataclass(frozen=True, slots=True)
class Late:
    """A request that arrives this many seconds late, even if its sender has timed out meanwhile."""

    seconds: float


Fault = NetworkFault | Late | Refused
"""A fault of the network, or an answer instead of the API server's own."""


@dataclass
class Network:
    """State that all replicas share: the server, the latency, and the faults.

    Attributes
    ----------
    faults : by name, so that each can be removed; the first applicable one is used.
    """

    server: ApiServer
    dice: random.Random
    faults: dict[str, Callable[[str, ApiRequest], Fault | None]] = field(default_factory=dict)
    watch_faults: dict[str, Callable[[str, Resource], Fault | None]] = field(default_factory=dict)
    sent: int = 0
    writer: tuple[str, ApiRequest] | None = None
    """Replica and request of the current write; None for another writer."""
    refused: list[Callable[[str, ApiRequest, Refused], None]] = field(default_factory=list)
    """Observers of the server's own refusals."""
    writes: deque[tuple[str, ApiRequest]] = field(default_factory=lambda: deque(maxlen=100))

    def fault(self, replica: str, request: ApiRequest) -> Fault | None:
        """Return the fault of a request, if any."""
        return next(
            (one for judge in self.faults.values() if (one := judge(replica, request))), None
        )

    def seconds(self) -> float:
        """Return the latency in both directions."""
        return 0.002 + 0.02 * self.dice.random()


@dataclass(eq=False)
class Line:
    """A replica's wire. Once it is cut, no request gets through."""

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
        if fault is NetworkFault.REFUSED:
            raise ConnectionRefusedError("connection refused")
        if fault is NetworkFault.SWALLOWED:
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
        if fault is NetworkFault.UNANSWERED:
            await asyncio.sleep(10 * request.seconds)
        text = b"<html>" if fault is NetworkFault.BROKEN else text
        if most is not None and len(text) > most:
            raise AnswerTooLarge(f"{request.title}: the answer has more than {most} bytes")
        return status, text, headers

    @staticmethod
    def _now() -> float:
        """Return the server's clock: that of the loop, or the machine's for a client in real time."""
        loop = asyncio.get_running_loop()
        return loop.wall() if isinstance(loop, VirtualLoop) else time.time()

    def _arrive_late(self, request: ApiRequest) -> None:
        with suppress(Refused):  # the sender doesn't wait any more
            self._ask(request)

    def _ask(self, request: ApiRequest) -> Body:
        """Return the server's answer; `writer` is set meanwhile."""
        if request.method == "GET":
            return self.network.server.answer(request)
        self.network.writer = (self.replica, request)
        try:
            body = self.network.server.answer(request)
        except Refused as refusal:
            for observer in self.network.refused:
                observer(self.replica, request, refusal)
            raise
        finally:
            self.network.writer = None
        self.network.writes.append((self.replica, request))
        return body

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def check_watch(self, resource: Resource) -> None:
        """Raise the fault of a watch, or of the list before it."""
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
        """Open a watch, which the server ends after this many seconds."""
        self.check_watch(resource)
        server = self.network.server
        stream = server.watch(resource, namespace, labels, since)
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, lambda: stream.expire(server.version))
        return stream
