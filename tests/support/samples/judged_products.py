"""Products with a Prometheus whose responses a test falsifies.

A canary that lacks nothing but traffic takes its next step with the first block that has some. So
a hold for four blocks is deliberate.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmarks.prometheus_stand_in import PrometheusStandIn
from tests.support.failures.proxied_operator import RUNTIME
from tests.support.failures.replicas import Replica, apply, product, replicas
from tests.support.node.live_product import LiveProduct
from tests.support.prometheus.measured_world import ProductBlocks
from tests.support.prometheus.scripted_prometheus import (
    SCRAPE_SECONDS,
    SETTLE_SECONDS,
    Truth,
    hosted,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

Object = dict[str, Any]

BLOCK_SECONDS = 5
FIRST_STEP = 8 * BLOCK_SECONDS
"""Two blocks of warm-up, five that a step must last, and one until that is read."""
HELD = 4 * BLOCK_SECONDS
"""How long a fault lasts."""
STEPS = (5, 50)
BUSY = ProductBlocks(service="Service", requests=950, bad=9, fast=930)
CANARY = replace(BUSY, version="v2", requests=50, bad=0, fast=49, correct=None, wrong=None)
IDLE = replace(CANARY, requests=0, bad=0, fast=0)
"""Scraped, its counters at zero."""


@dataclass(frozen=True)
class AsBackend:
    """A control plane with the interface of a cluster for `LiveProduct`."""

    plane: ControlPlane

    @property
    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig

    def run_kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.plane.kubectl(*arguments, stdin=stdin)


@dataclass(frozen=True)
class Judged:
    """One operator, its namespace, and the facts of the products there."""

    plane: ControlPlane
    namespace: str
    server: PrometheusStandIn
    truth: Truth
    replica: Replica

    def product(self, name: str) -> LiveProduct:
        return LiveProduct(AsBackend(self.plane), self.namespace, name)

    def show(self, name: str, measured: ProductBlocks, *, since: float = 0.0) -> None:
        """Set the rates of a product's version from now on."""
        self.truth.show(replace(measured, product=name, namespace=self.namespace), since=since)

    def serve(self, *names: str, slos: list[Object], blocks: ProductBlocks, **spec: Any) -> None:
        """Create products with these SLOs, whose measurements are `blocks` since before the test, and wait until Ready."""
        for name in names:
            self.show(name, blocks)
        apply(self.plane, *(self.body(name, slos=slos, **spec) for name in names))
        for name in names:
            self.product(name).until_ready()

    def body(self, name: str, *, version: str = "v1", **spec: Any) -> Object:
        """Return a DataProduct with short blocks and a route."""
        body = product(self.namespace, name, version=version)
        digest = version.removeprefix("v") * 64
        body["spec"]["model"]["bento"]["image"] = f"registry.example/{name}@sha256:{digest}"
        body["spec"]["route"] = {
            "parentRefs": [{"name": "web", "namespace": "gateway"}],
            "hostnames": [f"{name}.{self.namespace}.example"],
        }
        body["spec"] |= {
            "analysis": {"blockSeconds": BLOCK_SECONDS},
            "rollout": {"steps": list(STEPS)},
            **spec,
        }
        return body

    def begin_canary(self, name: str, *, slos: list[Object]) -> None:
        """Push a second version of a product, and wait until it lacks only traffic."""
        self.show(name, IDLE)
        apply(self.plane, self.body(name, version="v2", slos=slos))
        first_weight = self.product(name).until(weight, what=f"{name}'s canary")
        last = datetime.fromisoformat(
            first_weight["candidate"]["shares"][0]["startTime"]
        ).timestamp()
        eventually(
            lambda: time.time() > last + FIRST_STEP,
            seconds=2 * FIRST_STEP,
            what="the time of the first step",
        )


CARS_SLOS = [
    {
        "name": "availability",
        "indicator": {"availability": {}},
        "objective": "0.9",
        "maxRegression": "0.05",
    }
]
GIVEN_UP_SOON = {"SLUICEGATE_PROMETHEUS_TIMEOUT_SECONDS": "2"}
"""For tests in which Prometheus doesn't answer; elsewhere two seconds may be the machine's."""


@contextmanager
def judged(plane: ControlPlane, namespace: str, folder: Path, **extra: str) -> Iterator[Judged]:
    """Yield `sluicegate run` for a new namespace and a Prometheus of its own, for the length of a block."""
    plane.kubectl("create", "namespace", namespace)
    truth = Truth()
    with ExitStack() as stack:
        stack.callback(plane.kubectl, "delete", "namespace", namespace, "--wait=false")
        server = stack.enter_context(hosted(PrometheusStandIn(truth)))
        settings = {
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": namespace,
            "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
            "SLUICEGATE_PROMETHEUS_URL": server.url,
            "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": str(SCRAPE_SECONDS),
            "SLUICEGATE_SETTLE_SECONDS": str(SETTLE_SECONDS),
            "SLUICEGATE_HOUR_SECONDS": str(12 * BLOCK_SECONDS),
            **extra,
        }
        started = replicas(plane, folder, namespace, extra=settings)
        (replica,) = stack.enter_context(started)
        yield Judged(plane, namespace, server, truth, replica)


def weight(status: Object) -> int:
    """Return the share that a candidate has in percent; 0 without one."""
    return int((status.get("candidate") or {}).get("weight") or 0)


def slo(status: Object, name: str) -> Object:
    """Return the status of one SLO."""
    return next((one for one in status.get("slos") or () if one["name"] == name), {})
