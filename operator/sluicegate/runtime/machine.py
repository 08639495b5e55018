"""The surroundings of a replica: clocks, the network, the garbage collector."""

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login
from sluicegate.kube.transport import Wire
from sluicegate.runtime.clock import Clocks
from sluicegate.runtime.health import BEAT_SECONDS, Health
from sluicegate.runtime.http_server import Server
from sluicegate.runtime.interfaces import Work
from sluicegate.runtime.serving_certificate import certificate_of
from sluicegate.settings import Settings

THRESHOLDS: Final = (10_000, 10, 1_000_000)
"""New objects, and numbers of younger collections, before each generation is collected; the last is
never reached. With Python's 700 a start takes a tenth more processor time, and one MiB less."""

COLLECTOR_SHARE: Final = 0.002
"""Largest share of the time for collections of all generations, which block the event loop."""

MIN_SECONDS: Final = 10.0
"""Least seconds between collections. With few products a collection takes 15 ms; every two seconds
it was most of the CPU time of an idle operator."""


class Listening(Protocol):
    """A server of metrics and probes."""

    async def start(self) -> int:
        """Listen; return the port."""

    async def stop(self) -> None:
        """Stop listening."""


def connect_wire() -> Wire:
    """Return connections to the API server, opened when needed."""
    return Connections(login)


def listen_on(health: Health, before_scrape: Callable[[], None], settings: Settings) -> Listening:
    """Return a server on every interface that doesn't listen yet.

    Raises
    ------
    CertificateUnreadable
        The files of the settings are no certificate with its key.
    """
    certificate = certificate_of(settings.tls_cert_file, settings.tls_private_key_file)
    port = settings.metrics_port
    return Server(health, before_scrape, host="", port=port, certificate=certificate)


async def collect_seldom(min_seconds: float = MIN_SECONDS) -> None:
    """Collect all generations at intervals that grow with the time that a collection takes.

    Python's collector visits all objects each time their number has grown by a quarter. While
    thousands of products are created, that is every second or two: with 500 products a collection
    took 0.1 to 0.25 s, a fifth of all CPU time, blocked the event loop, and freed some 200 objects.
    Almost all objects of the operator are in trees, which need no collector. The young generations
    are collected as usual; objects that exist at the start are never visited.
    """
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()
    last_seconds = 0.0
    while True:
        await asyncio.sleep(max(last_seconds / COLLECTOR_SHARE, min_seconds))
        start_time = time.monotonic()
        gc.collect()
        last_seconds = time.monotonic() - start_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Clocks, network connections and listeners of the operator; tests replace them.

    Attributes
    ----------
    clocks : of this machine.
    connect : opens connections to the API server.
    listen : creates the server of metrics and probes, on the port and with the certificate of the settings.
    collect : collects cyclic garbage.
    beat : seconds between two measurements of the event loop's lag.
    """

    clocks: Clocks = field(default_factory=Clocks)
    connect: Callable[[], Wire] = connect_wire
    listen: Callable[[Health, Callable[[], None], Settings], Listening] = listen_on
    collect: Work = collect_seldom
    beat: float = BEAT_SECONDS
