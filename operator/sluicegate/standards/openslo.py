"""SLOs of a product as documents of OpenSLO v1.

An SLO with an objective is an `SLO` with its indicator inline. One that has none (a gauge, or a maximum drop
below the baseline) has no target in OpenSLO's sense and is an `SLI`. What OpenSLO has no field for is kept in
annotations, by which `sluicegate.standards.openslo_import` restores the SLO as it was.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.names import GROUP
from sluicegate.slo.budget import WINDOW_HOURS
from sluicegate.standards.slo_queries import SloQueries
from sluicegate.stats.calendar import HOURS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.api.product import DataProduct
    from sluicegate.api.slos import Slo

API_VERSION: Final = "openslo/v1"
PROMETHEUS: Final = "Prometheus"
PRODUCT: Final = f"{GROUP}/product"
"""Annotation with NAMESPACE/NAME of the product."""
SLO: Final = f"{GROUP}/slo"
"""Annotation with the SLO as spec.slos has it, as JSON."""
INDICATOR: Final = f"{GROUP}/indicator-digest"
"""Annotation with the digest of the indicator that was exported: a later edit of a query is found by it."""
BUDGET_WINDOW: Final = f"{WINDOW_HOURS // HOURS_A_DAY}d"
"""The window of each error budget."""

Document = dict[str, Any]


def openslo_documents(product: DataProduct) -> Iterator[Document]:
    """Yield the product as a Service, and each of its SLOs as an SLO or an SLI."""
    yield _service_document(product)
    queries = SloQueries(product)
    for slo in product.spec.slos:
        yield _slo(product, slo, queries) if slo.objective else _sli_document(product, slo, queries)


def indicator_digest(spec: object) -> str:
    """Return the digest of an indicator's spec, whatever the order and layout of its file."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _service_document(product: DataProduct) -> Document:
    spec = product.spec
    purpose_text = spec.description.purpose if spec.description else None
    return {
        "apiVersion": API_VERSION,
        "kind": "Service",
        "metadata": {
            "name": product.metadata.name,
            **({"displayName": spec.display_name} if spec.display_name else {}),
            "annotations": {PRODUCT: "/".join(product.metadata.key)},
        },
        "spec": {"description": purpose_text[:_LONGEST_DESCRIPTION]} if purpose_text else {},
    }


def _slo(product: DataProduct, slo: Slo, queries: SloQueries) -> Document:
    assert slo.objective
    name = _name(product, slo)
    indicator = _indicator(slo, queries)
    return {
        "apiVersion": API_VERSION,
        "kind": "SLO",
        "metadata": _metadata_document(product, slo, indicator),
        "spec": {
            "service": product.metadata.name,
            "indicator": {"metadata": {"name": name}, "spec": indicator},
            "timeWindow": [{"duration": BUDGET_WINDOW, "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [{"target": float(slo.objective)}],
        },
    }


def _sli_document(product: DataProduct, slo: Slo, queries: SloQueries) -> Document:
    indicator = _indicator(slo, queries)
    return {
        "apiVersion": API_VERSION,
        "kind": "SLI",
        "metadata": _metadata_document(product, slo, indicator),
        "spec": indicator,
    }


def _metadata_document(product: DataProduct, slo: Slo, indicator: Document) -> Document:
    set_fields = slo.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {
        "name": _name(product, slo),
        "annotations": {
            PRODUCT: "/".join(product.metadata.key),
            SLO: json.dumps(set_fields, separators=(",", ":")),
            INDICATOR: indicator_digest(indicator),
        },
    }


def _name(product: DataProduct, slo: Slo) -> str:
    """Return a name that no SLO of another product of the namespace has, where 63 characters permit."""
    name = f"{product.metadata.name}-{slo.name}"
    return name if len(name) <= _LONGEST_NAME else f"{name[:_MAX_NAME_PREFIX]}-{_short_name(name)}"


_LONGEST_NAME: Final = 63
_LONGEST_DESCRIPTION: Final = 1050
_MAX_NAME_PREFIX: Final = 54


def _short_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _indicator(slo: Slo, queries: SloQueries) -> Document:
    if slo.indicator.gauge:
        return {"thresholdMetric": _metric(queries.gauge(slo.indicator.gauge.metric))}
    ratio = queries.ratio(slo)
    return {
        "ratioMetric": {
            "counter": False,  # events of a block
            "good": _metric(ratio.good),
            "total": _metric(ratio.total),
        }
    }


def _metric(query: str) -> Document:
    return {"metricSource": {"type": PROMETHEUS, "spec": {"query": query}}}
