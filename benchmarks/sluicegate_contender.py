"""Sluicegate as a contender: `sluicegate run` with default settings except Prometheus' address."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contender import Description, Program
from benchmarks.measurements import SCRAPE_SECONDS, SERVICE
from cluster.images.description import describe
from cluster.kinds import install_crds, install_gateway_api
from sluicegate.api.slos import Analysis
from sluicegate.api.versions import revision_of
from sluicegate.measurement.product_view import GATEWAY_LAG
from sluicegate.reconcile.traffic.split_verification import QUIET_BLOCKS
from sluicegate.stats.canary_duration import MIN_BLOCKS, WARM_UP_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.contender import Body, Product, Surroundings
    from cluster.controlplane import ControlPlane

RUNTIME: Final = f"registry.example/runtime@sha256:{'d' * 64}"
DIGESTS: Final = {"v1": f"sha256:{'a' * 64}", "v2": f"sha256:{'b' * 64}"}
USUAL_BLOCK_SECONDS: Final = Analysis().block_seconds
SHORT_BLOCK_SECONDS: Final = 60
QUICK_BLOCK_SECONDS: Final = 5
SETTLING_BLOCKS: Final = 7
"""Blocks from serving to a steady state: warm-up, and blocks for the first evaluation."""
EVENT_SERIES_SECONDS: Final = 80.0
"""Seconds after which repeats of an event are written as one count."""
OWN_SCENARIOS: Final = ("cold", "steady", "restart", "promotions", "degradations", "commonCause")
SCENARIOS: Final = (*OWN_SCENARIOS, "starts")
"""All scenarios."""
STEPS: Final = (5, 25, 50)
SETTLE_SECONDS: Final = 1
PRIORITIES: Final = ("Low", "Medium", "High", "Critical")
NAMESPACE: Final = "sluicegate-system"

NOT_COMPARABLE: Final = (
    "Gateway and Prometheus are the harness's own, so neither costs what a real one costs.",
    f"After the cold start blocks have {SHORT_BLOCK_SECONDS} s instead of {USUAL_BLOCK_SECONDS}.",
)

SLOS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"},
    {
        "name": "latency",
        "indicator": {"latency": {"thresholdMilliseconds": 250}},
        "objective": "0.99",
    },
    {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "objective": "0.80",
        "maxDrop": "0.05",
        "onDegraded": "Retrain",
    },
    {
        "name": "conversion",
        "indicator": {"counters": {"good": "clicked_total", "total": "served_total"}},
        "maxDrop": "0.01",
    },
)


@dataclass(frozen=True, slots=True)
class Sluicegate:
    """The operator; `block_seconds` is the length of the N products' blocks."""

    block_seconds: int = USUAL_BLOCK_SECONDS
    observed: str = "/apis/sluicegate.dev/v1alpha1/dataproducts"

    @property
    def description(self) -> Description:
        """Description, with the simulated parts of its environment."""
        return Description(
            name="sluicegate",
            version=version("sluicegate"),
            makes=(
                "1 Deployment and 1 headless Service per version, 1 Service and 1 HTTPRoute "
                "per product; evaluates four SLOs against a Prometheus"
            ),
            not_comparable=NOT_COMPARABLE,
            scenarios=OWN_SCENARIOS,
            settle_seconds=SETTLING_BLOCKS * self.block_seconds,
            late_seconds=EVENT_SERIES_SECONDS,
        )

    def prepare(self, plane: ControlPlane) -> None:
        """Install its CRD and those of the Gateway API."""
        install_crds(plane)
        install_gateway_api(plane)
        plane.kubectl("create", "namespace", NAMESPACE)

    def program(self, surroundings: Surroundings) -> Program:
        """Return the command `sluicegate run`."""
        settings = {
            "KUBECONFIG": str(surroundings.kubeconfig),
            "SLUICEGATE_NAMESPACE": NAMESPACE,
            "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
            "SLUICEGATE_METRICS_PORT": str(surroundings.metrics_port),
            "SLUICEGATE_PROMETHEUS_URL": surroundings.prometheus,
            "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": str(SCRAPE_SECONDS),
            "SLUICEGATE_SETTLE_SECONDS": str(SETTLE_SECONDS),
            "SLUICEGATE_NUMBERS_REFRESH_SECONDS": "0",
        }
        return Program((sys.executable, "-m", "sluicegate", "run"), settings | image_environment())

    def objects(self, product: Product) -> tuple[Body, ...]:
        """Return one DataProduct."""
        return (data_product(product, "v1", block_seconds=self.block_seconds),)

    def changes(self, product: Product) -> tuple[Body, ...]:
        """Return the DataProduct with another bento, as in a Git push."""
        return (data_product(product, "v2", block_seconds=self.block_seconds),)

    def hurried(self) -> Sluicegate:
        """Return a contender with blocks that are short enough for a run."""
        return replace(self, block_seconds=min(self.block_seconds, SHORT_BLOCK_SECONDS))

    def ideal_promotion_seconds(self) -> float:
        """Return warm-up and dwell of each step, until its last block may be read, and the drain.

        The old version's pods are deleted after two whole blocks without a request.
        """
        delay = SCRAPE_SECONDS + SETTLE_SECONDS
        step = (WARM_UP_BLOCKS + MIN_BLOCKS) * QUICK_BLOCK_SECONDS + delay
        drain = GATEWAY_LAG + QUIET_BLOCKS * QUICK_BLOCK_SECONDS + delay
        return len(STEPS) * step + drain

    def is_ready(self, body: Body) -> bool:
        """Return whether the condition Ready of the current generation is True."""
        status = body.get("status") or {}
        ready = [one for one in status.get("conditions") or () if one["type"] == "Ready"]
        current = status.get("observedGeneration") == body["metadata"]["generation"]
        return current and any(one["status"] == "True" for one in ready)

    def is_promoted(self, body: Body) -> bool:
        """Return whether the second version is stable, and no rollout is in progress."""
        status = body.get("status") or {}
        stable = (status.get("stable") or {}).get("version")
        return stable == "v2" and not status.get("candidate")


def image_environment() -> dict[str, str]:
    """Return the operator image's variables for the C library's allocator."""
    described = describe("operator").runtime.env
    return {name: value for name, value in described.items() if name.startswith("MALLOC_")}


def data_product(product: Product, bento: str, *, block_seconds: int = USUAL_BLOCK_SECONDS) -> Body:
    """Return a product as a team would keep it in Git."""
    block = QUICK_BLOCK_SECONDS if product.quick else block_seconds
    chosen = {
        "image": f"registry.example/bentos/bench@{DIGESTS[bento]}",
        "version": bento,
        "service": SERVICE,
    }
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"namespace": product.namespace, "name": product.name},
        "spec": {
            "owner": "group:default/bench",
            "priority": PRIORITIES[product.number % len(PRIORITIES)],
            "model": {"bento": chosen, "evaluation": {"accuracy": {"bad": 500, "total": 5000}}},
            "serving": {
                "replicas": 1,
                "feedback": {"secretRef": {"name": "feedback"}},
            },
            "route": {
                "parentRefs": [{"name": "web", "namespace": "gateway"}],
                "hostnames": [f"{product.name}.{product.namespace}.example"],
                "path": "/",
            },
            "slos": list(SLOS),
            "analysis": {"blockSeconds": block},
            "retraining": {
                "command": ["python", "-m", "train"],
                "output": "registry.example/bentos/bench",
            },
            "rollout": {"steps": list(STEPS)},
        },
    }


def shares(product: str, weights: Mapping[str, int]) -> dict[str, float]:
    """Return the share of a product's traffic by version, from the weights of its route's backends."""
    total = sum(weights.values()) or 1
    versions = {
        f"{product}-{revision_of(digest, RUNTIME)}": name for name, digest in DIGESTS.items()
    }
    return {versions[one]: weight / total for one, weight in weights.items() if one in versions}
