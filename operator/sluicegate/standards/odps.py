"""A product by the Open Data Product Standard 1.1.0 of Bitol.

The API is the output port, products that it calls and `spec.inputs` are input ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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

    from sluicegate.api.product import DataProduct, DataProductSpec

API_VERSION: Final = "v1.1.0"


def odps_documents(product: DataProduct) -> Iterator[Document]:
    """Yield the product as one document."""
    spec = product.spec
    yield {
        "apiVersion": API_VERSION,
        "kind": "DataProduct",
        "id": product_id(product),
        "name": spec.display_name or product.metadata.name,
        "status": STATUS[spec.lifecycle],
        **({"deprecated": True} if spec.lifecycle.has_ended else {}),
        **without_empty(
            {
                "version": spec.version,
                "domain": spec.domain,
                "description": description(spec),
                "inputPorts": list(_input_ports(product)),
                "outputPorts": [_output_port(product)],
                "support": [
                    support_channel.to_dict()
                    for support_channel in spec.support
                    if support_channel.url
                ],
                "team": team(spec),
                "authoritativeDefinitions": definition_links(spec),
                "customProperties": _custom_properties(spec),
            }
        ),
    }


def _input_ports(product: DataProduct) -> Iterator[Document]:
    product_namespace = product.metadata.namespace
    for dependency in product.spec.depends_on:
        namespace = dependency.namespace or product_namespace
        yield {
            "name": f"{namespace}/{dependency.name}",
            "contractId": contract_id(namespace, dependency.name),
        }
    for data in product.spec.inputs:
        freshness_property = custom_properties({"freshnessSeconds": data.freshness_seconds})
        yield without_empty(
            {"name": data.name, "contractId": data.contract, "customProperties": freshness_property}
        )


def _output_port(product: DataProduct) -> Document:
    return without_empty(
        {
            "name": "api",
            "type": "api",
            "version": product.spec.version,
            "contractId": contract_id(*product.metadata.key),
            "deprecated": True if product.spec.lifecycle.has_ended else None,
        }
    )


def _custom_properties(spec: DataProductSpec) -> list[Document]:
    """Return the fields that the standard lacks; a support channel without a URL is one of them."""
    return custom_properties(
        {
            "priority": str(spec.priority) if "priority" in spec.model_fields_set else None,
            "markets": list(spec.markets),
            "businessGoals": [business_goal.to_dict() for business_goal in spec.business_goals],
            "journeys": [journey.to_dict() for journey in spec.journeys],
            "supportChannelsWithoutUrl": [
                support_channel.to_dict()
                for support_channel in spec.support
                if not support_channel.url
            ],
        }
    )
