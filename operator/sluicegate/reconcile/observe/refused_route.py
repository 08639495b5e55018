"""Whether a product may have the route of its spec, and what is observed of one that may not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from sluicegate.api.product import DataProduct
from sluicegate.kube.errors import Conflict, Transient, WriteFenced
from sluicegate.kube.resources import Key
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.gateway_reader import Gateways
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.routes.arbitration import Claims, RouteRefusal
from sluicegate.reconcile.routes.claims import Gateway
from sluicegate.reconcile.routes.kept_route import with_kept_route


@contextmanager
def claiming(
    claims: Claims, record: ProductRecord, route: Callable[[], RouteRecord | None]
) -> Iterator[None]:
    """One reconcile of a product: its reservation becomes live, or is released in the end.

    Parameters
    ----------
    route : reads the product's own HTTPRoute.
    """
    key = record.key
    claims.record(record, route())
    try:
        yield
    except (Conflict, Transient, WriteFenced):
        raise  # its route may have been written, or will be at once
    except Exception:
        claims.record(record, route())  # it may have been written before what failed
        claims.withdraw(key)
        raise
    claims.record(record, live := route())
    if live is None and claims.refusal(key) is None:
        claims.withdraw(key)
    claims.release(key)


async def settled(
    claims: Claims, gateways: Gateways, key: Key, *, contends: bool, now: int
) -> RouteRefusal | None:
    """Why a product can't have the route of its spec, given what listeners admit; None if it can.

    A Gateway is read only where two claims seem to meet at it.
    """
    asked = set[Gateway]()
    while (refusal := claims.settle(key, contends=contends, now=now)) is not None:
        unknown = {one.gateway for one in refusal.claim.parents if one.is_gateway} - asked
        if not unknown:
            return refusal
        asked |= unknown
        for one in sorted(unknown):
            claims.learn(one, await gateways.listeners(one[2]))
    return None


def kept_product(
    claims: Claims, product: DataProduct, route: RouteRecord | None, now: int
) -> DataProduct | None:
    """A refused product with the route that it has; None if that doesn't serve."""
    parents = claims.serves(route.key, now) if route is not None else ()
    return with_kept_route(product, route, parents) if route is not None and parents else None


def without_split(observation: Observation) -> Observation:
    """A refused product without a route has no split to wait for: a rollback is complete."""
    return replace(observation, split=None) if observation.route is None else observation


def shadowed(observation: Observation, refusal: RouteRefusal | None) -> Observation:
    """The observation with why the route of the spec isn't written."""
    if refusal is None:
        return observation
    return replace(observation, conflict=refusal.message, shadowed=True)
