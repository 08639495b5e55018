"""What a replica reads of all products as it begins to lead, before any of them may train.

The budget and common causes include what began before. State from an earlier term of this replica
may be weeks old.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from sluicegate.kube.resources import Key
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot, snapshot_before
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.pass_reader import PassReader

READ_AT_ONCE: Final = 100
"""Products whose status is read in one turn of the event loop: some milliseconds."""


@dataclass(frozen=True, slots=True)
class TermStart:
    """Reads the state of all products at the start of a term."""

    reader: PassReader

    async def begin_term(self) -> None:
        """Read the state of all products."""
        observer, claims = self.reader.observer, self.reader.routes.claims
        self.reader.overlaps.begin_term()
        observer.attendance.begin_term()
        products, snapshots = observer.caches.products, dict[Key, ProductSnapshot]()
        for key in claims:
            if products.get(key) is None:
                claims.forget(key)
        for number, key in enumerate(tuple(products)):
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # each is unpacked; meanwhile others have their turn
            record = products.get(key)
            if isinstance(record, ProductRecord):
                claims.record(record, observer.route(record))
                self.reader.specs.lengths.record(key, record.block_seconds, record.created)
                snapshots[key] = snapshot_before(
                    record,
                    observer.jobs(record),
                    now=int(observer.attendance.clocks.wall()),
                    max_training_seconds=observer.max_training_seconds,
                )
        observer.fleet.renew(snapshots)
