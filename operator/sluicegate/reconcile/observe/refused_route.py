"""Whether a product may have the route of its spec, and what is observed of one that may not.

A product contends for its route once a version of it serves: before the plan as it is observed, and
after the plan for a first version that has just become ready.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sluicegate.api.product import DataProduct
from sluicegate.kube.errors import Conflict, Transient, WriteFenced
from sluicegate.kube.resources import Key
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.live.product import Pass, ProductRecord
from sluicegate.reconcile.observe.gateway_reader import Gateways
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.routes.arbitration import Claims, RouteRefusal
from sluicegate.reconcile.routes.claims import Gateway
from sluicegate.reconcile.routes.kept_route import with_kept_route
from sluicegate.runtime.cache import Cache
from sluicegate.runtime.interfaces import Result


@dataclass(frozen=True, slots=True)
class RouteArbiter:
    """Decides in each pass which route a product may have.

    Attributes
    ----------
    claims : which product has which route. routes : the HTTPRoutes, as they are cached.
    route : reads the product's own one.
    """

    claims: Claims
    gateways: Gateways
    routes: Cache
    route: Callable[[ProductRecord], RouteRecord | None]

    async def claim(self, record: ProductRecord, next_step: Pass) -> Result:
        """Hold the route claims of a product during a pass (an interceptor).

        In the end its reservation is live, or released.
        """
        key, claims = record.key, self.claims
        claims.record(record, self.route(record))
        try:
            result = await next_step(record)
        except (Conflict, Transient, WriteFenced):
            raise  # its route may have been written, or will be at once
        except Exception:
            claims.record(record, self.route(record))  # written, maybe, before what failed
            claims.withdraw(key)
            raise
        claims.record(record, live := self.route(record))
        if live is None and claims.refusal(key) is None:
            claims.withdraw(key)
        claims.release(key)
        return result

    def forget(self, key: Key) -> None:
        """Drop the claims of a deleted product; its HTTPRoute may still exist."""
        if self.routes.get(key) is not None:
            self.claims.outlive(key)
        else:
            self.claims.forget(key)

    def with_live_route(
        self, record: ProductRecord, product: DataProduct, now: int
    ) -> DataProduct | None:
        """Return a refused product with its live route; None if the live route gets no requests."""
        route = self.route(record)
        parents = self.claims.serves(record.key, now) if route is not None else ()
        return with_kept_route(product, route, parents) if route is not None and parents else None

    async def admitted(self, observation: Observation, *, contends_for_route: bool) -> Observation:
        """Return the observation with the refusal that follows from a plan.

        Parameters
        ----------
        contends_for_route : the plan has the operator write the route of the spec now.
        """
        if observation.route_refusal is not None or not contends_for_route:
            return observation
        key = Key(*observation.product.metadata.key)
        return with_shadowed_route(
            observation, await self.refusal(key, contends_for_route=True, now=observation.now)
        )

    async def refusal(self, key: Key, *, contends_for_route: bool, now: int) -> RouteRefusal | None:
        """Return why a product's route is refused; None if it isn't.

        A Gateway is read, for the hosts that its listeners admit, only where two claims may overlap at it.
        """
        read_gateways = set[Gateway]()
        while (
            refusal := self.claims.settle(key, contends_for_route=contends_for_route, now=now)
        ) is not None:
            unread_kinds = {
                parent.gateway for parent in refusal.claim.parents if parent.is_gateway
            } - read_gateways
            if not unread_kinds:
                return refusal
            read_gateways |= unread_kinds
            for gateway in sorted(unread_kinds):
                self.claims.learn(gateway, await self.gateways.listeners(gateway[2]))
        return None


def with_shadowed_route(observation: Observation, refusal: RouteRefusal | None) -> Observation:
    """Return the observation with the reason for which the spec's route isn't written."""
    if refusal is None:
        return observation
    return replace(observation, conflict=refusal.message, shadowed=True, route_refusal=refusal)
