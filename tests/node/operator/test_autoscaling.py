"""A real autoscaler under load: a rollout never leaves fewer pods than stable had when it began."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import pytest

from cluster import addons
from tests.support.node.live_product import conditions, says
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

    from tests.support.node.live_product import LiveProduct

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]
MAX_PODS = 3
REQUEUE_SECONDS = 0.4
ROUTES = "gateway.networking.k8s.io/v1/httproutes"
SLICES = "discovery.k8s.io/v1/endpointslices"
SCALERS = "autoscaling/v2/horizontalpodautoscalers"


@pytest.fixture(scope="session")
def where(cluster, where):
    """Add-ons among which autoscalers find what they read."""
    addons.add_metrics_server(cluster)
    return where


def product_of(world, version, *, routed):
    """Return a product that an autoscaler sizes; three pods are too few for all visitors, two for half.

    Of the processor that 20 requests a second took on the fastest machine seen, 35 % of a pod's
    request is a third; so two pods are too few for them there, too.
    """
    product = world.spec(version, rollout={"steps": [50], "approval": "Manual"})
    serving = product["spec"]["serving"]
    del serving["replicas"]
    serving["autoscaling"] = {
        "minReplicas": 1,
        "maxReplicas": MAX_PODS,
        "targetCPUUtilizationPercentage": 35,
    }
    if not routed:
        del product["spec"]["route"]
    return product


def own_route(world):
    """Return a route that a person made, to the Service of the product."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "by-hand"},
        "spec": {
            "parentRefs": [{"name": "web", "namespace": "gateway"}],
            "hostnames": [world.host],
            "rules": [{"backendRefs": [{"name": "learner", "port": 3000}]}],
        },
    }


def ready_by_revision(product: LiveProduct) -> dict[str, int]:
    return {
        one["metadata"]["name"]: one["status"].get("readyReplicas", 0)
        for one in product.listed("apps/v1/deployments")
    }


def weights(product: LiveProduct) -> dict[str, int]:
    (route,) = product.listed(ROUTES)
    backends = route["spec"]["rules"][0]["backendRefs"]
    return {backend["name"]: backend["weight"] for backend in backends if backend["weight"]}


@dataclass
class Capacity:
    """Looks in a thread of its own at the pods that take requests; `lacks` is what was too little."""

    product: LiveProduct
    needed: int
    routed: bool
    lacks: list[str] = field(default_factory=list)
    looks: int = 0

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        print(f"capacity: {self.looks} looks, {self.lacks or 'enough in each'}")

    def _look_on(self) -> None:
        while not self._ended.wait(REQUEUE_SECONDS):
            lack = self._routed() if self.routed else self._selected()
            self.looks += 1
            if lack and lack not in self.lacks:
                self.lacks.append(lack)

    def _routed(self) -> str:
        """Return whether each version has pods for its share, and one has them for all traffic."""
        shares, ready = weights(self.product), ready_by_revision(self.product)
        short = [
            name
            for name, weight in shares.items()
            if ready.get(name, 0) < ceil(weight * self.needed / 100)
        ]
        whole = max(ready.get(name, 0) for name in shares) >= self.needed
        return "" if whole and not short else f"weights {shares}, ready {ready}"

    def _selected(self) -> str:
        found = self.product.listed(SLICES, "kubernetes.io/service-name=learner")
        ready = sum(
            bool(endpoint["conditions"].get("ready"))
            for each in found
            for endpoint in each.get("endpoints") or ()
        )
        return "" if ready >= self.needed else f"{ready} pods take requests"


def used(product: LiveProduct) -> tuple[str, int]:
    """Return which Deployment the autoscaler sizes, and the CPU that its pods use, in percent."""
    (scaler,) = product.listed(SCALERS)
    metrics = scaler["status"].get("currentMetrics") or [{}]
    current: dict[str, Any] = metrics[0].get("resource", {}).get("current", {})
    return scaler["spec"]["scaleTargetRef"]["name"], current.get("averageUtilization", 0)


def at_half(status):
    return (status.get("candidate") or {}).get("weight") == 50


@pytest.mark.parametrize(
    "routed",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["with a route", "without a route"],
)
def test_a_rollout_with_an_autoscaler_keeps_the_serving_capacity(world, routed):
    if not routed:
        world.backend.run_kubectl(
            *("apply", "-n", world.namespace, "-f", "-"), stdin=json.dumps(own_route(world))
        )
    world.product.apply(product_of(world, "v1", routed=routed))
    world.product.until_ready()
    stable = next(iter(ready_by_revision(world.product)))
    with world.visitors(per_second=20) as visitors:
        eventually(
            lambda: ready_by_revision(world.product)[stable] == MAX_PODS,
            seconds=150,
            what=f"{MAX_PODS} pods under load",
        )
        busy = used(world.product)[1]
        with Capacity(world.product, MAX_PODS, routed) as capacity:
            world.product.apply(product_of(world, "v2-good", routed=routed))
            world.product.until(at_half, what="a canary", seconds=180)
            eventually(
                lambda: 0 < used(world.product)[1] < 0.75 * busy,
                seconds=90,
                what=f"the autoscaler to see less than the {busy} % before",
            )
            world.product.until(
                lambda status: says(status, "RolloutProgressing")[0] == "AwaitingApproval",
                seconds=150,
                what="a canary that waits",
            )
            world.product.annotate("abort", "v2-good/now")
            world.product.until_stable("v1", seconds=90)
            world.product.annotate("promote", "v2-good/again")
            world.product.until(at_half, what="another canary", seconds=180)
            world.product.annotate("promote", "v2-good/yes")
            status = world.product.until_stable("v2-good", seconds=240)
        eventually(
            lambda: used(world.product)[0].endswith(status["stable"]["revision"]),
            what="the autoscaler to size v2-good",
        )

    assert not visitors.tally.failures
    assert capacity.looks > 50
    assert not capacity.lacks
    assert conditions(status)["Ready"] == "True"
