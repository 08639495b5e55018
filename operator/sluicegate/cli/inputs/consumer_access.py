"""Consumers of a product, and the products that it calls, of the API server or of a file."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.cluster_access import product_of
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import Key
from sluicegate.policy.model.consumers import consumer_names, upstream_names


async def consumers_of(product: DataProduct) -> list[dict[str, Any]]:
    """Read the products named by `rollout.consumers`; report unreadable ones on standard error."""
    return await _products_named(consumer_names(product), missing="its SLOs are left out")


async def related_products(product: DataProduct) -> list[dict[str, Any]]:
    """Read the products named by `rollout.consumers` and the product's upstreams."""
    consumers = consumer_names(product)
    upstreams = [name for name in upstream_names(product) if name not in consumers]
    return [
        *await consumers_of(product),
        *await _products_named(upstreams, missing="its releases are left out"),
    ]


async def _products_named(names: Iterable[str], *, missing: str) -> list[dict[str, Any]]:
    """Read products by `namespace/name`; report unreadable ones and the missing permission on standard error."""
    products = []
    for name in names:
        try:
            products.append(await product_of(Key(*name.split("/", 1))))
        except KubeError as error:
            print(f"note: {name} can't be read, so {missing}: {error}", file=sys.stderr)
    return products


def related_among(
    product: DataProduct, bodies: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return a file's products that `rollout.consumers` names, and the product's upstreams."""
    named = {*consumer_names(product), *upstream_names(product)}
    return [
        body
        for body in bodies
        if f"{body['metadata'].get('namespace')}/{body['metadata'].get('name')}" in named
    ]
