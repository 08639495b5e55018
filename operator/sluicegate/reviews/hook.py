"""Lets the ledgers know of each product as it is after each reconcile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluicegate.reviews.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate.api.product import DataProduct
    from sluicegate.prometheus.timing import Timing
    from sluicegate.reviews.rounds import Reviews
    from sluicegate.runtime.interfaces import Key, Reconciler, Result


@dataclass(frozen=True, slots=True)
class ReviewedReconciler:
    """A reconciler whose products are known to their ledgers.

    Attributes
    ----------
    product : the product of this name as it is stored; None when it is gone.
    """

    reconciler: Reconciler
    reviews: Reviews
    product: Callable[[Key], DataProduct | None]
    timing: Timing

    async def reconcile(self, key: Key) -> Result:
        """Reconcile, then let the ledger know; of a spec that is refused it keeps what it knew."""
        result = await self.reconciler.reconcile(key)
        product = self.product(key)
        self.reviews.know(key, None if product is None else subject_of(product, self.timing))
        return result
