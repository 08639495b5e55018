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
LIFECYCLE_BY_PHASE: Final[Mapping[Lifecycle, str]] = {
    Lifecycle.DRAFT: "experimental",
    Lifecycle.DEVELOPMENT: "experimental",
    Lifecycle.PRODUCTION: "production",
    Lifecycle.DEPRECATED: "deprecated",
    Lifecycle.RETIRED: "deprecated",
}
"""Backstage's words for the stages of a lifecycle."""
_OPENAPI: Final = "3.1.0"
Document = dict[str, Any]


def backstage_documents(product: DataProduct, openapi_text: str = "") -> Iterator[Document]:
    """Yield the Component and the API.

    Parameters
    ----------
    openapi : the document of the API; without one, the definition has its title and version alone.
    """
    yield _component_document(product)
    yield _api(product, openapi_text or _api_document(product))


def _component_document(product: DataProduct) -> Document:
    spec, product_namespace = product.spec, product.metadata.namespace
    callees = [
        f"{dependency.namespace or product_namespace}/{dependency.name}"
        for dependency in spec.depends_on
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": "Component",
        "metadata": _metadata_document(product),
        "spec": {
            "type": "service",
            "lifecycle": LIFECYCLE_BY_PHASE[spec.lifecycle],
            "owner": spec.owner,
            "providesApis": [f"{product_namespace}/{product.metadata.name}"],
            **({"consumesApis": callees} if callees else {}),
            **(
                {"dependsOn": [f"component:{dependency}" for dependency in callees]}
                if callees
                else {}
            ),
        },
    }


def _api(product: DataProduct, definition: str) -> Document:
    return {
        "apiVersion": API_VERSION,
        "kind": "API",
        "metadata": _metadata_document(product),
        "spec": {
            "type": "openapi",
            "lifecycle": LIFECYCLE_BY_PHASE[product.spec.lifecycle],
            "owner": product.spec.owner,
            "definition": definition,
        },
    }


def _metadata_document(product: DataProduct) -> Document:
    spec, metadata = product.spec, product.metadata
    links = [
        {"url": link.url, "type": link.type, **({"title": link.title} if link.title else {})}
        for link in spec.links
    ]
    purpose_text = _purpose_text(product)
    return {
        "name": metadata.name,
        "namespace": metadata.namespace,
        **({"title": spec.display_name} if spec.display_name else {}),
        **({"description": purpose_text} if purpose_text else {}),
        "annotations": {
            "backstage.io/kubernetes-namespace": metadata.namespace,
            "backstage.io/kubernetes-label-selector": f"{LABEL_PRODUCT}={metadata.name}",
        },
        **({"links": links} if links else {}),
    }


def _purpose_text(product: DataProduct) -> str:
    description = product.spec.description
    return " ".join((description.purpose or "").split()) if description else ""


def _api_document(product: DataProduct) -> str:
    """Return a minimal OpenAPI document; only the bento has the operations."""
    purpose_text = _purpose_text(product)
    info = {
        "title": product.spec.display_name or product.metadata.name,
        "version": product.spec.version or product.spec.model.bento.version,
        **({"description": purpose_text} if purpose_text else {}),
    }
    return json.dumps({"openapi": _OPENAPI, "info": info, "paths": {}}, indent=2) + "\n"
