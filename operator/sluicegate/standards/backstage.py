"""A product as entities of Backstage's catalogue: a Component of type service, and its API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.api.product_info import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sluicegate.api.product import DataProduct

API_VERSION: Final = "backstage.io/v1alpha1"
LIFECYCLE: Final[Mapping[Lifecycle, str]] = {
    Lifecycle.DRAFT: "experimental",
    Lifecycle.DEVELOPMENT: "experimental",
    Lifecycle.PRODUCTION: "production",
    Lifecycle.DEPRECATED: "deprecated",
    Lifecycle.RETIRED: "deprecated",
}
"""Backstage's words for the stages of a lifecycle."""
_OPENAPI: Final = "3.1.0"
Document = dict[str, Any]


def backstage(product: DataProduct, openapi: str = "") -> Iterator[Document]:
    """Yield the Component and the API.

    Parameters
    ----------
    openapi : the document of the API; without one, the definition has its title and version alone.
    """
    yield _component(product)
    yield _api(product, openapi or _definition(product))


def _component(product: DataProduct) -> Document:
    spec, own_namespace = product.spec, product.metadata.namespace
    callees = [f"{one.namespace or own_namespace}/{one.name}" for one in spec.depends_on]
    return {
        "apiVersion": API_VERSION,
        "kind": "Component",
        "metadata": _metadata(product),
        "spec": {
            "type": "service",
            "lifecycle": LIFECYCLE[spec.lifecycle],
            "owner": spec.owner,
            "providesApis": [f"{own_namespace}/{product.metadata.name}"],
            **({"consumesApis": callees} if callees else {}),
            **({"dependsOn": [f"component:{one}" for one in callees]} if callees else {}),
        },
    }


def _api(product: DataProduct, definition: str) -> Document:
    return {
        "apiVersion": API_VERSION,
        "kind": "API",
        "metadata": _metadata(product),
        "spec": {
            "type": "openapi",
            "lifecycle": LIFECYCLE[product.spec.lifecycle],
            "owner": product.spec.owner,
            "definition": definition,
        },
    }


def _metadata(product: DataProduct) -> Document:
    spec, metadata = product.spec, product.metadata
    links = [
        {"url": link.url, "type": link.type, **({"title": link.title} if link.title else {})}
        for link in spec.links
    ]
    purpose = _purpose(product)
    return {
        "name": metadata.name,
        "namespace": metadata.namespace,
        **({"title": spec.display_name} if spec.display_name else {}),
        **({"description": purpose} if purpose else {}),
        "annotations": {
            "backstage.io/kubernetes-namespace": metadata.namespace,
            "backstage.io/kubernetes-label-selector": f"{LABEL_PRODUCT}={metadata.name}",
        },
        **({"links": links} if links else {}),
    }


def _purpose(product: DataProduct) -> str:
    description = product.spec.description
    return " ".join((description.purpose or "").split()) if description else ""


def _definition(product: DataProduct) -> str:
    """Return a minimal OpenAPI document; only the bento has the operations."""
    purpose = _purpose(product)
    info = {
        "title": product.spec.display_name or product.metadata.name,
        "version": product.spec.version or product.spec.model.bento.version,
        **({"description": purpose} if purpose else {}),
    }
    return json.dumps({"openapi": _OPENAPI, "info": info, "paths": {}}, indent=2) + "\n"
