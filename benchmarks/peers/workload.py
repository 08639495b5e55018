"""Workload of all peers: a pod template in two versions, and its selector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.contender import Body, Product

PORT: Final = 3000
LABEL: Final = "app"
"""Label that Flagger expects in a Deployment's selector."""
VERSION: Final = "version"
"""Label of the pod template with the version."""
STABLE: Final = "v1"
CANARY: Final = "v2"


def metadata(product: Product) -> Body:
    """Return name, namespace and label of an object of a product."""
    return {
        "name": product.name,
        "namespace": product.namespace,
        "labels": {LABEL: product.name},
    }


def selector(product: Product) -> Body:
    """Return the selector of the product's pods, of all versions."""
    return {"matchLabels": {LABEL: product.name}}


def pod_template(product: Product, version: str) -> Body:
    """Return a template with one container; kwok simulates it, so no image is pulled."""
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
