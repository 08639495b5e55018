"""Measurements that a standby keeps current, so that it can lead at once.

Only the leader reconciles, which sets what is measured. Without measurements of the standby, a
new leader would read the past of all products first, and decide on none of them until then.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from sluicegate.api.errors import InvalidProduct
from sluicegate.kube.resources import Key
from sluicegate.measurement.store import Measurements
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.runtime.cache import Cache
from sluicegate.runtime.clock import Clock

REQUEUE_SECONDS: Final = 5.0
"""Interval of reads of the cache; far shorter than a block, so that no block is missed."""
PRODUCTS_PER_TURN: Final = 10
"""Parsed before others get a turn on the event loop: a millisecond or two."""


class Standby:
    """Keeps the targets of measurements current on a replica that isn't the leader."""

    def __init__(
        self,
        products: Cache,
        measurements: Measurements,
        is_leader: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._products = products
        self._measurements = measurements
        self._leads = is_leader
        self._wall = clock
        self._seen_versions: dict[Key, int] = {}
        """The version of each record that was parsed."""

    async def run(self) -> None:
        """Update the targets in a loop."""
        while True:
            await self.update_targets()
            await asyncio.sleep(REQUEUE_SECONDS)

    async def update_targets(self) -> None:
        """Update the measurement targets of changed products on a standby replica."""
        parsed = 0
        for key in {*self._measurements.targets, *self._seen_versions, *self._products}:
            if self._leads():
                self._seen_versions.clear()
                return
            if self._take_in(key):
                parsed += 1
                if parsed % PRODUCTS_PER_TURN == 0:
                    await asyncio.sleep(0)

    def _take_in(self, key: Key) -> bool:
        """Update the measurement needs of a product; return whether its record had to be parsed."""
        record = self._products.get(key)
        if not isinstance(record, ProductRecord) or record.deleting:
            self._seen_versions.pop(key, None)
            self._measurements.set_target(key, None)
            return False
        if self._seen_versions.get(key) == record.version:
            return False
        self._seen_versions[key] = record.version
        try:
            product = record.parse()
        except InvalidProduct:
            return True  # what it wanted before holds: so it does on the leader
        self._measurements.follow(product, self._wall())
        return True
