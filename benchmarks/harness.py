"""A control plane with one contender, and all measurements of it from outside.

Each contender and size has its own control plane, so that none is affected by the objects of
another. The harness's own parts (its gateway, its Prometheus, its watch) run in the same way beside
every contender, in the harness's own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.audit import AuditLog, render_policy
from benchmarks.contender import Product, Surroundings
from benchmarks.figures import Metrics
from benchmarks.gateway import ROUTES, Gateway
from benchmarks.kube import Client, RequestFailed, Watcher
from benchmarks.measurements import Measurements
from benchmarks.peers.answers import answer
from benchmarks.process import Process
from benchmarks.prometheus_stand_in import PrometheusStandIn
from benchmarks.sluicegate_contender import shares
from cluster.controlplane import ControlPlane, Options
from cluster.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from benchmarks.contender import Contender
    from benchmarks.kube import Key

PODS_PER_NODE: Final = 1000
NAMESPACES: Final = 10
SPARE_NODES: Final = 2
UNLIMITED: Final = ("--kube-api-qps=5000", "--kube-api-burst=10000")
"""Flags of the controllers. By default they send 20 requests a second: at most four new Deployments
a second, for any contender, which would limit all figures."""


@dataclass
class Stage:
    """A contender on a control plane; `observer` is the harness's own client."""

    contender: Contender
    plane: ControlPlane
    client: Client
    audit: AuditLog
    gateway: Gateway
    measurements: Measurements
    prometheus: PrometheusStandIn
    folder: Path
    ready: Watcher
    promoted: Watcher
    metrics_port: int = 0
    starts: int = 0

    @property
    def user(self) -> str:
        """Name of the contender in the audit log."""
        return self.contender.description.name

    @contextmanager
    def running(self) -> Iterator[Process]:
        """Run the contender's process; a new one each time."""
        self.starts += 1
        # A new port: the last process may not have released its port yet.
        with free_ports(1) as (self.metrics_port,):
            surroundings = Surroundings(
                plane=self.plane,
                kubeconfig=self.plane.kubeconfig_for(self.user, ("system:masters",)),
                folder=self.folder,
                namespaces=namespaces(),
                prometheus=self.prometheus.url,
                metrics_port=self.metrics_port,
            )
            program = self.contender.program(surroundings)
            log = self.folder / f"{self.user}-{self.starts}.log"
            with Process(program, log) as process:
                yield process

    async def apply(self, products: Sequence[Product]) -> None:
        """Apply the objects of these products."""
        await self.client.apply_all(
            body for product in products for body in self.contender.objects(product)
        )

    async def change(self, products: Sequence[Product]) -> None:
        """Apply a second version of each."""
        await self.client.apply_all(
            body for product in products for body in self.contender.changes(product)
        )

    async def metrics(self) -> Metrics:
        """Return the contender's own metrics; empty while it doesn't answer."""
        return await asyncio.to_thread(self._metrics)

    def _metrics(self) -> Metrics:
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return Metrics.parse(answer.read().decode())
        except OSError:
            return Metrics()


@asynccontextmanager
async def open_stage(contender: Contender, products: int) -> AsyncIterator[Stage]:
    """Start a new control plane with room for these products and two versions of each."""
    async with AsyncExitStack() as stack:
        scratch = tempfile.TemporaryDirectory(prefix="sluicegate-bench-")
        folder = Path(stack.enter_context(scratch))
        policy = folder / "audit-policy.json"
        policy.write_text(render_policy([contender.description.name]))
        options = Options(
            audit=True,
            fake_nodes=2 * products // PODS_PER_NODE + SPARE_NODES,
            extra={
                "kube-apiserver": (f"--audit-policy-file={policy}",),
                **dict.fromkeys(("kube-controller-manager", "kube-scheduler"), UNLIMITED),
            },
        )
        plane = stack.enter_context(ControlPlane(options))
        contender.prepare(plane)
        client = await stack.enter_async_context(Client(plane.kubeconfig))
        for name in namespaces():
            await client.apply(namespace(name))
        ready = Watcher(contender.is_ready)
        measurements = Measurements(ready.since)

        def rows(kind: str, indexes: range, step: int) -> Iterator[dict[str, object]]:
            return measurements.rows(kind, indexes, step, query=prometheus.forms[-1]["query"])

        prometheus = await stack.enter_async_context(PrometheusStandIn(rows, instant=answer))

        def split(key: Key, weights: dict[str, int]) -> None:
            measurements.split(key, shares(key[1], weights))

        stage = Stage(
            contender=contender,
            plane=plane,
            client=client,
            audit=AuditLog(plane.audit_log),
            gateway=Gateway(client, split),
            measurements=measurements,
            prometheus=prometheus,
            folder=folder,
            ready=ready,
            promoted=Watcher(contender.is_promoted),
        )
        # A broken watch ends the run at once, as readiness couldn't be observed any more.
        async with asyncio.TaskGroup() as group:
            tasks = await start_watching(stage, group)
            try:
                yield stage
            finally:
                for task in tasks:
                    task.cancel()


async def start_watching(stage: Stage, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Watch the contender's objects, and accept routes if there are any."""

    def take_in(event: str, body: dict[str, object]) -> None:
        stage.ready.take_in(event, body)
        stage.promoted.take_in(event, body)

    tasks = [group.create_task(stage.client.watch(stage.contender.observed, take_in))]
    with contextlib.suppress(RequestFailed):
        await stage.client.list(ROUTES)
        tasks.append(group.create_task(stage.gateway.run()))
    return tasks


def namespaces() -> tuple[str, ...]:
    """Return the namespaces of the products."""
    return tuple(f"bench-{number}" for number in range(NAMESPACES))


def namespace(name: str) -> dict[str, object]:
    """Return the document of a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def products(count: int, name: str = "product", *, quick: bool = False) -> list[Product]:
    """Return this many products, spread over the namespaces."""
    return [
        Product(f"bench-{number % NAMESPACES}", f"{name}-{number:04}", number, quick)
        for number in range(count)
    ]


def keys(chosen: Sequence[Product]) -> set[Key]:
    """Return their namespaces and names."""
    return {one.key for one in chosen}
