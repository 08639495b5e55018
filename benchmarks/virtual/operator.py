"""Replicas of the real operator on virtual time; only Kopf, sockets and the collector are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from yarl import URL

from benchmarks.virtual.admission import Refused
from benchmarks.virtual.cluster import Cluster
from benchmarks.virtual.event_loop import VirtualLoop, virtual_loop
from benchmarks.virtual.network import Line, Network
from benchmarks.virtual.prometheus import SCRAPE, PrometheusServer
from benchmarks.virtual.prometheus import URL as PROMETHEUS_URL
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.manager import Operator, Program
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.live.children import watched
from sluicegate.runtime.clock import Clocks
from sluicegate.runtime.interfaces import RequeueAfter
from sluicegate.runtime.machine import Ports
from sluicegate.runtime.watch_liveness import RENEWAL_SECONDS
from sluicegate.settings import Settings
from sluicegate.wiring import build

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from benchmarks.virtual.watching import Stream
    from sluicegate.kube.resources import Resource
    from sluicegate.reconcile.decide.planner import Plan
    from sluicegate.reconcile.observe.observation import Observation
    from sluicegate.runtime.health import Health
    from sluicegate.runtime.interfaces import Reconciler, Result

Body = dict[str, Any]

SETTINGS: Final = Settings(
    namespace="sluicegate",
    prometheus_url=PROMETHEUS_URL,
    scrape_interval_seconds=SCRAPE,
    settle_seconds=0.0,
    default_runtime_image=f"registry.example/runtime@sha256:{'d' * 64}",
)
RARELY: Final = {"standby": 3600.0, "events": 300.0, "reviews": 900.0, "pulse": 3600.0}
"""Seconds between two checks of polling tasks, for stories of days."""
RARELY_REQUEUED: Final = 30.0
"""Least seconds until a product is requeued in such a story; otherwise 5 during a canary."""
RARELY_RENEWED: Final = 3600.0
"""Seconds of a watch in such a story."""
WATCH_PAUSE: Final = 2.0
"""Seconds until a broken watch is opened again."""


class _NoServer:
    async def start(self) -> int:
        return 0

    async def stop(self) -> None:
        """Do nothing: there is no server."""


async def _collect_nothing() -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Counting:
    """The real reconciler; each pass is counted, and observers are called at its end."""

    reconciler: Reconciler
    replica: Replica

    async def reconcile(self, key: Key) -> Result:
        """Reconcile one product."""
        try:
            result = await self.reconciler.reconcile(key)
        finally:
            self.replica.world.stepped(self.replica, key)
        least = self.replica.world.requeue_seconds
        if isinstance(result, RequeueAfter) and 0 < result.seconds < least:
            return RequeueAfter(least)
        return result


@dataclass(eq=False)
class Replica:
    """One replica; `skew` is the number of seconds by which its wall clock is ahead."""

    world: World
    name: str
    settings: Settings
    skew: float = 0.0
    lines: list[Line] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        """Construct the operator; nothing runs yet."""
        loop = self.world.loop
        ports = Ports(
            clocks=Clocks(steady=loop.time, wall=lambda: loop.wall() + self.skew),
            connect=self._connect,
            listen=self._listen,
            collect=_collect_nothing,
            beat=60.0,
        )
        settings = self.settings.model_copy(update={"pod_name": self.name})
        self.operator = Operator(settings, self.program(), self._watch, ports)
        self._running: asyncio.Task[None] | None = None

    def program(self) -> Program:
        """Return its program."""
        return Program(watched(), self._build)

    @property
    def leads(self) -> bool:
        """Whether it may write now."""
        return not self.is_gone and self.operator._elector.leading

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended."""
        return self._running is None or self._running.done() or self.lines[0].cut

    def start(self) -> Self:
        """Start the process."""
        self._running = self.world.loop.create_task(self.operator.run(), name=self.name)
        return self

    async def stop(self) -> None:
        """Send SIGTERM, and wait for the end."""
        self.operator.stop.set()
        assert self._running is not None
        await self._running

    def kill(self) -> None:
        """Send SIGKILL: no later request arrives."""
        for line in self.lines:
            line.cut = True
        assert self._running is not None
        self._running.cancel()

    def _listen(self, _: Health, before_scrape: Callable[[], None], __: Settings) -> _NoServer:
        self.scrape = before_scrape
        return _NoServer()

    def _connect(self) -> Line:
        self.lines.append(Line(self.world.network, self.name))
        return self.lines[-1]

    def _build(self, tools: Any) -> Any:
        controller = build(tools, self.world.prometheus.connect, self.world.planned)
        return replace(controller, reconciler=Counting(controller.reconciler, self))

    # ---- in the place of Kopf -----------------------------------------------------------------
    async def _watch(self, operator: Operator, kinds: Collection[Resource]) -> None:
        operator.watches.mark_begun(kinds)
        labels = {cache.watched.resource: cache.watched.labels for cache in operator.caches}
        namespaces = operator.settings.watch_namespaces or ("",)
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                for namespace in namespaces:
                    group.create_task(self._follow(kind, namespace, labels[kind]))

    async def _follow(self, kind: Resource, namespace: str, labels: str) -> None:
        """List a kind for the begin of its watch, and watch it until cancelled."""
        watches, line = self.operator.watches, self.lines[0]
        base, since = URL(f"http://virtual{kind.path(namespace)}"), None
        while True:
            await asyncio.sleep(self.world.network.seconds())
            try:
                if since is None:
                    line.check_watch(kind)
                    since = line.network.server.version
                    watches.requested(base % {"limit": "1"})
                stream = line.watch(
                    kind, namespace, labels, since, seconds=self.world.renewal_seconds
                )
            except Refused as refusal:
                if refusal.status == 404:
                    raise
                if refusal.status == 403:
                    watches.refused(base)
                since = None
            except OSError:
                since = None
            else:
                watches.requested(base % {"watch": "true"})
                watches.opened(stream)  # so that it can close it
                since = await self._feed(kind, stream, since)
                continue
            await asyncio.sleep(WATCH_PAUSE * (0.5 + self.world.dice.random()))

    async def _feed(self, kind: Resource, stream: Stream, since: int) -> int:
        """Pass on the events of a watch until it ends; return the version of the last one."""
        with contextlib.suppress(EOFError):
            while True:
                event = await stream.take()
                if event["type"] != "BOOKMARK":  # which Kopf doesn't pass to handlers
                    await asyncio.sleep(self.world.network.seconds() / 4)
                    self.operator.take_in(kind, event)
                since = int(event["object"]["metadata"]["resourceVersion"])
        stream.close()
        return since


class Errors(logging.Handler):
    """Errors in the operator's log: always a bug."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        cause = record.exc_info[1] if record.exc_info else None
        self.found.append(f"{record.getMessage()} {cause!r}")


class World:
    """A cluster, a Prometheus and replicas; use it as an async context on a virtual loop."""

    def __init__(
        self, seed: int = 0, settings: Settings = SETTINGS, *, for_days: bool = False
    ) -> None:
        """Prepare a world; with `for_days` polling tasks poll rarely, so that a day takes a second."""
        random.seed(seed)  # the operator's own jitter too
        self.dice = random.Random(seed)
        self.loop: VirtualLoop = virtual_loop()
        self.loop.rarely = RARELY if for_days else {}
        self.requeue_seconds = RARELY_REQUEUED if for_days else 0.0
        self.renewal_seconds = RARELY_RENEWED if for_days else RENEWAL_SECONDS
        self.settings = settings
        self.cluster = Cluster(self.loop)
        self.server = self.cluster.server
        self.server.namespaces |= {settings.namespace, "catalog"}
        self.network = Network(self.server, self.dice)
        self.prometheus = PrometheusServer(
            self.cluster.traffic, self.loop.wall() - self.loop.time()
        )
        self.replicas: list[Replica] = []
        self.steps = 0
        self.on_step: list[Callable[[Replica, Key], None]] = []
        self.on_plan: list[Callable[[Observation, Plan], None]] = []
        self.errors = Errors()
        self._numbers = 0

    async def __aenter__(self) -> Self:
        logger = logging.getLogger("sluicegate")
        self._level = logger.level
        logger.setLevel(max(self._level, logging.WARNING))
        logger.addHandler(self.errors)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logger = logging.getLogger("sluicegate")
        logger.removeHandler(self.errors)
        logger.setLevel(self._level)
        for replica in self.replicas:
            if not replica.is_gone:
                replica.kill()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, **settings: Any) -> Replica:
        """Start another replica."""
        self._numbers += 1
        replica = Replica(
            self, f"sluicegate-{self._numbers}", self.settings.model_copy(update=settings)
        ).start()
        self.replicas.append(replica)
        return replica

    def leader(self) -> Replica | None:
        """Return the replica of the first release that leads, if any."""
        replicas = (
            one for one in self.replicas if one.settings.lease_name == self.settings.lease_name
        )
        return next((one for one in replicas if one.leads), None)

    def stepped(self, replica: Replica, key: Key) -> None:
        """Record that a reconcile has ended."""
        self.steps += 1
        for look in self.on_step:
            look(replica, key)

    def planned(self, observation: Observation) -> Plan:
        """Plan like the operator, and pass the plan on with its inputs."""
        plan = make_plan(observation)
        for look in self.on_plan:
            look(observation, plan)
        return plan

    # ---- products -----------------------------------------------------------------------------
    def apply(self, document: Mapping[str, Any]) -> Key:
        """Create a product and its namespace."""
        meta = {
            name: part
            for name, part in document["metadata"].items()
            if name in ("name", "namespace", "labels", "annotations")
        }
        self.server.namespaces.add(meta["namespace"])
        self.server.create(DATA_PRODUCTS, {"metadata": meta, "spec": document["spec"]})
        return Key(meta["namespace"], meta["name"])

    def edit(self, key: Key, **spec: Any) -> Body:
        """Change parts of a product's spec; None removes one."""
        return self.server.write(DATA_PRODUCTS, key, {"spec": spec})

    def annotate(self, key: Key, **annotations: str | None) -> Body:
        """Set annotations of a product; None removes one."""
        return self.server.write(DATA_PRODUCTS, key, {"metadata": {"annotations": annotations}})

    def product(self, key: Key) -> Body:
        """Return a product as it is stored."""
        return self.server.get(DATA_PRODUCTS, key)

    def status(self, key: Key) -> Body:
        """Return its status; empty before there is one."""
        status: Body = self.product(key).get("status") or {}
        return status

    def condition(self, key: Key, kind: str) -> Body:
        """Return a condition; empty if there is none."""
        conditions = self.status(key).get("conditions") or ()
        return next((one for one in conditions if one["type"] == kind), {})

    # ---- time ---------------------------------------------------------------------------------
    async def run(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def until(self, holds: Callable[[], bool], *, seconds: float, what: str = "") -> float:
        """Let time pass until a condition holds; return the seconds."""
        start_time = self.loop.time()
        while not holds():
            if self.loop.time() - start_time > seconds:
                raise AssertionError(f"after {seconds:g} s still not: {what or holds}")
            await asyncio.sleep(1.0 if self.loop.time() - start_time < 60 else 10.0)
        return self.loop.time() - start_time
