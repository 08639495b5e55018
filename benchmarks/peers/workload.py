"""What every peer is given to run: a pod template in two versions, and what selects its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.contender import Body, Product

PORT: Final = 3000
LABEL: Final = "app"
"""Flagger looks for this one in a Deployment's selector."""
VERSION: Final = "version"
"""Label of the pod template that tells the versions apart."""
STABLE: Final = "v1"
CANARY: Final = "v2"


def metadata(product: Product) -> Body:
    """Name, namespace and label of an object of a product."""
    return {
        "name": product.name,
        "namespace": product.namespace,
        "labels": {LABEL: product.name},
    }


def selector(product: Product) -> Body:
    """What selects the product's pods, of all versions."""
    return {"matchLabels": {LABEL: product.name}}


def pod_template(product: Product, version: str) -> Body:
    """One container; kwok plays it, so no image is ever pulled."""
    return {
        "metadata": {"labels": {LABEL: product.name, VERSION: version}},
        "spec": {
            "containers": [
                {
                    "name": "model",
                    "image": f"registry.example/{product.name}:{version}",
                    "ports": [{"name": "http", "containerPort": PORT}],
                }
            ]
        },
    }
