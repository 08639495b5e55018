"""Argo Rollouts: a Rollout instead of the Deployment.

For each product a user applies a Service and the Rollout. Argo Rollouts creates ReplicaSets, like
the Deployment controller. Without a traffic router, which for the Gateway API is a plugin outside
of its module, weights are pod counts. One background analysis for each promotion queries Prometheus
twice per interval.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.contender import Description, Program
from benchmarks.peers import workload
from benchmarks.peers.settings import AS_IT_COMES, DWELL_SECONDS, WEIGHTS, Setting
from cluster import builds
from cluster.definitions import wait_until_established
from cluster.versions import versions

if TYPE_CHECKING:
    from benchmarks.contender import Body, Product, Surroundings
    from cluster.controlplane import ControlPlane

MODULE: Final = "github.com/argoproj/argo-rollouts"
PROGRAM: Final = "argo-rollouts"
API: Final = "argoproj.io/v1alpha1"
NAMESPACE: Final = "argo-rollouts"
"""Namespace of its lease."""
ANALYSIS: Final = "requests"
MIN_SUCCESS: Final = 0.99
MAX_SECONDS: Final = 0.5
TUNED: Final = Setting(
    "-tuned",
    (
        "--qps=2000",
        "--burst=4000",
        "--rollout-threads=32",
        "--service-threads=32",
        "--analysis-threads=64",
        "--loglevel=error",
    ),
)


@dataclass(frozen=True, slots=True)
class ArgoRollouts:
    """Argo Rollouts without a traffic router, with default flags or tuned."""

    setting: Setting = AS_IT_COMES

    @property
    def description(self) -> Description:
        """Description, with the differences from the operator."""
        return Description(
            name=f"argo-rollouts{self.setting.suffix}",
            version=versions().modules[MODULE].removeprefix("v"),
            makes="1 ReplicaSet (the user applies the Service; no Deployment, no HTTPRoute)",
            not_comparable=NOT_COMPARABLE,
            programs=(PROGRAM,),
        )

    @property
    def observed(self) -> str:
        """Path of Rollouts, whose phase and hashes show the state."""
        return f"/apis/{API}/rollouts"

    def prepare(self, plane: ControlPlane) -> None:
        """Install its definitions, the namespace of its lease, and the analysis that all products share."""
        folder = builds.module_folder(MODULE) / "manifests" / "crds"
        definitions = [f"--filename={path}" for path in sorted(folder.glob("*-crd.yaml"))]
        plane.kubectl("apply", "--server-side", *definitions)
        wait_until_established(plane.kubectl, *definitions)
        items = [namespace(), analysis()]
        listed = {"apiVersion": "v1", "kind": "List", "items": items}
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))

    def program(self, surroundings: Surroundings) -> Program:
        """Return the command of one replica with leader election, which is its default."""
        command = (
            str(builds.program(PROGRAM)),
            f"--kubeconfig={surroundings.kubeconfig}",
            f"--metricsPort={surroundings.metrics_port}",
            "--healthzPort=0",
            *self.setting.flags,
        )
        return Program(
            command,
            {
                "POD_NAMESPACE": NAMESPACE,
                "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": surroundings.prometheus,
            },
        )

    def objects(self, product: Product) -> list[Body]:
        """Return the Service and the Rollout."""
        return [service(product), rollout(product, workload.STABLE)]

    def changes(self, product: Product) -> list[Body]:
        """Return the Rollout with a new pod template."""
        return [rollout(product, workload.CANARY)]

    def hurried(self) -> ArgoRollouts:
        """Return itself: all its durations fit into a run."""
        return self

    def ideal_promotion_seconds(self) -> float:
        """Return the sum of the three pauses."""
        return float(DWELL_SECONDS * len(WEIGHTS))

    def is_ready(self, body: Body) -> bool:
        """Return whether the spec is served, and no rollout is in progress."""
        status = body.get("status", {})
        is_current = status.get("observedGeneration") == str(body["metadata"]["generation"])
        return bool(is_current and status.get("phase") == "Healthy")

    def is_promoted(self, body: Body) -> bool:
        """Return whether the second version is the stable one, with all pods."""
        template, status = body["spec"]["template"], body.get("status", {})
        second = template["metadata"]["labels"][workload.VERSION] == workload.CANARY
        stable = status.get("stableRS") == status.get("currentPodHash")
        return second and stable and self.is_ready(body)


def namespace() -> Body:
    """Return the namespace of its lease."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def analysis() -> Body:
    """Return an analysis of two measurements per interval until the promotion ends: successes and duration."""
    pods = 'namespace="{{args.namespace}}", product="{{args.product}}"'
    total = f"sum(rate(http_requests_total{{{pods}}}[1m]))"
    good = f'sum(rate(http_requests_total{{{pods}, code!~"5.."}}[1m]))'
    slow = f"sum by (le) (rate(http_request_duration_seconds_bucket{{{pods}}}[1m]))"
    return {
        "apiVersion": API,
        "kind": "ClusterAnalysisTemplate",
        "metadata": {"name": ANALYSIS},
        "spec": {
            "args": [{"name": "namespace"}, {"name": "product"}],
            "metrics": [
                metric("success", f"{good} / {total}", f"result[0] >= {MIN_SUCCESS}"),
                metric(
                    "duration",
                    f"histogram_quantile(0.99, {slow})",
                    f"result[0] <= {MAX_SECONDS}",
                ),
            ],
        },
    }


def metric(name: str, query: str, condition: str) -> Body:
    """Return one measurement of the analysis; the URL is in the program's environment."""
    return {
        "name": name,
        "interval": f"{DWELL_SECONDS}s",
        "successCondition": condition,
        "failureLimit": 5,
        "provider": {"prometheus": {"query": query}},
    }


def service(product: Product) -> Body:
    """Return the Service for in-cluster callers; it selects stable and canary pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": workload.metadata(product),
        "spec": {
            "selector": workload.selector(product)["matchLabels"],
            "ports": [{"name": "http", "port": workload.PORT, "targetPort": "http"}],
        },
    }


def rollout(product: Product, version: str) -> Body:
    """Return a Rollout with three steps and one background analysis."""
    arguments = {"namespace": product.namespace, "product": product.name}
    return {
        "apiVersion": API,
        "kind": "Rollout",
        "metadata": workload.metadata(product),
        "spec": {
            "replicas": 1,
            "selector": workload.selector(product),
            "template": workload.pod_template(product, version),
            "strategy": {
                "canary": {
                    "analysis": {
                        "templates": [{"templateName": ANALYSIS, "clusterScope": True}],
                        "args": [
                            {"name": name, "value": value} for name, value in arguments.items()
                        ],
                    },
                    "steps": steps(),
                }
            },
        },
    }


def steps() -> list[Body]:
    """Return each weight with its pause."""
    pause = {"pause": {"duration": f"{DWELL_SECONDS}s"}}
    return [step for weight in WEIGHTS for step in ({"setWeight": weight}, pause)]


NOT_COMPARABLE: Final = (
    (
        "It replaces the Deployment and creates its ReplicaSets itself: it sends the "
        "requests that the Deployment controller sends for the others."
    ),
    (
        "The user applies the Service; it creates no Service, no route and no second "
        "Deployment, so a new product costs the control plane less than one of sluicegate "
        "or Flagger."
    ),
    (
        "Without a traffic router a weight is a share of pods: with one replica, each step "
        "is one canary pod beside one stable pod, whatever the weight is. It shifts no "
        "requests and verifies no route."
    ),
    (
        "It compares two numbers with fixed limits; sluicegate counts events and tests a "
        "hypothesis, and also detects a decay between releases."
    ),
    (
        "Its analysis runs in the background, and the next weight does not wait for a "
        "verdict: the pauses alone determine the duration of a promotion, unless a "
        "measurement fails."
    ),
    (
        "It doesn't release its lease on SIGTERM: the next process waits for its expiry, 15 "
        "s later, which is part of its restart."
    ),
    "It has no baseline, no history of models and no retraining.",
)
