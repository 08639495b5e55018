"""Availability of pods: a disruption budget, and an autoscaler if the spec has one."""

from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.serving import Autoscaling
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.common import Manifest, labels, metadata, pods_of, sealed
from sluicegate.manifests.names import version_name


def needs_disruption_budget(product: DataProduct) -> bool:
    """Return whether the product has more than one pod, so that one at a time may be evicted."""
    return product.spec.serving.base_replicas > 1


def build_disruption_budget(product: DataProduct) -> Manifest:
    """Build the budget by which one serving pod of the product at a time may be evicted."""
    return sealed(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(product, product.metadata.name, labels(product, Component.SERVER)),
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": pods_of(product)},
            },
        }
    )


def build_autoscaler(
    product: DataProduct, stable: VersionBase, autoscaling: Autoscaling, *, floor: int = 0
) -> Manifest:
    """Build the only autoscaler of a product: it scales the stable version.

    `floor` is the least number of stable's pods while another version receives traffic, as a
    rollback gives stable all of it at once.
    """
    utilization = autoscaling.target_cpu_utilization_percentage
    target = {"type": "Utilization", "averageUtilization": utilization}
    return sealed(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata(product, product.metadata.name, labels(product, Component.SERVER)),
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": version_name(product.metadata.name, stable.revision),
                },
                "minReplicas": max(autoscaling.min_replicas, min(floor, autoscaling.max_replicas)),
                "maxReplicas": autoscaling.max_replicas,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        }
    )
