"""The route that a product keeps while its desired one is refused.

So the weights of a rollout in progress still change, above all to 0 in a rollback, and the route claims
no further requests.
"""

import json
import logging
from collections.abc import Collection

from pydantic import ValidationError

from sluicegate.api.product import DataProduct
from sluicegate.api.route import Route
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.routes.claim_reading import parent_of
from sluicegate.reconcile.routes.claims import Parent

logger = logging.getLogger(__name__)

_API_FIELDS: frozenset[str] = frozenset({"namespace", "name", "sectionName", "port"})


def with_kept_route(
    product: DataProduct, route: RouteRecord, parents: Collection[Parent]
) -> DataProduct | None:
    """Return the product with its live route; None if the spec can't express that route.

    Parameters
    ----------
    parents : those that are kept; the others don't take the route.
    """
    spec, namespace = route.spec, route.key.namespace
    references = [
        {name: value for name, value in reference.items() if name in _API_FIELDS}
        for reference in spec["parentRefs"]
        if parent_of(reference, namespace) in parents
    ]
    try:
        kept = Route.model_validate_json(json.dumps({**spec, "parentRefs": references}))
    except ValidationError as error:
        logger.warning(
            "HTTPRoute %s was changed by hand; the operator leaves it as it is: %s",
            route.key,
            error,
        )
        return None
    return product.replace(spec=product.spec.replace(route=kept))
