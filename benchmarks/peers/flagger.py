"""Flagger: a Canary beside a Deployment, with routes of the Gateway API.

For each product a user applies the Deployment and the Canary. Flagger copies the Deployment to a
second one that serves ("primary"), scales the user's to zero, and creates three Services and an
HTTPRoute. A change of the user's Deployment starts the analysis: Flagger's own two checks, the
share of successful requests and their 99th percentile, before each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.contender import Description, Program
from benchmarks.peers import workload
from benchmarks.peers.settings import AS_IT_COMES, DWELL_SECONDS, WEIGHTS, Setting
from cluster import builds
from cluster.definitions import wait_until_established
from cluster.kinds import install_gateway_api
from cluster.versions import versions

if TYPE_CHECKING:
    from benchmarks.contender import Body, Product, Surroundings
    from cluster.controlplane import ControlPlane

MODULE: Final = "github.com/fluxcd/flagger"
PROGRAM: Final = "flagger"
GATEWAY: Final = {
    # All four fields: Flagger compares the route with its own on each tick, and rewrites it for
    # each default that the API server has filled in.
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "namespace": "gateways",
    "name": "public",
}
TUNED: Final = Setting(
    "-tuned",
    (
        "-threadiness=32",
        "-kubeconfig-qps=2000",
        "-kubeconfig-burst=4000",
        "-control-loop-interval=1s",
        "-log-level=error",
    ),
    interval_seconds=DWELL_SECONDS,
)
MIN_SUCCESS_PERCENT: Final = 99
MAX_MILLISECONDS: Final = 500
SERVING: Final = frozenset({"Initialized", "Succeeded"})


@dataclass(frozen=True, slots=True)
class Flagger:
    """Flagger with its HTTPRoutes, with default flags or tuned."""

    setting: Setting = AS_IT_COMES

    @property
    def description(self) -> Description:
        """Description, with the differences from the operator."""
        return Description(
            name=f"flagger{self.setting.suffix}",
            version=versions().modules[MODULE].removeprefix("v"),
            makes="1 Deployment (a copy of the user's), 3 Services, 1 HTTPRoute",
            not_comparable=NOT_COMPARABLE,
            programs=(PROGRAM,),
        )

    @property
    def observed(self) -> str:
        """Path of Canaries, whose phase shows the state."""
        return "/apis/flagger.app/v1beta1/canaries"

    def prepare(self, plane: ControlPlane) -> None:
        """Install its definitions, and those of the routes that it writes."""
        install_gateway_api(plane)
        definitions = builds.module_folder(MODULE) / "artifacts" / "flagger" / "crd.yaml"
        plane.kubectl("apply", "--server-side", "-f", str(definitions))
        wait_until_established(plane.kubectl, f"--filename={definitions}")

    def program(self, surroundings: Surroundings) -> Program:
        """Return the command of one replica without leader election, which is its chart's default."""
        return Program(
            (
                str(builds.program(PROGRAM)),
                f"-kubeconfig={surroundings.kubeconfig}",
                f"-metrics-server={surroundings.prometheus}",
                f"-port={surroundings.metrics_port}",
                "-mesh-provider=gatewayapi:v1",
                "-log-level=info",
                *self.setting.flags,
            )
        )

    def objects(self, product: Product) -> list[Body]:
        """Return the Deployment and its Canary."""
        interval = DWELL_SECONDS if product.quick else self.setting.interval_seconds
        return [deployment(product, workload.STABLE), canary(product, interval)]

    def changes(self, product: Product) -> list[Body]:
        """Return the Deployment with a new pod template."""
        return [deployment(product, workload.CANARY)]

    def hurried(self) -> Flagger:
        """Return itself: all its durations fit into a run."""
        return self

    def ideal_promotion_seconds(self) -> float:
        """Return one interval for each weight."""
        return float(DWELL_SECONDS * len(WEIGHTS))

    def is_ready(self, body: Body) -> bool:
        """Return whether the primary serves and no analysis is in progress."""
        return phase(body) in SERVING

    def is_promoted(self, body: Body) -> bool:
        """Return whether an analysis has succeeded: the first time a Canary is `Succeeded`."""
        status = body.get("status", {})
        hashes = status.get("lastAppliedSpec"), status.get("lastPromotedSpec")
        return phase(body) == "Succeeded" and hashes[0] == hashes[1]


def phase(body: Body) -> str:
    """Return a Canary's phase, "" before Flagger has set it."""
    result: str = body.get("status", {}).get("phase", "")
    return result


def deployment(product: Product, version: str) -> Body:
    """Return the user's Deployment, without a replica count: Flagger scales it, by its guide."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": workload.metadata(product),
        "spec": {
            "selector": workload.selector(product),
            "template": workload.pod_template(product, version),
        },
    }


def canary(product: Product, interval_seconds: int) -> Body:
    """Return a Canary with three steps and Flagger's own two checks."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": workload.metadata(product),
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": product.name},
            "service": {
                "port": workload.PORT,
                "targetPort": workload.PORT,
                "hosts": [f"{product.name}.{product.namespace}.example"],
                "gatewayRefs": [GATEWAY],
            },
            "analysis": {
                "interval": f"{interval_seconds}s",
                "threshold": 5,
                "stepWeights": list(WEIGHTS),
                "metrics": [
                    check("request-success-rate", min=MIN_SUCCESS_PERCENT),
                    check("request-duration", max=MAX_MILLISECONDS),
                ],
            },
        },
    }


def check(name: str, **limit: int) -> Body:
    """Return one of Flagger's own metrics, whose query it writes itself."""
    return {"name": name, "interval": "1m", "thresholdRange": limit}


NOT_COMPARABLE: Final = (
    (
        "Its work queue admits ten new Canaries per second after the first hundred, and no "
        "flag changes that, so a cold start takes at least N / 10 seconds."
    ),
    (
        "It reconciles a Canary when it is created and then once per interval: a minute by "
        "default, ten seconds tuned. A Canary needs at least one interval to be ready, and "
        "an idle one is reconciled as often, so each setting has a cost."
    ),
    (
        "The user's own Deployment runs until Flagger has copied it: each product costs the "
        "control plane two Deployments and two pods before it serves; one of sluicegate "
        "costs one of each."
    ),
    (
        "It compares two numbers with fixed limits; sluicegate counts events and tests a "
        "hypothesis, and also detects a decay between releases."
    ),
    (
        "It queries Prometheus twice per canary and interval; sluicegate sends a fixed "
        "number of queries per block for all products."
    ),
    (
        "One reconcile takes ten reads, and its client sends 100 requests per second by "
        "default: with a reconcile per minute, this limit is reached at about 600 products. "
        "Reads per promotion include reconciles of products outside the wave."
    ),
    "It continues when a weight is accepted; sluicegate also verifies the requests' share.",
    (
        "At the end of a promotion it copies the new pod template to the primary and rolls "
        "it out there, so each promoted version starts twice."
    ),
    (
        "It accepts no interval under 10 s and acts once per interval, so a promotion of "
        "three steps takes at least six intervals; the ideal has three."
    ),
    "It has no baseline, no history of models and no retraining.",
)
