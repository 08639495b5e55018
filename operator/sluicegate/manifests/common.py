"""Common parts of all children: metadata, labels, owner, and the hash that shows a change."""

import hashlib
import json
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct

Manifest = dict[str, Any]
"""An object for server-side apply, with only the fields that the operator owns."""

HTTP_PORT: Final = 3000
METRICS_PORT: Final = 3001
"""Port of metrics and probes; no Service and no route has it."""
_HASH_LENGTH: Final = 16


def labels(product: DataProduct, component: Component, version: str = "") -> dict[str, str]:
    """Return the labels of a child; `version` if it belongs to one version."""
    name = product.metadata.name
    common_labels = {
        names.LABEL_PRODUCT: name,
        names.LABEL_NAME: "bento",
        names.LABEL_INSTANCE: name,
        names.LABEL_PART_OF: name,
        names.LABEL_COMPONENT: str(component),
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }
    return common_labels | (
        {names.LABEL_VERSION: version, names.LABEL_APP_VERSION: version} if version else {}
    )


def metadata(
    product: DataProduct,
    name: str,
    labels: dict[str, str],
    annotations: dict[str, str] | None = None,
) -> Manifest:
    """Return the metadata of a child that is owned by the product and deleted with it.

    The owner reference has no blockOwnerDeletion: it would need a permission on the product's
    finalizers, and no deletion has to wait.
    """
    return without_empty(
        {
            "name": name,
            "namespace": product.metadata.namespace,
            "labels": labels,
            "annotations": annotations or {},
            "ownerReferences": [
                without_empty(
                    {
                        "apiVersion": names.API_VERSION,
                        "kind": names.KIND,
                        "name": product.metadata.name,
                        "uid": product.metadata.uid,
                        "controller": True,
                    }
                )
            ],
        }
    )


def pods_of(product: DataProduct, revision: str | None = None) -> dict[str, str]:
    """Return the selector of a product's serving pods, of one version or of all of them."""
    selector_labels = {
        names.LABEL_PRODUCT: product.metadata.name,
        names.LABEL_COMPONENT: str(Component.SERVER),
    }
    return selector_labels | ({names.LABEL_REVISION: revision} if revision else {})


def with_inputs_hash(manifest: Manifest) -> Manifest:
    """Return the manifest with its own hash: a field that is removed later shows as a change."""
    body = manifest["metadata"]
    annotations = body.get("annotations", {}) | {names.ANNOTATION_INPUTS_HASH: digest(manifest)}
    return manifest | {"metadata": body | {"annotations": annotations}}


def digest(value: object) -> str:
    """Return a short hash of JSON data, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def without_empty(fields: Manifest) -> Manifest:
    """Remove empty values: None, and empty strings, lists and maps."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {}, ())}
