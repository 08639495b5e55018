"""Availability of pods: a disruption budget, and an autoscaler if the spec has one."""

from collections.abc import Mapping

from sluicegate.api.autoscaling import Autoscaling, ScalingMetric
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.common import Manifest, labels, metadata, pods_of, with_inputs_hash
from sluicegate.manifests.names import version_name


def needs_disruption_budget(product: DataProduct) -> bool:
    """Return whether the product has more than one pod, so that one at a time may be evicted."""
    return product.spec.serving.base_replicas > 1


def build_disruption_budget(product: DataProduct) -> Manifest:
    """Build the budget by which one serving pod of the product at a time may be evicted."""
    return with_inputs_hash(
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
    product: DataProduct,
    stable: VersionBase,
    autoscaling: Autoscaling,
    *,
    minimum_replicas: int = 0,
    maximum_replicas: int = 0,
) -> Manifest:
    """Build the only autoscaler of a product: it scales the stable version.

    `minimum_replicas` is the least number of stable's pods while another version receives traffic, as a
    rollback gives stable all of it at once. `maximum_replicas` is the greatest while another version
    takes its pods of those that the product may have; 0 for the spec's.
    """
    maximum_replicas = maximum_replicas or autoscaling.max_replicas
    minimum_replicas = max(autoscaling.min_replicas, minimum_replicas)
    utilization = autoscaling.target_cpu_utilization_percentage
    target = {"type": "Utilization", "averageUtilization": utilization}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    return with_inputs_hash(
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
                "minReplicas": min(minimum_replicas, maximum_replicas),
                "maxReplicas": maximum_replicas,
                "metrics": [cpu, *map(_metric, autoscaling.metrics)],
            },
        }
    )


def _metric(metric: ScalingMetric) -> Manifest:
    if (pods := metric.pods) is not None:
        target = {"type": "AverageValue", "averageValue": pods.average_value}
        return {"type": "Pods", "pods": _source(pods.name, pods.match_labels, target)}
    external_metric = metric.external
    assert external_metric is not None
    if external_metric.value is not None:
        target = {"type": "Value", "value": external_metric.value}
    else:
        target = {"type": "AverageValue", "averageValue": external_metric.average_value or ""}
    return {
        "type": "External",
        "external": _source(external_metric.name, external_metric.match_labels, target),
    }


def _source(
    name: str, match_labels: Mapping[str, str], target: Mapping[str, str | None]
) -> Manifest:
    selector = {"selector": {"matchLabels": dict(match_labels)}} if match_labels else {}
    return {"metric": {"name": name, **selector}, "target": dict(target)}
