"""What the claims of many products cost the pass of one: the tenant chooses matches and hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.apiserver.routed_products import Routed, ruled, taken
from tests.support.executed_lines import growth, lines_of

if TYPE_CHECKING:
    from sluicegate.kube.resources import Key

NEAR_LINEAR = 2.4
"""How many times the cost may be that of half of the products, or of half of the matches."""
HOSTS = [f"h{number}.example" for number in range(16)]


def routes(paths: list[str], hosts: list[str]) -> dict:
    """Return a route with these matches, eight in each rule as the CRD has them."""
    rules = [{"matches": [taken(path) for path in paths[at : at + 8]]} for at in range(0, len(paths), 8)]  # fmt: skip
    return ruled(hostnames=hosts) | {"rules": rules}


def cost_of_a_pass(products: int, matches: int, *, same: bool, serving: bool = True) -> int:
    """Return lines for the decision about the last product of a tenant, and about a victim on its host."""
    world = Routed()
    victim = world.serve("shop/search", routes(["/shop/search"], HOSTS[:1]))
    keys = []
    for number in range(products):
        own = 0 if same else number
        paths = [f"/shop/{own}-{at}" for at in range(matches)]
        key = world.create(f"mallory/p{number}", routes(paths, HOSTS))
        keys.append(key)
        if serving:
            world.reconcile(key)
        else:
            world.see(key)
    return lines_of(lambda: [world.claims.settle(one, contends_for_route=True, now=world.now) for one in (keys[-1], victim)])  # fmt: skip


@pytest.mark.parametrize("same", [True, False], ids=["equal claims", "other claims"])
@pytest.mark.parametrize("serving", [True, False], ids=["serving", "waiting"])
def test_a_pass_costs_near_linear_operations_in_the_products_of_a_tenant(same, serving):
    assert growth(lambda size: cost_of_a_pass(size, 8, same=same, serving=serving), 20) < NEAR_LINEAR  # fmt: skip


@pytest.mark.parametrize("same", [True, False], ids=["equal claims", "other claims"])
def test_a_pass_costs_near_linear_operations_in_the_matches_of_a_route(same):
    assert growth(lambda size: cost_of_a_pass(6, size, same=same), 24) < NEAR_LINEAR


def test_a_pass_costs_nothing_for_products_of_the_namespace_that_claim_other_matches():
    costs = {cost_of_a_pass(size, 8, same=False) for size in (5, 40)}
    assert max(costs) < 2 * min(costs)


def cost_of_a_round(waiting: int) -> int:
    """Return lines for a pass of each of many products that wait for requests which others serve."""
    world = Routed()
    keys: list[Key] = []
    for number in range(waiting):
        path = f"/shop/{number}"
        world.serve(f"other/s{number}", routes([path], HOSTS[:1]))
        keys.append(world.create(f"mallory/p{number}", routes(["/shop", path], HOSTS[:1])))
    for key in keys:
        world.see(key)
    return lines_of(lambda: [world.claims.settle(key, contends_for_route=True, now=world.now) for key in keys])  # fmt: skip


def test_a_round_of_products_that_wait_for_the_same_requests_costs_at_most_its_pairs():
    """Each asks whether those before it are refused, which each of them would find out again."""
    assert growth(cost_of_a_round, 20) < 4.5
