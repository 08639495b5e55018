"""The graph of `spec.dependsOn`, and the cycles in it.

Each product asks in each pass whether its dependencies depend on itself. A walk through the graph
for each of these questions takes time that grows with the square of the products, and a tenant
decides how large the graph is. So the graph keeps its strongly connected components (Tarjan, 1972,
SIAM J. Comput. 1): two products depend on each other if they are in the same one. A change of a
product's dependencies discards the components of those that depend on the product, and of no other;
the next question finds these again.
"""

from collections.abc import Iterator

from sluicegate.kube.resources import Key


class DependencyGraph:
    """The dependencies of all products. Not thread-safe: for the event loop only.

    A component is identified by one of its products. While the component of a product is known, so
    are those of all products that it depends on.
    """

    def __init__(self) -> None:
        self._dependencies: dict[Key, tuple[Key, ...]] = {}
        # At a start each state changes: a search of all products for its callers is too slow.
        self._dependents: dict[Key, dict[Key, None]] = {}
        self._components: dict[Key, Key] = {}

    def dependents(self, key: Key) -> tuple[Key, ...]:
        """Return the direct dependents of a product."""
        return tuple(self._dependents.get(key, ()))

    def dependencies(self, key: Key) -> tuple[Key, ...]:
        """Return the direct dependencies of a product."""
        return self._dependencies.get(key, ())

    def replace(self, key: Key, dependencies: tuple[Key, ...]) -> None:
        """Record the dependencies of a product; empty for a deleted one."""
        old_dependencies, new_dependencies = set(self._dependencies.get(key, ())), set(dependencies)
        if old_dependencies == new_dependencies:
            return
        for dependency in old_dependencies - new_dependencies:
            dependents = self._dependents[dependency]
            del dependents[key]
            if not dependents:
                del self._dependents[dependency]
        for dependency in dict.fromkeys(dependencies):
            self._dependents.setdefault(dependency, {})[key] = None
        if dependencies:
            self._dependencies[key] = dependencies
        else:
            del self._dependencies[key]
        if not self._keeps_components(
            key, old_dependencies - new_dependencies, new_dependencies - old_dependencies
        ):
            self._discard_components(key)

    def in_cycle(self, key: Key, dependency: Key) -> bool:
        """Return whether a dependency of a product depends, also indirectly, on the product."""
        return self._component(key) == self._component(dependency)

    def _keeps_components(self, key: Key, removed_edges: set[Key], added_edges: set[Key]) -> bool:
        """Return whether a change of a product's dependencies leaves the components unchanged."""
        own_component = self._components.get(key)
        return own_component is not None and (
            all(self._components.get(edge) != own_component for edge in removed_edges)
            and all(
                self._components.get(dependency_key) == own_component
                for dependency_key in added_edges
            )
        )

    def _discard_components(self, key: Key) -> None:
        """Discard the components of a product and of all its direct and indirect dependents."""
        waiting = [key]
        while waiting:
            product = waiting.pop()
            if self._components.pop(product, None) is not None:
                waiting.extend(self._dependents.get(product, ()))

    def _component(self, key: Key) -> Key:
        if key not in self._components:
            self._find_components(key)
        return self._components[key]

    def _find_components(self, first: Key) -> None:
        """Compute the missing components of a product and its dependencies.

        A product is on the stack until its component is complete; `lowest` is the earliest visited
        product on the stack that it reaches.
        """
        visited = {first: 0}
        lowest = {first: 0}
        stack = [first]
        path: list[tuple[Key, Iterator[Key]]] = [(first, self._missing(first))]
        while path:
            product, dependencies = path[-1]
            for dependency in dependencies:
                if dependency not in visited:
                    visited[dependency] = lowest[dependency] = len(visited)
                    stack.append(dependency)
                    path.append((dependency, self._missing(dependency)))
                    break
                lowest[product] = min(lowest[product], visited[dependency])
            else:
                path.pop()
                if path:
                    caller = path[-1][0]
                    lowest[caller] = min(lowest[caller], lowest[product])
                if lowest[product] == visited[product]:
                    self._complete_component(product, stack)

    def _missing(self, key: Key) -> Iterator[Key]:
        """Yield the dependencies of a product that have no component at present."""
        for dependency in self._dependencies.get(key, ()):
            if dependency not in self._components:
                yield dependency

    def _complete_component(self, product: Key, stack: list[Key]) -> None:
        member = None
        while member != product:
            member = stack.pop()
            self._components[member] = product
