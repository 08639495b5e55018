"""Where a request names the market that it is about."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, HeaderName, Rule
from sluicegate.api.patterns import described
from sluicegate.api.product_info import Market

OTHER_MARKET = "other"
"""What is counted where a request names none of the product's markets."""
MarketValue = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[-._a-z0-9]+$",
            "must be the value of a market: write lower-case letters, digits, -, _ and ., e.g. fr",
        ),
        max_length=128,
    ),
]


class MarketPlace(StrEnum):
    """The part of a request that names its market."""

    HEADER = "Header"
    HOST = "Host"
    PATH = "Path"


class MarketSource(ApiModel):
    """Part of a request that names its market; `other` counts those not in spec.markets."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.from == 'Header' || !has(self.name)",
            holds=lambda self: self.place is MarketPlace.HEADER or self.name is None,
            message="name is of a header: leave it out where from is Host or Path",
            field="name",
        ),
    )

    place: Annotated[MarketPlace, Field(alias="from")] = MarketPlace.HEADER
    """Header; Host (its first or last label, or the whole of it in `values`); Path (its first part,
    as the pod sees it)."""
    name: HeaderName | None = None
    """Name of the header; x-market when left out."""
    values: Annotated[dict[MarketValue, Market], Field(max_length=64)] = Field(default_factory=dict)
    """Other names of markets, in lower case, e.g. {uk: GB} or {cars.example: FR}."""

    @property
    def header(self) -> str:
        """Return the name of the header; empty without one."""
        return (self.name or "x-market").lower() if self.place is MarketPlace.HEADER else ""
