"""The graph of dependencies: cycles are found, and at a cost that grows with its size alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.kube.resources import Key
from sluicegate.policy.retraining.training_slots import Budget
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from tests.support.executed_lines import growth, lines_of

EACH = 32
"""The most dependencies of a product that the CRD admits."""
NEAR_LINEAR = 2.3
"""How many times the cost may be that of half the products."""


def key(number: int) -> Key:
    return Key("tenant", f"p{number}")


def fleet_of(products: int) -> tuple[FleetRegistry, dict[Key, tuple[Key, ...]]]:
    """Return a fleet in which each product depends on the 32 that follow it, the last on the first."""
    calls = {
        key(number): tuple(key((number + step) % products) for step in range(1, EACH + 1))
        for number in range(products)
    }
    fleet = FleetRegistry(Budget(1, 1))
    for one, dependencies in calls.items():
        fleet.record(one, ProductSnapshot(depends_on=dependencies))
    return fleet, calls


def cost_of_a_round(products: int) -> int:
    """Return lines for one pass of each product: whether each of its dependencies is in a cycle."""
    fleet, calls = fleet_of(products)

    def ask() -> None:
        for one, dependencies in calls.items():
            assert all(fleet.graph.in_cycle(one, other) for other in dependencies)

    return lines_of(ask)


def test_a_round_of_passes_over_the_whole_graph_costs_near_linear_operations():
    assert growth(cost_of_a_round, 150) < NEAR_LINEAR


def cost_of_a_change(products: int) -> int:
    """Return lines for a change of one product's dependencies and the pass that follows it."""
    fleet, calls = fleet_of(products)
    one, dependencies = next(iter(calls.items()))
    fleet.graph.in_cycle(one, dependencies[0])

    def change() -> None:
        fleet.record(one, ProductSnapshot(depends_on=dependencies[1:]))
        assert all(fleet.graph.in_cycle(one, other) for other in dependencies[1:])

    return lines_of(change)


def test_a_change_of_dependencies_costs_at_most_one_walk_through_the_graph():
    assert growth(cost_of_a_change, 150) < NEAR_LINEAR


def test_dependency_changes_cost_no_operations_in_another_namespace():
    """The tenant's products depend on the victim's, as on any that is used by many."""
    fleet, calls = fleet_of(100)
    victim, upstream = Key("shop", "search"), Key("shop", "stock")
    fleet.record(victim, ProductSnapshot(depends_on=(upstream,)))
    one, dependencies = next(iter(calls.items()))
    fleet.graph.in_cycle(victim, upstream)
    before = lines_of(lambda: fleet.graph.in_cycle(victim, upstream))
    fleet.record(one, ProductSnapshot(depends_on=(*dependencies[1:], victim)))
    assert lines_of(lambda: fleet.graph.in_cycle(victim, upstream)) == before


PRODUCTS = st.integers(0, 6).map(key)


@given(st.lists(st.tuples(PRODUCTS, st.lists(PRODUCTS).map(tuple), st.booleans()), max_size=30))
def test_dependency_cycles_are_correct_after_any_sequence_of_changes(changes):
    fleet = FleetRegistry(Budget(1, 1))
    calls: dict[Key, tuple[Key, ...]] = {}
    for one, dependencies, asks in changes:
        fleet.graph.replace(one, dependencies)
        calls[one] = dependencies
        if asks:
            for caller, theirs in calls.items():
                for other in theirs:
                    assert fleet.graph.in_cycle(caller, other) == reaches(calls, other, caller)


def reaches(calls: dict[Key, tuple[Key, ...]], start: Key, end: Key) -> bool:
    visited: set[Key] = set()
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if one == end:
            return True
        if one not in visited:
            visited.add(one)
            waiting.extend(calls.get(one, ()))
    return False
