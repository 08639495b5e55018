"""Are the Gateways of a route in service? Read while that matters, each at most once a moment.

Gateways belong to others, are in other namespaces, and all products share a few. So they aren't
watched: they are read while a route waits to be verified, and where requests have stopped. A Gateway
controller leaves the status of a route as it is when the Gateway is deleted.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.versions import Candidate, SplitLevel
from sluicegate.conditions import is_true
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Forbidden, NotFound
from sluicegate.kube.resources import GATEWAYS, Key
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.routes.claims import Listener
from sluicegate.reconcile.routes.gateway_state import ABSENT, GatewayState, gateway_state
from sluicegate.reconcile.traffic.split_verification import is_taken

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 4.0
"""How long what was read of a Gateway is believed."""

APPLIED_SECONDS: Final = 30
"""After which a Gateway that doesn't take a route is asked whether it exists."""


def needs_gateway_check(
    product: DataProduct, route: RouteRecord | None, *, silent: bool, now: int
) -> bool:
    """Return whether the Gateways must be read: the route is accepted, but not verified as in service.

    Or no version is stable yet: a missing Gateway is reported before a model is loaded. Or a Gateway
    doesn't take the route: a deleted one is named, and a rollout that ends doesn't wait for it. Or
    requests have stopped, which is what a deleted Gateway does to a product that serves.

    Parameters
    ----------
    silent : whether the stable version had requests, and none in its newest block. now : in seconds.
    """
    spec, status = product.spec.route, product.status
    if spec is not None and status.stable is None:
        return True
    if spec is None or route is None:
        return False
    if not is_taken(route, spec.parent_refs):
        return status.candidate is None or _awaits_gateway(status.candidate, now)
    is_verified = (
        status.traffic is not None and status.traffic.verification is not SplitLevel.WRITTEN
    )
    return silent or not (is_verified and is_true(status.conditions, ConditionType.READY))


def _awaits_gateway(candidate: Candidate, now: int) -> bool:
    """Return whether enough time has passed since a share was decided for a Gateway to have applied it."""
    if not candidate.shares:
        return False
    decided_at = max(candidate.shares[-1].start_time, candidate.wait_start_time or 0)
    return now - decided_at >= APPLIED_SECONDS


@dataclass(frozen=True, slots=True)
class Gateways:
    """Reads Gateways, with a cache of seconds."""

    api: KubeApi
    clock: Callable[[], float] = time.monotonic
    _known: dict[Key, tuple[float, GatewayState | None]] = field(default_factory=dict)
    _reading: dict[Key, asyncio.Lock] = field(default_factory=dict)

    async def of(
        self, product: DataProduct, route: RouteRecord | None, *, silent: bool, now: int
    ) -> Mapping[Key, GatewayState]:
        """Return the states of a route's Gateways, without those that can't be or needn't be read.

        Parameters are those of `needs_gateway_check`.
        """
        spec = product.spec.route
        if spec is None or not needs_gateway_check(product, route, silent=silent, now=now):
            return {}
        keys = {
            Key(parent_ref.namespace or product.metadata.namespace, parent_ref.name)
            for parent_ref in spec.parent_refs
        }
        states = {key: await self._state(key) for key in sorted(keys)}
        return {key: state for key, state in states.items() if state is not None}

    async def listeners(self, key: Key) -> tuple[Listener, ...]:
        """Return the listeners of a Gateway; empty if it doesn't exist or can't be read."""
        state = await self._state(key)
        return () if state is None else state.listeners

    async def _state(self, key: Key) -> GatewayState | None:
        # All workers ask for the same few: one reads, the others take what it has read.
        async with self._reading.setdefault(key, asyncio.Lock()):
            read_at, state = self._known.get(key, (float("-inf"), None))
            if self.clock() - read_at >= FRESH_SECONDS:
                state = await self._read(key)
                self._known[key] = (self.clock(), state)
            return state

    async def _read(self, key: Key) -> GatewayState | None:
        """Return a Gateway's state; None without permission, so that the route's own status must suffice."""
        try:
            return gateway_state(await self.api.get(GATEWAYS, key))
        except NotFound:
            return ABSENT
        except Forbidden:
            logger.debug("Gateway %s can't be read: the status of the route is used instead", key)
            return None
