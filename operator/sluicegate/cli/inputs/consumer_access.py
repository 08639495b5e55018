"""Consumers of a product, of the API server or of a file."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.cluster_access import product_of
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import Key
from sluicegate.policy.model.consumers import consumers_named


async def consumers_of(product: DataProduct) -> list[dict[str, Any]]:
    """Read the products that `rollout.consumers` names; one that can't be read is named on standard error."""
    consumers = []
    for name in consumers_named(product):
        try:
            consumers.append(await product_of(Key(*name.split("/", 1))))
        except KubeError as error:
            print(f"note: {name} can't be read, so its SLOs are left out: {error}", file=sys.stderr)
    return consumers


def consumers_among(
    product: DataProduct, bodies: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the products of a file that `rollout.consumers` names."""
    named = consumers_named(product)
    return [
        body
        for body in bodies
        if f"{body['metadata'].get('namespace')}/{body['metadata'].get('name')}" in named
    ]
