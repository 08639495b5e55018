"""The lifecycle of one replica.

It constructs the parts that are independent of products, starts and stops them. Start: probes
answer → caches are primed → watches and resync run → the replica contends for the lease → workers
work. Stop: no new work → running work finishes → events are written → the lease is released →
connections close. An API server that is down only delays each step.
"""

import asyncio
import contextlib
import logging
import math
import random
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sluicegate.api.names import FIELD_MANAGER
from sluicegate.kube.client import KubeApi
from sluicegate.kube.leases import LeaseStore
from sluicegate.kube.resources import Key, Resource
from sluicegate.kube.transport import Transport
from sluicegate.runtime.cache import Caches, Change
from sluicegate.runtime.clock import Clocks
from sluicegate.runtime.event_recorder import EventRecorder
from sluicegate.runtime.health import Health, LagMonitor, Limits
from sluicegate.runtime.interfaces import QueuePriority, Reconciler, Watched, Work
from sluicegate.runtime.leader_election import Elector, LeaseTiming
from sluicegate.runtime.machine import Ports
from sluicegate.runtime.metrics import QueueMetrics
from sluicegate.runtime.rate_limiter import TokenBucket
from sluicegate.runtime.resync import Resync
from sluicegate.runtime.tasks import end_tasks, restart_on_failure
from sluicegate.runtime.tracing import open_tracing
from sluicegate.runtime.unreadable_namespaces import ListedOnly, Refusals
from sluicegate.runtime.watch_liveness import Watches
from sluicegate.runtime.watch_supervisor import Supervisor
from sluicegate.runtime.workers import Workers
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.runtime.write_fence import WriteFence
from sluicegate.settings import Settings
from sluicegate.spans import Spans

logger = logging.getLogger(__name__)

STOP_SECONDS = 4.0
"""Seconds from the signal to the end; the next three are parts of it."""
DRAIN_SECONDS = 2.0
FLUSH_SECONDS = 0.5
CLOSE_SECONDS = 0.5
EVENT_RATE = 10.0
EVENT_BURST = 100
MANY_WAITING = 100
"""Keys in the queue above which a list of all kinds is put off."""


def spread() -> float:
    """Return a factor from (0.5, 1], so that simultaneous work isn't repeated simultaneously."""
    return 1.0 - random.random() / 2


@dataclass(frozen=True, slots=True)
class Tools:
    """Parts of the runtime for the program that it runs."""

    settings: Settings
    api: KubeApi
    caches: Caches
    queue: WorkQueue
    recorder: EventRecorder
    spans: Spans
    leads: Callable[[], bool] = lambda: False
    """Whether this replica may write now."""
    left_at: Callable[[], float | None] = lambda: None
    """Time of the last renewal of the Lease before this replica acquired it, in seconds since 1970."""
    clocks: Clocks = field(default_factory=Clocks)


async def nothing() -> None:
    """Do nothing: the default of `begin`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """The work and callbacks that a program, such as the operator or the messenger, runs in a replica.

    `always` runs on every replica, e.g. to keep a standby's measurements current; `leading` only
    while this replica may write. `begin` is called each time it starts to lead, before the first
    reconcile.
    """

    reconciler: Reconciler
    begin: Work = nothing
    always: Mapping[str, Work] = field(default_factory=dict)
    leading: Mapping[str, Work] = field(default_factory=dict)
    before_scrape: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Program:
    """A program: the kinds that it watches, the products first, and how to build its controller."""

    watched: Sequence[Watched]
    build: Callable[[Tools], Controller]


class Watch(Protocol):
    """A function that watches kinds until a failure or a cancellation (see `handlers`)."""

    async def __call__(self, operator: "Operator", kinds: Collection[Resource]) -> None:
        """Pass the events of these kinds to `operator.take_in`."""


class Operator:
    """One replica of the operator."""

    def __init__(
        self, settings: Settings, program: Program, watch: Watch, ports: Ports | None = None
    ) -> None:
        """Construct all parts; nothing runs or is opened yet."""
        self.settings = settings
        self._ports = ports = ports or Ports()
        self._clock = clock = ports.clocks.steady
        self.stop = asyncio.Event()
        self._program = program
        self._watch = watch
        self._identity = identity_of(settings)
        self._tracing = open_tracing(settings.traces_endpoint, instance_name=self._identity)
        spans = self._tracing.spans
        self._transport = Transport(ports.connect(), spans, clock=clock)
        # Its requests every few seconds are the first to detect that the API server answers again.
        self._lease_transport = Transport(ports.connect(), on_return=self._on_answer, clock=clock)
        self.backpressure = self._transport.backpressure
        self._elector = self._build_elector()
        self.api = self._build_api(settings.write_rate, settings.write_burst)
        self.caches = Caches(program.watched)
        self.queue = WorkQueue(clock, spread, QueueMetrics())
        self.recorder = EventRecorder(
            self._build_api(EVENT_RATE, EVENT_BURST),
            clock,
            instance_name=self._identity,
            wall_clock=ports.clocks.wall,
        )
        self.watches = Watches((one.resource for one in program.watched), clock, self._on_gap)
        self._refusals = Refusals(clock)
        self._resync = self._build_resync()
        tools = Tools(
            settings,
            self.api,
            self.caches,
            self.queue,
            self.recorder,
            spans,
            leads=lambda: self._elector.leading,
            left_at=lambda: self._elector.left_at,
            clocks=ports.clocks,
        )
        self._controller = program.build(tools)
        reconciler = ListedOnly(
            self._controller.reconciler, self._refusals, products=self.caches.products
        )
        self._workers = Workers(
            self.queue, reconciler, count=settings.workers, trace_spans=spans, clock=clock
        )
        self._pulse = LagMonitor(ports.beat)
        self._health = self._build_health()
        self._server = ports.listen(self._health, self._before_scrape, settings)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, or until `stop` is set."""
        self.install_signal_handlers()
        port = await self._server.start()
        logger.info("started", extra={"identity": self._identity, "port": port})
        tasks = [
            self._start("pulse", self._pulse.run),
            self._start("garbage", self._ports.collect),
        ]
        try:
            if await self._primed():
                tasks += self._start_all()
                await self.stop.wait()
        finally:
            await self._wind_down(tasks)
            logger.info("stopped")

    def install_signal_handlers(self) -> None:
        """Stop the operator at SIGTERM and SIGINT; Kopf sets handlers of its own each time."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(number, self.stop.set)

    def take_in(self, resource: Resource, event: Mapping[str, Any]) -> None:
        """Handle an event of a watch: `type` and `object` of the API server."""
        self.watches.alive(resource)
        cache, body = self.caches[resource], event["object"]
        change = cache.forget(body) if event["type"] == "DELETED" else cache.observe(body)
        if change is not None:
            self._on_change(change)

    def _start_all(self) -> list[asyncio.Task[None]]:
        supervisor = Supervisor(
            self.api,
            [one.resource for one in self._program.watched],
            lambda kinds: self._watch(self, kinds),
            on_missing=self._on_gap,
            jitter=spread,
        )
        loops = {
            "watches": supervisor.run,
            "resync": self._resync.run,
            "events": self.recorder.run,
            "election": lambda: self._elector.run(self._lead),
            **self._controller.always,
        }
        return [self._start(name, work) for name, work in loops.items()]

    def _start(self, name: str, work: Work) -> asyncio.Task[None]:
        return asyncio.create_task(restart_on_failure(name, work), name=name)

    async def _lead(self) -> None:
        """Run the leader's tasks until cancelled."""
        await self._controller.begin()
        for key in self.caches.products:
            self.queue.add(key, QueuePriority.BACKGROUND)
        loops = [self._start(name, work) for name, work in self._controller.leading.items()]
        try:
            await self._workers.run()
            await asyncio.Event().wait()
        finally:
            await end_tasks(loops)

    async def _wind_down(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Complete running work, write events, release the lease, close connections, within one deadline."""
        logger.info("stopping", extra={"under_way": len(self.queue.working)})
        self._health.stopping = True
        self.queue.shut_down()
        start_time = asyncio.get_running_loop().time()
        drained = start_time + DRAIN_SECONDS
        await until(drained, self._workers.idle(), what="work under way")
        await until(drained + FLUSH_SECONDS, self.recorder.flush(), what="the last events")
        await end_tasks(tasks)
        deadline = start_time + STOP_SECONDS
        await until(deadline - CLOSE_SECONDS, self._elector.release(), what="release of the lease")
        await until(deadline, self._close(), what="closing")

    async def _close(self) -> None:
        await self._transport.close()
        await self._lease_transport.close()
        await self._server.stop()
        await self._tracing.close()

    async def _primed(self) -> bool:
        """Fill the caches, however long it takes; return whether this ended before the stop."""
        priming = self._start("priming", self._resync.prime)
        stopping = asyncio.create_task(self.stop.wait())
        await asyncio.wait({priming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await end_tasks([priming])
        return not self.stop.is_set()

    def _on_change(self, change: Change) -> None:
        self.queue.add(change.product, change.priority)

    def _on_gap(self, resource: Resource) -> None:
        self._resync.request(resource)

    def _on_answer(self, silence: float) -> None:
        if self.settings.lease_renew_seconds < silence < math.inf:
            logger.info("the API server answers again after %.0f s", silence)
            self.watches.renew()
            self._resync.after_outage()

    def _silence(self) -> float:
        """Return the seconds since the API server's last answer.

        Between resyncs only the lease sends requests.
        """
        return min(self._transport.silence(), self._lease_transport.silence())

    def _before_scrape(self) -> None:
        self.watches.export()
        self._workers.export()
        self._controller.before_scrape()

    def _build_elector(self) -> Elector:
        settings = self.settings
        return Elector(
            LeaseStore(self._lease_transport, Key(settings.namespace, settings.lease_name)),
            self._clock,
            identity=self._identity,
            timing=LeaseTiming(
                duration=settings.lease_duration_seconds,
                renew_deadline=settings.lease_renew_seconds,
                retry=settings.lease_retry_seconds,
            ),
            jitter=spread,
            wall_clock=self._ports.clocks.wall,
        )

    def _build_api(self, rate: float, burst: float) -> KubeApi:
        limiter = TokenBucket(self._clock, rate=rate, burst=burst)
        gate = WriteFence(limiter, self._elector, self._clock)
        return KubeApi(self._transport, gate, field_manager=FIELD_MANAGER)

    def _build_resync(self) -> Resync:
        return Resync(
            self.api,
            self.caches,
            self._on_change,
            refusals=self._refusals,
            namespaces=self.settings.watch_namespaces,
            interval=self.settings.resync_seconds,
            jitter=random.random,
            is_busy=lambda: len(self.queue) >= MANY_WAITING,
        )

    def _build_health(self) -> Health:
        return Health(
            self._pulse,
            self.watches,
            Limits(
                lag=self.settings.health_loop_lag_seconds,
                watch_age=self.settings.health_watch_age_seconds,
            ),
            api_silence=self._silence,
            is_primed=self._resync.primed,
        )


async def until(deadline: float, work: Awaitable[None], *, what: str) -> None:
    """Await work until a time of the event loop's clock, then cancel it."""
    try:
        async with asyncio.timeout_at(deadline):
            await work
    except TimeoutError:
        logger.warning("stopping before the end of %s", what)


def identity_of(settings: Settings) -> str:
    """Return a name for this process that is unique, also among its predecessors in the pod.

    A restarted container must not take its predecessor's lease for its own.
    """
    return f"{settings.pod_name or socket.gethostname()}_{secrets.token_hex(4)}"
