"""Named shocks: changes of the market after a model was trained.

A shock is a set of shifts in the market's equations that grows from nothing to its full size over a
few days. Several add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Effects:
    """Shifts at full size: prices in log, taste in utility, shares as parts of the market."""

    reason: str
    ramp_days: int
    fuel_price: Mapping[str, float] = field(default_factory=dict)
    fuel_taste: Mapping[str, float] = field(default_factory=dict)
    brand_share: Mapping[str, float] = field(default_factory=dict)
    brand_price: Mapping[str, float] = field(default_factory=dict)
    brand_taste: Mapping[str, float] = field(default_factory=dict)
    country_share: Mapping[str, float] = field(default_factory=dict)
    country_price: Mapping[str, float] = field(default_factory=dict)


SHOCKS: Final[Mapping[str, Effects]] = MappingProxyType(
    {
        "DieselPricesFall": Effects(
            reason="Cities announce diesel bans: a diesel sells for a tenth less, a hybrid for more.",
            ramp_days=7,
            fuel_price={"diesel": -0.12, "hybrid": 0.04},
            fuel_taste={"diesel": -0.6},
        ),
        "DieselFallsFromFavour": Effects(
            reason="Visitors turn from diesel to other fuels before any price has moved.",
            ramp_days=7,
            fuel_taste={"diesel": -1.4, "hybrid": 0.5, "electric": 0.7},
        ),
        "NewBrandsArrive": Effects(
            reason="Two brands enter at prices the list price does not explain, and are sought.",
            ramp_days=7,
            brand_share={"MG": 0.12, "BYD": 0.12},
            brand_price={"MG": -0.42, "BYD": -0.42},
            brand_taste={"MG": 2.2, "BYD": 2.2},
        ),
        "NewCountryOpens": Effects(
            reason="Portugal opens: taxes make the same car dearer, and its visitors shun diesel.",
            ramp_days=7,
            country_share={"PT": 0.35},
        ),
        "AustriaTaxesCars": Effects(
            reason="Austria alone taxes the owners of cars: there the same car sells for a quarter less.",
            ramp_days=7,
            country_price={"AT": -0.28},
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Shock:
    """A shock with the day on which it begins."""

    name: str
    start: date

    @property
    def effects(self) -> Effects:
        """Shifts of the shock at full size."""
        return SHOCKS[self.name]

    def size(self, day: date) -> float:
        """Return the part of the full size on a day: 0 before the start, 1 after `ramp_days`."""
        elapsed = (day - self.start).days + 1
        return min(max(elapsed / self.effects.ramp_days, 0.0), 1.0)
