"""The way from one replica to the in-memory API server, and what goes wrong on it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from sluicegate.kube.errors import AnswerTooLarge
from tests.support.virtual.admission import Refused

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from sluicegate.kube.requests import Request
    from sluicegate.kube.resources import Resource
    from tests.support.virtual.api_server import ApiServer
    from tests.support.virtual.watching import Stream

Answer = tuple[int, bytes, "Mapping[str, str]"]


class Trouble(Enum):
    """What becomes of a request."""

    REFUSED = "nobody listens"
    SWALLOWED = "it never arrives, and nobody says so"
    UNANSWERED = "it is carried out, and the answer never comes"
    BROKEN = "the answer isn't JSON"


Fault = Trouble | Refused
"""Trouble on the way, or what the API server says in place of what it would have said."""


@dataclass
class Network:
    """What all replicas share: the server, how long the way takes, and the faults.

    Attributes
    ----------
    faults : by name, so that each can be mended; the first that says something holds.
    """

    server: ApiServer
    dice: random.Random
    faults: dict[str, Callable[[str, Request], Fault | None]] = field(default_factory=dict)
    watch_faults: dict[str, Callable[[str, Resource], Fault | None]] = field(default_factory=dict)
    sent: int = 0
    writes: list[tuple[str, Request]] = field(default_factory=list)

    def fault(self, replica: str, request: Request) -> Fault | None:
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

    async def exchange(self, request: Request, most: int | None = None) -> Answer:
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
        try:
            if isinstance(fault, Refused):
                raise fault
            body = self.network.server.answer(request)
            if request.method != "GET":
                self.network.writes.append((self.replica, request))
            status, headers = 200, {}
        except Refused as refusal:
            status, body, headers = refusal.status, refusal.body(), refusal.headers
        if fault is Trouble.UNANSWERED:
            await asyncio.sleep(10 * request.seconds)
        text = b"<html>" if fault is Trouble.BROKEN else json.dumps(body).encode()
        if most is not None and len(text) > most:
            raise AnswerTooLarge(f"{request.title}: the answer has more than {most} bytes")
        return status, text, headers

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

    def watch(self, resource: Resource, namespace: str, labels: str, since: int) -> Stream:
        """Open a watch."""
        self.check_watch(resource)
        return self.network.server.watch(resource, namespace, labels, since)
