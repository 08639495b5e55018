"""Writes the status of a product, as this operator's, and takes the answer into the caches."""

from dataclasses import dataclass

from sluicegate.api.status import DataProductStatus
from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.reconcile.fleet.operator_overlap import OperatorOverlaps
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.rereading import reread_after_conflict
from sluicegate.runtime.cache import Caches


@dataclass(frozen=True, slots=True)
class StatusStore:
    """The status of products at the API server."""

    api: KubeApi
    caches: Caches
    overlaps: OperatorOverlaps

    async def write(self, record: ProductRecord, status: DataProductStatus) -> ProductRecord:
        """Write a status on top of the record's; return the record as written."""
        body = {
            "metadata": {"name": record.key.name, "namespace": record.key.namespace},
            "status": status.replace(written_by=self.overlaps.me).to_dict(),
        }
        caches = self.caches
        async with reread_after_conflict(self.api, caches, DATA_PRODUCTS, record.key):
            answer = await self.api.apply_status(
                DATA_PRODUCTS, body, resource_version=str(record.version)
            )
        caches.written(DATA_PRODUCTS, answer)
        self.overlaps.wrote(record.key)
        written_record = caches.products.get(record.key)
        return written_record if isinstance(written_record, ProductRecord) else record
