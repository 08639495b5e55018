"""The portfolio: 47 valid products, the same each time, which depend on each other in no circle."""

from __future__ import annotations

from demo.portfolio import JOURNEYS, MARKETS, affected_by, documents, members
from sluicegate.api.product import DataProduct
from sluicegate.portfolio.affected import graph_of
from sluicegate.portfolio.journeys import journeys_of
from sluicegate.views.product_facts import read_facts


def test_the_demo_portfolio_has_47_valid_products_with_owners_markets_and_dependencies():
    products = [DataProduct.parse(one) for one in documents()]
    assert len({one.metadata.key for one in products}) == 47
    assert {market for one in products for market in one.spec.markets} == set(MARKETS)
    assert len({one.spec.owner for one in products}) == 7
    known = {one.metadata.key for one in products}
    called = {(up.namespace, up.name) for one in products for up in one.spec.depends_on}
    assert called <= known
    roles = {member.role for one in products for member in one.spec.team.members}
    assert roles == {"DataProductManager", "DataScientist", "EngineeringManager"}
    assert len({one.spec.model.bento.digest for one in products}) == 47


def test_each_journey_has_its_products_in_order():
    found = journeys_of([read_facts(one) for one in documents()])
    steps = {name: tuple(s.product.key[1] for s in one.steps) for name, one in found.items()}
    assert steps == JOURNEYS


def test_the_demo_portfolio_is_deterministic():
    assert documents() == documents()


def test_a_demo_product_is_created_after_its_upstreams():
    seen: set[str] = set()
    for one in members():
        assert set(one.calls) <= seen
        seen.add(one.name)


def test_the_demo_graph_equals_the_dependencies_of_the_products():
    graph = graph_of([read_facts(one) for one in documents()])
    below = {name for name, _ in (edge for edge in graph.near("market-pricing/price").edges)}
    assert {name.partition("/")[2] for name in below} >= affected_by("price")
