"""Whether an operator still renews the Lease that `status.writtenBy` of its products names. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LATE: Final = 3
"""Durations of a Lease after which it counts as abandoned."""
DURATION_SECONDS: Final = 15
"""Duration of a Lease that states none, in seconds."""
NEVER: Final = "1970-01-01T00:00:00Z"

LeaseKey = tuple[str, str]
"""Namespace and name of a Lease."""


@dataclass(frozen=True, slots=True)
class AbandonedLease:
    """A Lease that no operator renews; `renewed` is None if there is no such Lease any more."""

    key: LeaseKey
    renewed: datetime | None

    @property
    def operator(self) -> str:
        """Return the operator, by its Lease."""
        return "operator " + "/".join(self.key)

    @property
    def problem(self) -> str:
        """Return the problem of the Lease, as a sentence whose subject is the operator."""
        if self.renewed is None:
            return "has no Lease any more"
        return f"has not renewed its Lease since {self.renewed:%Y-%m-%d %H:%M:%S} UTC"


def lease_of(product: Mapping[str, Any]) -> LeaseKey | None:
    """Return the Lease of the operator that wrote the status of a product; None before its first write."""
    writer = (product.get("status") or {}).get("writtenBy")
    return (str(writer["namespace"]), str(writer["lease"])) if writer else None


def leases_of(products: Iterable[Mapping[str, Any]]) -> list[LeaseKey]:
    """Return the Leases of the operators of some products, each once, by name."""
    return sorted({key for product in products if (key := lease_of(product)) is not None})


def abandoned(key: LeaseKey, lease: Mapping[str, Any], now: datetime) -> AbandonedLease | None:
    """Return a Lease that was not renewed for `LATE` of its durations; None for one that is.

    Parameters
    ----------
    now : the time by the clock of the cluster, as renewals are compared with it.
    """
    spec = lease.get("spec") or {}
    renewed = datetime.fromisoformat(spec.get("renewTime") or NEVER)
    limit = LATE * spec.get("leaseDurationSeconds", DURATION_SECONDS)
    return AbandonedLease(key, renewed) if (now - renewed).total_seconds() > limit else None
