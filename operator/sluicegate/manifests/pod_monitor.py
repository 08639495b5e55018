"""A PodMonitor of one product, for clusters where one for all products can't be had.

The chart's own covers every product at no write each; this one is for Prometheus instances
that may look into their own namespace only.
"""

from sluicegate.api import names
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.manifests.common import Manifest, labels, metadata, pods_of, sealed


def build_pod_monitor(product: DataProduct, *, scrape_interval_seconds: float) -> Manifest:
    """Scrapes the product's serving pods, with the labels that every measurement needs."""
    return sealed(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": metadata(product, product.metadata.name, labels(product, Component.SERVER)),
            "spec": {
                "selector": {"matchLabels": pods_of(product)},
                "podMetricsEndpoints": [
                    {
                        "port": "metrics",
                        "interval": f"{scrape_interval_seconds:g}s",
                        "honorLabels": False,
                        "relabelings": [
                            _relabel(names.LABEL_PRODUCT, "product"),
                            _relabel(names.LABEL_VERSION, "version"),
                        ],
                    }
                ],
            },
        }
    )


def _relabel(label: str, target: str) -> Manifest:
    source = label.replace(".", "_").replace("/", "_")
    return {
        "sourceLabels": [f"__meta_kubernetes_pod_label_{source}"],
        "targetLabel": target,
        "action": "replace",
    }
