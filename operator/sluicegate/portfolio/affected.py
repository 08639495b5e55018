"""Who depends on whom, and whom a degraded product may affect. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.engine import ProductState
from sluicegate.api.status import DependencyState
from sluicegate.views.product_facts import ProductFacts, ProductKey

MAX_CAUSES: Final = 16
"""Degraded products that are named as causes of one product: with all of them, the work and the text
would grow with the square of the products that a tenant has."""


@dataclass(frozen=True, slots=True)
class Node:
    """A product of the graph.

    Attributes
    ----------
    facts : of a product that the reader may see; None of others. name : a label that is unique.
    state : of the product; of one that the reader may not see, the state in its dependents' status.
    causes : degraded products that it depends on, directly or not: it is in their blast radius. At
        most `MAX_CAUSES` of them, in the order of their names.
    """

    name: str
    state: str
    facts: ProductFacts | None = None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, and edges from a product to one that it calls."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]

    def near(self, name: str) -> "Graph":
        """Return the subgraph of a product's dependencies and dependents."""
        callees, callers = _adjacent(self.edges), _adjacent((b, a) for a, b in self.edges)
        return self._part({name, *_walk(name, callees), *_walk(name, callers)})

    def linked(self) -> "Graph":
        """Return the part without products that neither call another nor are called."""
        return self._part({name for edge in self.edges for name in edge})

    def affected(self) -> dict[str, list[str]]:
        """Return for each degraded product the products that it may affect, by name."""
        affected_by_cause: dict[str, list[str]] = {name: [] for name in self.nodes}
        for name, node in sorted(self.nodes.items()):
            for cause in node.causes:
                if cause in affected_by_cause:
                    affected_by_cause[cause].append(name)
        return affected_by_cause

    def _part(self, kept_names: set[str]) -> "Graph":
        return Graph(
            {product: node for product, node in self.nodes.items() if product in kept_names},
            tuple(edge for edge in self.edges if kept_names.issuperset(edge)),
        )


def name_of(key: ProductKey) -> str:
    """Return the label of a product."""
    return f"{key[0]}/{key[1]}"


def graph_of(products: Sequence[ProductFacts]) -> "Graph":
    """Return the graph of the products that a reader may see, as `facts_for_reader` leaves them.

    Each call of a product that the reader may not see leads to a separate node: the graph must not
    reveal whether two products call the same one.
    """
    nodes = {
        name_of(product.key): Node(name_of(product.key), str(product.state), product)
        for product in products
    }
    edges: list[tuple[str, str]] = []
    for product in products:
        own_name = name_of(product.key)
        for position, upstream in enumerate(product.upstream):
            if upstream.key is None:
                other_name = f"hidden {own_name} {position}"
                nodes[other_name] = Node(other_name, str(upstream.state))
            else:
                other_name = name_of(upstream.key)
                if other_name not in nodes:
                    nodes[other_name] = Node(other_name, str(DependencyState.NOT_FOUND))
            edges.append((own_name, other_name))
    return Graph(_with_causes(nodes, edges), tuple(sorted(set(edges))))


def dependents_of(products: Iterable[ProductFacts], key: ProductKey) -> list[ProductFacts]:
    """Return the products that call this one, by name."""
    dependents = (
        product for product in products if any(upstream.key == key for upstream in product.upstream)
    )
    return sorted(dependents, key=lambda product: product.key)


def _with_causes(nodes: dict[str, Node], edges: list[tuple[str, str]]) -> dict[str, Node]:
    callers = _adjacent((callee, caller) for caller, callee in edges)
    causes: dict[str, list[str]] = {}
    for name, node in sorted(nodes.items()):
        if node.state == ProductState.DEGRADED:
            _spread(name, callers, causes)
    return {
        name: Node(name, node.state, node.facts, tuple(causes.get(name, ())))
        for name, node in nodes.items()
    }


def _spread(cause: str, callers: Mapping[str, list[str]], causes: dict[str, list[str]]) -> None:
    """Add a degraded product to the causes of all its direct and indirect dependents.

    Those that depend on a product with all of its causes have causes enough, too: so each product is
    passed through once for each cause that it has.
    """
    waiting, met = [cause], {cause}
    while waiting:
        for caller in callers.get(waiting.pop(), ()):
            causes_of_caller = causes.setdefault(caller, [])
            if caller not in met and len(causes_of_caller) < MAX_CAUSES:
                met.add(caller)
                causes_of_caller.append(cause)
                waiting.append(caller)


def _adjacent(edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    adjacent: dict[str, list[str]] = {}
    for name, other_name in edges:
        adjacent.setdefault(name, []).append(other_name)
    return adjacent


def _walk(start: str, adjacent: Mapping[str, list[str]]) -> set[str]:
    reached_names, open_ = set[str](), [start]
    while open_:
        for name in adjacent.get(open_.pop(), ()):
            if name not in reached_names:
                reached_names.add(name)
                open_.append(name)
    return reached_names
