"""The route that lives, read back as a spec: what is kept of it while the wanted one is refused."""

from __future__ import annotations

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.reconcile.live.children import route_record
from sluicegate.reconcile.routes.claim_reading import parent_of
from sluicegate.reconcile.routes.kept_route import with_kept_route
from tests.support.decisions.rollout_world import document

WEB, INTERNAL = ({"name": name, "namespace": "gateway"} for name in ("web", "internal"))


def kept(**spec):
    """Return the kept route of a product whose HTTPRoute has this spec at the Gateway web."""
    meta = {
        "namespace": "catalog",
        "name": "search",
        "uid": "u",
        "resourceVersion": "1",
        "labels": {names.LABEL_PRODUCT: "search"},
    }
    live = {"parentRefs": [WEB], "hostnames": ["cars.example"], "rules": [{}], **spec}
    record = route_record({"metadata": meta, "spec": live})
    product = DataProduct.parse(document())
    found = with_kept_route(product, record, [parent_of(WEB, "catalog")])
    return found and found.spec.route


def test_a_live_route_is_kept_only_for_parents_that_accept_it():
    assert kept().hostnames == ("cars.example",)
    assert [parent_ref.name for parent_ref in kept(parentRefs=[WEB, INTERNAL]).parent_refs] == [
        "web"
    ]


def test_a_route_changed_by_hand_beyond_the_spec_is_left_unchanged_and_logged(caplog):
    assert kept(hostnames=["not a host"]) is None
    assert "was changed by hand; the operator leaves it as it is" in caplog.text
