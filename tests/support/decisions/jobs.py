"""Jobs of a product as the operator's cache holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.reconcile.live.children import job_record

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import JobRecord


def job(name: str = "search-train", **fields: Any) -> JobRecord:
    """Return a Job of the product search; it runs, if no field says otherwise."""
    labels = {LABEL_PRODUCT: "search"}
    meta = {"namespace": "catalog", "name": name, "uid": "9", "labels": labels}
    record = job_record({"metadata": meta | {"resourceVersion": "1"}, "spec": {}})
    assert record is not None
    return replace(record, **fields)
