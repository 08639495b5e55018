"""The Services: one for each version, for the route's weights; the product's own; one for mirrored requests and previews."""

from sluicegate.api import names
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.common import (
    HTTP_PORT,
    Manifest,
    labels,
    metadata,
    pods_of,
    with_inputs_hash,
)
from sluicegate.manifests.names import candidate_name, version_name
from sluicegate.settings import ServiceKind

_NONEXISTENT_REVISION = "none"
_PORTS = [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}]


def build_version_service(
    product: DataProduct, version: VersionBase, *, kind: ServiceKind
) -> Manifest:
    """Build the Service of a version, for a weight of the route. Its kind can't change later."""
    address_fields = (
        {"clusterIP": "None"} if kind is ServiceKind.HEADLESS else {"type": "ClusterIP"}
    )
    return _service(
        product,
        name=version_name(product.metadata.name, version.revision),
        labels=labels(product, Component.SERVER, version.version)
        | {names.LABEL_REVISION: version.revision},
        spec=address_fields | {"selector": pods_of(product, version.revision), "ports": _PORTS},
    )


def build_stable_service(product: DataProduct, revision: str | None) -> Manifest:
    """Build the Service with the product's name: stable's pods, for callers within the cluster.

    With `revision` None it selects the pods of all versions, which splits the traffic by
    replicas if there is no route.
    """
    return _service(
        product,
        name=product.metadata.name,
        labels=labels(product, Component.SERVER),
        spec={"type": "ClusterIP", "selector": pods_of(product, revision), "ports": _PORTS},
    )


def build_candidate_service(product: DataProduct, revision: str) -> Manifest:
    """Build the Service for mirrored requests and previews: the candidate's pods; with an empty `revision` none.

    Pods have its name from their start, so a rollout restarts none of them.
    """
    return _service(
        product,
        name=candidate_name(product.metadata.name),
        labels=labels(product, Component.SERVER),
        spec={
            "type": "ClusterIP",
            "selector": pods_of(product, revision or _NONEXISTENT_REVISION),
            "ports": _PORTS,
        },
    )


def _service(
    product: DataProduct, *, name: str, labels: dict[str, str], spec: Manifest
) -> Manifest:
    return with_inputs_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(product, name, labels),
            "spec": spec,
        }
    )
