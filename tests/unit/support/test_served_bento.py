"""What the node's tests serve without an operator has the operator's names and labels."""

from __future__ import annotations

from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.api.versions import Release, VersionBase, VersionSource
from sluicegate.manifests.deployment import build_deployment
from sluicegate.manifests.service import build_version_service
from sluicegate.settings import ServiceKind
from tests.support.node.served_bento import PRODUCT, version_objects
from tests.support.samples.product_examples import changed


def identity(body: dict[str, Any]) -> dict[str, Any]:
    """What Prometheus, the gateway and the Service find a version's pods by."""
    spec = body["spec"]
    return {
        "name": body["metadata"]["name"],
        "selector": spec["selector"],
        "labels": spec.get("template", body)["metadata"]["labels"],
    }


def test_a_bento_served_by_a_test_is_identified_by_the_deployment_of_the_operator():
    release = Release("v1", f"registry.example/churn@sha256:{'a' * 64}", "registry.example/runtime")
    product = DataProduct.parse(changed({"metadata.name": PRODUCT, "metadata.uid": "u-1"}))
    version = VersionBase.of(release, VersionSource.SPEC)
    written = (
        build_deployment(product, version, replicas=1),
        build_version_service(product, version, kind=ServiceKind.CLUSTER_IP),
    )
    for ours, theirs in zip(version_objects(release), written, strict=True):
        served, expected = identity(ours), identity(theirs)
        assert served["labels"].items() <= expected["labels"].items()
        assert served | {"labels": {}} == expected | {"labels": {}}
