"""The portfolio: 47 valid products, the same each time, which depend on each other in no circle."""

from __future__ import annotations

from demo.portfolio import JOURNEYS, MARKETS, affected_by, documents, members
from sluicegate.api.product import DataProduct
from sluicegate.portfolio.affected import graph_of
from sluicegate.portfolio.journeys import journeys_of
from sluicegate.views.product_facts import read_facts


def test_the_demo_portfolio_has_47_valid_products_with_owners_markets_and_dependencies():
    products = [DataProduct.parse(document) for document in documents()]
    assert len({product.metadata.key for product in products}) == 47
    assert {market for product in products for market in product.spec.markets} == set(MARKETS)
    assert len({product.spec.owner for product in products}) == 7
    known = {product.metadata.key for product in products}
    called = {(up.namespace, up.name) for product in products for up in product.spec.depends_on}
    assert called <= known
    roles = {member.role for product in products for member in product.spec.team.members}
    assert roles == {"DataProductManager", "DataScientist", "EngineeringManager"}
    assert len({product.spec.model.bento.digest for product in products}) == 47


def test_each_journey_has_its_products_in_order():
    found = journeys_of([read_facts(document) for document in documents()])
    steps = {name: tuple(s.product.key[1] for s in one.steps) for name, one in found.items()}
    assert steps == JOURNEYS


def test_the_demo_portfolio_is_deterministic():
    assert documents() == documents()


def test_a_demo_product_is_created_after_its_upstreams():
    seen: set[str] = set()
    for member in members():
        assert set(member.calls) <= seen
        seen.add(member.name)


def test_the_demo_graph_equals_the_dependencies_of_the_products():
    graph = graph_of([read_facts(document) for document in documents()])
    below = {name for name, _ in (edge for edge in graph.near("market-pricing/price").edges)}
    assert {name.partition("/")[2] for name in below} >= affected_by("price")
