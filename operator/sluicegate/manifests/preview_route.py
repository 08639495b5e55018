"""The HTTPRoute by which a request with the header of previews reaches the candidate.

Its matches are those of the product's route, and the header in addition: the Gateway API prefers a
match with more headers. It is the same with and without a candidate: the Service that it leads to
selects the pods of a candidate while there is one. docs/adr/0029 has the reasons.
"""

from sluicegate.api.names import PREVIEW_HEADER, Component
from sluicegate.api.product import DataProduct
from sluicegate.api.route import Route
from sluicegate.manifests.common import Manifest, labels, metadata, with_inputs_hash, without_empty
from sluicegate.manifests.names import candidate_name, preview_route_name
from sluicegate.manifests.route import Backend, backend_ref, parent_ref, rules_of, without_name


def with_allowed_preview(product: DataProduct, *, previews: bool) -> DataProduct:
    """Return the product without its preview, unless the operator's settings allow `previews`.

    Its pods would keep requests with the header out of the counts, also where no route has them.
    """
    rollout = product.spec.rollout
    if previews or rollout.preview is None:
        return product
    return product.replace(spec=product.spec.replace(rollout=rollout.replace(preview=None)))


def build_preview_route(product: DataProduct, route: Route) -> Manifest | None:
    """Return the route of previews; None without one, or if the route has none of its listeners.

    Parameters
    ----------
    route : the one that is in force; its listeners may be fewer than those of the spec.
    """
    preview, meta = product.spec.rollout.preview, product.metadata
    parents = route.listeners_among(preview.parent_refs) if preview else ()
    if not parents:
        return None
    backend = backend_ref(Backend(candidate_name(meta.name), weight=1))
    return with_inputs_hash(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": metadata(
                product, preview_route_name(meta.name), labels(product, Component.ROUTE)
            ),
            "spec": without_empty(
                {
                    "parentRefs": [parent_ref(parent.to_dict()) for parent in parents],
                    "hostnames": list(route.hostnames),
                    "rules": [
                        _preview_rule(rule, f"{meta.namespace}/{meta.name}")
                        | {"backendRefs": [backend]}
                        for rule in rules_of(route)
                    ],
                }
            ),
        }
    )


def _preview_rule(rule: Manifest, product: str) -> Manifest:
    """Return the rule, without its name, for requests with the header of this product."""
    header = {"type": "Exact", "name": PREVIEW_HEADER, "value": product}
    return without_name(rule) | {
        "matches": [
            match | {"headers": [*match.get("headers", ()), header]} for match in rule["matches"]
        ]
    }
