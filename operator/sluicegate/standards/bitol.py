"""What Bitol's two standards share: the Open Data Product Standard and the Open Data Contract Standard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.product_info import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate.api.product import DataProduct, DataProductSpec

Document = dict[str, Any]
STATUS: Final[Mapping[Lifecycle, str]] = {
    Lifecycle.DRAFT: "proposed",
    Lifecycle.DEVELOPMENT: "draft",
    Lifecycle.PRODUCTION: "active",
    Lifecycle.DEPRECATED: "deprecated",
    Lifecycle.RETIRED: "retired",
}
"""The standards' words for the stages of a lifecycle."""


def product_id(product: DataProduct) -> str:
    """Return the identifier of a product: NAMESPACE/NAME."""
    return "/".join(product.metadata.key)


def contract_id(namespace: str, name: str) -> str:
    """Return the identifier of the data contract of a product's API."""
    return f"{namespace}/{name}/api"


def without_empty(fields: Mapping[str, Any]) -> Document:
    """Return the fields that have a value."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {})}


def team(spec: DataProductSpec) -> Document:
    """Return the team by the owner's name, with its members."""
    members = [member.to_dict() for member in spec.team.members] if spec.team else []
    return without_empty({"name": spec.owner, "members": members})


def description(spec: DataProductSpec) -> Document:
    """Return purpose, limitations and usage."""
    return spec.description.to_dict() if spec.description else {}


def definition_links(spec: DataProductSpec) -> list[Document]:
    """Return the links as authoritative definitions; the type is in camel case, as the standards have it."""
    return [
        without_empty(
            {
                "type": f"{link.type[:1].lower()}{link.type[1:]}",
                "url": link.url,
                "description": link.title,
            }
        )
        for link in spec.links
    ]


def custom_properties(values: Mapping[str, Any]) -> list[Document]:
    """Return the fields without a counterpart in the standard; a channel needs an address there."""
    return [{"property": key, "value": value} for key, value in without_empty(values).items()]
