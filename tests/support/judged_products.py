"""Products that an operator is about to decide on, before a Prometheus that a test makes lie.

A canary that lacks nothing but traffic takes its next step with the first block that has some;
a product that turns bad is retrained after three. So whoever holds them for six has meant to.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.live_product import LiveProduct
from tests.support.measured_world import Measured
from tests.support.prometheus_stand_in import PrometheusStandIn
from tests.support.proxied_operator import RUNTIME
from tests.support.replicas import OPERATOR, Replica, apply, product, replicas
from tests.support.truths import SCRAPE_SECONDS, SETTLE_SECONDS, Truth, hosted
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cluster.controlplane import ControlPlane

Object = dict[str, Any]

BLOCK_SECONDS = 5
FIRST_STEP = 8 * BLOCK_SECONDS
"""Two blocks of warm-up, five that a step must last, and one until that is read."""
HELD = 6 * BLOCK_SECONDS
"""How long a fault lasts."""
STEPS = (5, 50)
AN_HOUR = 3600
BUSY = Measured(service="Service", requests=950, bad=9, fast=930)
CANARY = replace(BUSY, version="v2", requests=50, bad=0, fast=49, correct=None, wrong=None)
IDLE = replace(CANARY, requests=0, bad=0, fast=0)
"""Scraped, its counters at zero."""
RIGHT = replace(BUSY, correct=5, wrong=0)
WRONG = replace(BUSY, correct=0, wrong=500)


@dataclass(frozen=True)
class AsBackend:
    """A control plane, as `LiveProduct` asks a cluster."""

    plane: ControlPlane

    @property
    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig

    def run_kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.plane.kubectl(*arguments, stdin=stdin)


@dataclass(frozen=True)
class Judged:
    """One operator, its namespace, and what it is told of the products there."""

    plane: ControlPlane
    namespace: str
    server: PrometheusStandIn
    truth: Truth
    replica: Replica

    def product(self, name: str) -> LiveProduct:
        return LiveProduct(AsBackend(self.plane), self.namespace, name)

    def show(self, name: str, measured: Measured, *, since: float = 0.0) -> None:
        """From a moment on, a version of a product does this."""
        self.truth.show(replace(measured, product=name, namespace=self.namespace), since=since)

    def serve(self, *names: str, slos: list[Object], shown: Measured, **spec: Any) -> None:
        """Let products serve, each with these SLOs and doing this from the beginning of time."""
        for name in names:
            self.show(name, shown)
        apply(self.plane, *(self.body(name, slos=slos, **spec) for name in names))
        for name in names:
            self.product(name).until_ready()

    def body(self, name: str, *, version: str = "v1", **spec: Any) -> Object:
        """A DataProduct with short blocks and a route."""
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
        if any("outcomes" in slo["indicator"] for slo in body["spec"].get("slos", ())):
            feedback = {"secretRef": {"name": f"{name}-feedback"}}
            body["spec"]["serving"] = {**body["spec"].get("serving", {}), "feedback": feedback}
        return body

    def begin_canaries(self, *names: str, slos: list[Object]) -> None:
        """Give products a second version, and wait until its traffic is all that it lacks."""
        self.begin_canaries_of(dict.fromkeys(names, slos))

    def begin_canaries_of(self, owed: Mapping[str, list[Object]]) -> None:
        """The same, by product what it owes."""
        for name in owed:
            self.show(name, IDLE)
        apply(
            self.plane, *(self.body(name, version="v2", slos=slos) for name, slos in owed.items())
        )
        begun = [self.product(name).until(weight, what=f"{name}'s canary") for name in owed]
        last = max(status["candidate"]["shares"][0]["since"] for status in begun)
        eventually(
            lambda: time.time() > datetime.fromisoformat(last).timestamp() + FIRST_STEP,
            seconds=2 * FIRST_STEP,
            what="the time of the first step",
        )

    def accepted_long_ago(self, *names: str) -> None:
        """Let stable versions be old enough for a training, without waiting for it."""
        then = datetime.fromtimestamp(int(time.time()) - AN_HOUR, UTC)
        status = {"stable": {"promotedAt": then.strftime("%Y-%m-%dT%H:%M:%SZ")}}
        for name in names:
            self.plane.kubectl(
                *("patch", "dataproduct", name, "-n", self.namespace, "--subresource=status"),
                *("--type=merge", "-p", json.dumps({"status": status})),
            )


CARS_OWE = [
    {
        "name": "availability",
        "indicator": {"availability": {}},
        "objective": "0.9",
        "maxRegression": "0.05",
    }
]
VANS_OWE = [
    {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "objective": "0.8",
        "onDegraded": "Retrain",
    }
]
GIVEN_UP_SOON = {"SLUICEGATE_PROMETHEUS_TIMEOUT_SECONDS": "2"}
"""For tests in which Prometheus doesn't answer; elsewhere two seconds may be the machine's."""
TRAINING = {"command": ["python", "-m", "train"], "output": "registry.example/bentos/vans"}


def measured_by(server: PrometheusStandIn) -> dict[str, str]:
    """The settings of an operator that asks this server."""
    return {
        "SLUICEGATE_PROMETHEUS_URL": server.url,
        "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": str(SCRAPE_SECONDS),
        "SLUICEGATE_SETTLE_SECONDS": str(SETTLE_SECONDS),
        "SLUICEGATE_HOUR_SECONDS": str(12 * BLOCK_SECONDS),
    }


@contextmanager
def judged(plane: ControlPlane, namespace: str, folder: Path, **extra: str) -> Iterator[Judged]:
    """`sluicegate run` for a new namespace and a Prometheus of its own, for the length of a block."""
    plane.kubectl("create", "namespace", namespace)
    truth = Truth()
    with ExitStack() as stack:
        stack.callback(plane.kubectl, "delete", "namespace", namespace, "--wait=false")
        server = stack.enter_context(hosted(PrometheusStandIn(truth)))
        settings = {
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": namespace,
            "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
            **measured_by(server),
            **extra,
        }
        started = replicas(plane, folder, namespace, extra=settings, module=OPERATOR)
        (replica,) = stack.enter_context(started)
        yield Judged(plane, namespace, server, truth, replica)


def weight(status: Object) -> int:
    """The share that a candidate has in percent; 0 without one."""
    return int((status.get("candidate") or {}).get("weight") or 0)


def trainings(status: Object) -> int:
    """Attempts of a training, those under way included."""
    return int((status.get("retraining") or {}).get("attempts") or 0)


def slo(status: Object, name: str) -> Object:
    """What is said of one SLO."""
    return next((one for one in status.get("slos") or () if one["name"] == name), {})
