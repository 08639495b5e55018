"""What a replica takes from the machine that it runs on: clocks, the network, the collector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login
from sluicegate.runtime.clock import Clocks
from sluicegate.runtime.gc_tuning import collect_seldom
from sluicegate.runtime.health import BEAT_SECONDS
from sluicegate.runtime.http_server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate.kube.transport import Wire
    from sluicegate.runtime.health import Health
    from sluicegate.runtime.interfaces import Work


class Listening(Protocol):
    """Answers scrapes and probes."""

    async def start(self) -> int:
        """Listen; return the port."""

    async def stop(self) -> None:
        """Stop listening."""


def connect() -> Wire:
    """Return a way to the API server that is opened when it is needed."""
    return Connections(login)


def listen(health: Health, before_scrape: Callable[[], None], port: int) -> Listening:
    """Return a server on every interface that doesn't listen yet."""
    return Server(health, before_scrape, host="", port=port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What stands between the operator and everything that isn't its own.

    Attributes
    ----------
    clocks : of this machine.
    connect : makes a way to the API server.
    listen : makes what answers scrapes and probes, on a port.
    collect : looks for cyclic garbage, for ever.
    beat : seconds between two reads of how late the event loop is.
    """

    clocks: Clocks = field(default_factory=Clocks)
    connect: Callable[[], Wire] = connect
    listen: Callable[[Health, Callable[[], None], int], Listening] = listen
    collect: Work = collect_seldom
    beat: float = BEAT_SECONDS
