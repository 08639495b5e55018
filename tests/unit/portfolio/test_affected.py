"""The graph of products: edges, hidden products, blast radius."""

from __future__ import annotations

from sluicegate.portfolio.affected import dependents_of, graph_of
from sluicegate.views.product_facts import facts_for_reader, facts_of
from tests.support.portfolio.products import degraded, product


def calls(*names):
    return {"dependsOn": [{"namespace": n.partition("/")[0], "name": n.partition("/")[2]} for n in names]}  # fmt: skip


CORE = facts_of(product("core", "base", status=degraded()))
PRICING = facts_of(product("pricing", "shop", spec=calls("base/core")))
CART = facts_of(product("cart", "shop", spec=calls("shop/pricing", "shop/gone")))
ALONE = facts_of(product("alone", "shop"))
ALL = [CORE, PRICING, CART, ALONE]


def test_all_dependents_of_a_degraded_product_are_in_its_blast_radius():
    found = graph_of(ALL)
    assert found.nodes["shop/cart"].causes == ("base/core",)
    assert found.nodes["shop/pricing"].causes == ("base/core",)
    assert found.nodes["base/core"].causes == ()
    assert found.nodes["shop/gone"].state == "NotFound"


def test_products_without_edges_are_omitted_from_the_graph():
    assert set(graph_of(ALL).linked().nodes) == {"base/core", "shop/pricing", "shop/cart", "shop/gone"}  # fmt: skip


def test_the_neighbourhood_of_a_product_has_its_upstreams_and_dependents():
    assert set(graph_of(ALL).near("shop/pricing").nodes) == {"base/core", "shop/pricing", "shop/cart"}  # fmt: skip


def test_a_dependency_cycle_is_traversed_once():
    one = facts_of(product("one", "shop", spec=calls("shop/two"), status=degraded()))
    two = facts_of(product("two", "shop", spec=calls("shop/one")))
    assert graph_of([one, two]).nodes["shop/two"].causes == ("shop/one",)


def test_unreadable_products_are_unnamed_nodes_of_the_graph():
    other = facts_of(product("other", "shop", spec=calls("base/core")))
    seen = [facts_for_reader(one, {"shop"}.__contains__) for one in (PRICING, other)]
    found = graph_of(seen)
    assert not any("core" in name or "base" in name for name in found.nodes)
    assert len([node for node in found.nodes.values() if node.facts is None]) == 2


def test_the_dependents_of_a_product_are_those_that_declare_it():
    assert dependents_of(ALL, ("base", "core")) == [PRICING]
