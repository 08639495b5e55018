"""Leases of the operators that wrote the products: without a renewal, what the page shows is old."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError, NotFound
from sluicegate.kube.resources import LEASES, Key
from sluicegate.views.operator_lease import AbandonedLease, LeaseKey, abandoned
from sluicegate.web.store import Store

logger = logging.getLogger(__name__)

READ_SECONDS: Final = 10.0
"""Seconds between two reads of a Lease, which an operator renews each 2 s."""


class OperatorLeases:
    """Reader of the Leases that products name.

    A Lease is abandoned if its last renewal is old and two reads found the same one: the clock of the
    operator may differ from that of the page. A Lease that can't be read is not known to be abandoned.
    """

    def __init__(self, api: KubeApi, store: Store) -> None:
        self._api = api
        self._store = store
        self._renewals: dict[LeaseKey, str] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(READ_SECONDS)

    async def read(self) -> None:
        """Read each Lease once, and store which are abandoned."""
        keys = self._store.products.operators()
        leases = [await self._abandoned(key) for key in sorted(keys)]
        self._store.set_abandoned_leases({lease.key: lease for lease in leases if lease})

    async def _abandoned(self, key: LeaseKey) -> AbandonedLease | None:
        try:
            lease = await self._api.get(LEASES, Key(*key))
        except NotFound:
            return AbandonedLease(key, None)
        except KubeError as error:
            logger.debug("lease %s/%s: %s", *key, error)
            self._renewals.pop(key, None)
            return None
        renewal = str((lease.get("spec") or {}).get("renewTime", ""))
        is_unchanged = self._renewals.get(key) == renewal
        self._renewals[key] = renewal
        return (
            abandoned(key, lease, datetime.fromtimestamp(self._store.clock(), UTC))
            if is_unchanged
            else None
        )
