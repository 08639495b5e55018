"""The autoscaler of a product, as the operator makes it, with Kubernetes' own controller and a real Prometheus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cluster.builds import program
from sluicegate.api.product import DataProduct
from sluicegate.manifests.plan import initial_children, spec_version
from sluicegate.settings import Settings
from tests.support.apiserver.metrics_api import external_metrics
from tests.support.failures.replicas import apply
from tests.support.processes.http_server import answering
from tests.support.prometheus.server import prometheus
from tests.support.samples.product_examples import changed
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

RUNTIME = "registry.example/runtime@sha256:" + "d" * 64
WAITING = {"name": "requests_waiting", "matchLabels": {"product": "search"}, "averageValue": "10"}
SCALING = {"minReplicas": 2, "maxReplicas": 6, "metrics": [{"external": WAITING}]}
PAGE = 'requests_waiting{product="search"} 35\nrequests_waiting{product="pricing"} 1000\n'


def test_the_autoscaler_sizes_stable_by_a_query_of_prometheus(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    product = DataProduct.parse(
        changed(
            {
                "metadata.namespace": namespace,
                "metadata.uid": "u-1",
                "spec.serving.replicas": None,
                "spec.serving.autoscaling": SCALING,
                "spec.serving.resources": {"requests": {"cpu": "100m"}},
            }
        )
    )
    children = initial_children(product, spec_version(product, RUNTIME), Settings())
    kinds = ("Deployment", "HorizontalPodAutoscaler")
    for child in children:  # the garbage collector deletes what has an owner that doesn't exist
        child["metadata"].pop("ownerReferences", None)

    def pods() -> int:
        found = control_plane.kubectl("get", "deployments", "-n", namespace, "-o", "json")
        (deployment,) = json.loads(found)["items"]
        return int(deployment["spec"]["replicas"])

    with answering(lambda _: PAGE) as address:
        jobs: list[dict[str, Any]] = [
            {
                "job_name": "products",
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "static_configs": [{"targets": [address]}],
            }
        ]
        with (
            prometheus(program("prometheus"), tmp_path, {"scrape_configs": jobs}) as url,
            external_metrics(control_plane, url, tmp_path),
        ):
            apply(control_plane, *(child for child in children if child["kind"] in kinds))
            eventually(lambda: pods() == 4, seconds=90, what="four pods for 35 requests")
