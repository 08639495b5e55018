"""`sluicegate export --format status`: products and reviews with what only their status holds."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.errors import invalid
from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, Key, Resource

_KEPT_METADATA: Final = ("name", "namespace", "labels", "annotations", "generation", "uid")
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


async def exported_objects(namespace: str, product: Key | None) -> list[dict[str, Any]]:
    """Return DataProducts, then their reviews, without what another API server would set.

    Parameters
    ----------
    namespace : of the objects; empty for all namespaces.
    product : the only product to export, with its reviews; None for all.

    Raises
    ------
    InvalidInput
        There is none.
    KubeError
        The API server refuses.
    """
    async with kube_api() as api:
        if product is not None:
            products = [await api.get(DATA_PRODUCTS, product)]
            labels, namespace = f"{LABEL_PRODUCT}={product.name}", product.namespace
        else:
            products = await _listed(api, DATA_PRODUCTS, namespace)
            labels = ""
        reviews = await _listed(api, DATA_PRODUCT_REVIEWS, namespace, labels)
    if not products and not reviews:
        raise invalid("--namespace", f"{namespace or 'no namespace'} has no DataProduct")
    return [
        _portable(body, resource)
        for resource, bodies in ((DATA_PRODUCTS, products), (DATA_PRODUCT_REVIEWS, reviews))
        for body in bodies
    ]


async def _listed(
    api: KubeApi, resource: Resource, namespace: str, labels: str = ""
) -> list[dict[str, Any]]:
    pages = api.pages(resource, namespace=namespace, labels=labels)
    return [body async for page in pages for body in page.items]


def _portable(body: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
    """Return an object with its type, name, spec and status; keep uid and generation for the import."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": dict(_metadata(body["metadata"])),
        **{part: body[part] for part in ("spec", "status") if body.get(part)},
    }


def _metadata(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in _KEPT_METADATA:
        value = metadata.get(name)
        if name == "annotations" and value:
            value = {key: text for key, text in value.items() if key != _APPLIED}
        if value:
            yield name, value
