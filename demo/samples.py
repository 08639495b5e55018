"""The two sample products: where their teams keep them, and where they are on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from cluster.identity import CHECKOUT

BENTOS = CHECKOUT / "bentos"
GROUP = "/apis/sluicegate.dev/v1alpha1"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample product: its name (of its folder, too), its namespace, its path at the gateway."""

    name: str
    namespace: str
    path: str

    @property
    def url(self) -> str:
        """Where the API server has it."""
        return f"{GROUP}/namespaces/{self.namespace}/dataproducts/{self.name}"

    @property
    def secret(self) -> str:
        """Name of the Secret that its file refers to."""
        return f"{self.name}-feedback"

    def file(self) -> Object:
        """Return the product as its team keeps it in Git."""
        text = (BENTOS / self.name / "dataproduct.yaml").read_text()
        product: Object = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        return product


PRICING = Sample("pricing", "pricing", "/pricing")
RANKING = Sample("search-ranking", "catalog", "/search")
SAMPLES = (PRICING, RANKING)
