"""The promises of a product's API by the Open Data Contract Standard 3.2.0 of Bitol.

The data contract of the output port of `sluicegate.standards.odps`; SLOs are its service levels.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from sluicegate.api.slos import GaugeDirection
from sluicegate.errors import invalid
from sluicegate.standards.bitol import (
    STATUS,
    Document,
    contract_id,
    custom_properties,
    definition_links,
    description,
    product_id,
    team,
    without_empty,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.api.product import DataProduct
    from sluicegate.api.slos import Gauge, Slo

API_VERSION: Final = "v3.2.0"
_PERCENT: Final = "%"
_SLA_DRIVER: Final = "operational"
_SHARES: Final = {
    "availability": "requests that are answered, and not with 5xx",
    "outcomes": "predictions with a known outcome that are correct",
    "events": "events that are good",
    "counters": "events that are good",
    "promql": "events that are good",
}
"""What the objective of an indicator is a share of, in words."""


def odcs_documents(product: DataProduct) -> Iterator[Document]:
    """Yield the contract of the product's API. Raises InvalidInput without spec.version."""
    spec = product.spec
    if spec.version is None:
        name = product_id(product)
        raise invalid(
            f"{name}: spec.version", "a data contract needs a version: set it, e.g. 1.0.0"
        )
    hostnames = list(spec.route.hostnames) if spec.route else []
    yield {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": contract_id(*product.metadata.key),
        "name": spec.display_name or product.metadata.name,
        "version": spec.version,
        "status": STATUS[spec.lifecycle],
        **without_empty(
            {
                "domain": spec.domain,
                "description": description(spec),
                "team": team(spec),
                "support": [support_channel.to_dict() for support_channel in spec.support],
                "slaProperties": [
                    level_property for slo in spec.slos for level_property in _level_properties(slo)
                ],
                "authoritativeDefinitions": definition_links(spec),
                "customProperties": custom_properties(
                    {
                        "dataProductId": product_id(product),
                        "hostnames": hostnames,
                        "markets": list(spec.markets),
                    }
                ),
            }
        ),
    }


def _level_properties(slo: Slo) -> Iterator[Document]:
    """Yield the level that always holds, and the drop below what was accepted."""
    if slo.indicator.gauge:
        yield from _gauge_property(slo, slo.indicator.gauge)
        return
    if slo.objective:
        yield _objective(slo, slo.objective)
    if slo.max_drop:
        yield {
            "id": f"{slo.name}-max-drop",
            "property": f"{slo.name}MaxDrop",
            "value": _percent_of(slo.max_drop),
            "unit": _PERCENT,
            "driver": _SLA_DRIVER,
            "description": "largest drop of the share of good events below that with which the version"
            " was accepted",
        }


def _objective(slo: Slo, objective: str) -> Document:
    if slo.indicator.latency:
        milliseconds = slo.indicator.latency.threshold_milliseconds
        return {
            "id": slo.name,
            "property": "latency",
            "value": milliseconds,
            "unit": "ms",
            "driver": _SLA_DRIVER,
            "description": f"{_percent_of(objective)} % of requests that succeed take at most {milliseconds} ms",
            "customProperties": custom_properties({"objective": objective}),
        }
    kind = str(slo.indicator.kind)
    return {
        "id": slo.name,
        "property": kind if kind == "availability" else slo.name,
        "value": _percent_of(objective),
        "unit": _PERCENT,
        "driver": _SLA_DRIVER,
        "description": f"least share of {_SHARES[kind]}",
    }


def _gauge_property(slo: Slo, gauge: Gauge) -> Iterator[Document]:
    if gauge.bound is not None:
        is_higher_better = gauge.direction is GaugeDirection.HIGHER_IS_BETTER
        yield {
            "id": slo.name,
            "property": slo.name,
            "value": float(gauge.bound),
            "driver": _SLA_DRIVER,
            "description": f"{'least' if is_higher_better else 'largest'} mean of {gauge.metric} in a block",
        }


def _percent_of(share_text: str) -> float:
    percent = Decimal(share_text) * 100
    return int(percent) if percent == int(percent) else float(percent)
