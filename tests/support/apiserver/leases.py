"""One Lease in memory, and replicas that contend for it, on a clock that jumps to the next timer.

It stands for an API server, which isn't ours: a writer must have read the last version, and
an answer may be late, or never come.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from benchmarks.virtual.event_loop import VirtualLoop, virtual_loop, virtually
from sluicegate.kube.errors import AlreadyExists, Conflict, NotFound, Transient
from sluicegate.runtime.leader_election import Elector, LeaseTiming

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sluicegate.kube.leases import LeaseRecord

LATEST = 1000.0
"""Seconds after which a story has gone wrong that hasn't ended."""


def with_time_limit(story: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on virtual time, and end it after `LATEST`."""

    @wraps(story)
    async def within_limits(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(LATEST):
            await story(*args, **kwargs)

    return virtually(within_limits)


@dataclass
class LeaseServer:
    """The Lease that is stored; `log` holds who wrote it when, by the server's clock."""

    stored: LeaseRecord | None = None
    loop: VirtualLoop = field(default_factory=virtual_loop)
    log: list[tuple[float, str]] = field(default_factory=list)
    _versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def edit(self, **changes: Any) -> None:
        """Let a person change the Lease."""
        assert self.stored
        self.stored = replace(self.stored, **changes, resource_version=str(next(self._versions)))

    def delete(self) -> None:
        """Let a person delete it."""
        self.stored = None

    def read(self) -> LeaseRecord | None:
        return self.stored

    def write(self, record: LeaseRecord) -> LeaseRecord:
        """Store it; only who has read the last version may."""
        if not record.resource_version and self.stored is not None:
            raise AlreadyExists("the Lease is there")
        if record.resource_version and self.stored is None:
            raise NotFound("there is no such Lease")
        if self.stored is not None and record.resource_version != self.stored.resource_version:
            raise Conflict("the Lease was written meanwhile")
        self.stored = replace(record, resource_version=str(next(self._versions)))
        self.log.append((self.loop.time(), record.holder))
        return self.stored


@dataclass
class Line:
    """A replica's connection: delays and losses of requests and responses."""

    server: LeaseServer
    request_seconds: float = 0.0
    answer_seconds: float = 0.0
    cut: bool = False

    async def read(self) -> LeaseRecord | None:
        await self._arrive()
        lease = self.server.read()
        await asyncio.sleep(self.answer_seconds)
        return lease

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        await self._arrive()
        written = self.server.write(record)
        await asyncio.sleep(self.answer_seconds)
        return written

    async def _arrive(self) -> None:
        if self.cut:
            raise Transient("connection refused")
        await asyncio.sleep(self.request_seconds)


@dataclass
class Replica:
    """A process that contends: `led` holds from when to when it led, the last one open."""

    name: str
    server: LeaseServer
    timing: LeaseTiming = field(default_factory=LeaseTiming)
    led: list[tuple[float, float]] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    """How much of the lease was left when leading was ended."""

    def __post_init__(self) -> None:
        self.line = Line(self.server)
        loop = self.server.loop
        self.elector = Elector(
            self.line,  # the same two methods
            loop.time,
            identity=self.name,
            timing=self.timing,
            jitter=lambda: 1.0,
        )
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> Replica:
        """Contend from now on."""
        self.task = asyncio.ensure_future(self.elector.run(self._lead))
        return self

    async def kill(self) -> None:
        """End it without a word, as if by a signal."""
        assert self.task
        self.task.cancel()
        await asyncio.wait({self.task})

    async def leads(self) -> float:
        """Wait until it leads; return when that began."""
        await self.begun.wait()
        return self.led[-1][0]

    async def ends(self) -> float:
        """Wait until it leads no more; return when that was."""
        await self.ended.wait()
        return self.led[-1][1]

    @property
    def leading(self) -> bool:
        """Whether its work runs now."""
        return bool(self.led) and self.led[-1][1] == float("inf")

    async def _lead(self) -> None:
        start_time = self.server.loop.time()
        self.led.append((start_time, float("inf")))
        self.begun.set()
        self.ended.clear()
        try:
            await asyncio.sleep(2 * LATEST)
        finally:
            now = self.server.loop.time()
            self.led[-1] = start_time, now
            self.begun.clear()
            self.ended.set()
            self.after.append(self.elector.valid_until - now)
