"""The file of a product that the sample bento fits, with what a test changes of it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

PRODUCT: dict[str, Any] = {
    "apiVersion": "sluicegate.dev/v1alpha1",
    "kind": "DataProduct",
    "metadata": {"name": "pricing", "namespace": "shop"},
    "spec": {
        "owner": "group:default/pricing",
        "model": {
            "bento": {
                "image": "registry.example/pricing@sha256:" + "a" * 64,
                "version": "v1",
                "service": "Pricing",
            }
        },
        "slos": [
            {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.9"},
        ],
        "serving": {"feedback": {"secretRef": {"name": "keys"}}},
        "retraining": {"command": ["python", "-m", "train"], "output": "registry.example/pricing"},
    },
}


def a_product(folder: Path, **changes: object) -> Path:
    """Return product.yaml; `changes` by path: model__bento__version="v2"."""
    document = deepcopy(PRODUCT)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = document["spec"]
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    file = folder / "product.yaml"
    file.write_text(yaml.safe_dump(document))
    return file
