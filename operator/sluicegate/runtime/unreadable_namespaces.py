"""Lists that the API server refuses, by kind and namespace.

With `watchNamespaces` the permissions are in a Role in each namespace, and are deleted with it. A
refusal doesn't show whether the namespace is deleted or its Role was changed by mistake. So the
objects that were listed before remain cached, and are reconciled, for ten minutes; if a kind was
never listed, or is dropped, nothing of the namespace is reconciled, because its existing objects
would count as absent and be created again. All other namespaces continue.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from sluicegate.kube.resources import Key, Resource
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import Done, Reconciler, Result
from sluicegate.runtime.metrics import REFUSED_LISTS

FORGET_SECONDS = 600.0
"""Seconds after which objects of a refused kind count as deleted: a mistake should be fixed sooner,
and a deleted namespace must not keep training slots."""


@dataclass
class Refusals:
    """Refused lists, each with the time of the first refusal."""

    clock: Clock
    _since: dict[tuple[Resource, str], float] = field(default_factory=dict)
    _listed: set[tuple[Resource, str]] = field(default_factory=set)

    def add(self, resource: Resource, namespace: str) -> bool:
        """Record a refusal; return whether it is new."""
        is_new = (resource, namespace) not in self._since
        self._since.setdefault((resource, namespace), self.clock())
        self._export(resource)
        return is_new

    def end(self, resource: Resource, namespace: str) -> bool:
        """Record a successful list; return whether it was refused before."""
        self._listed.add((resource, namespace))
        if self._since.pop((resource, namespace), None) is None:
            return False
        self._export(resource)
        return True

    def hides(self, namespace: str) -> bool:
        """Return whether a kind of a namespace can't be listed and has no cached objects."""
        return any(where in ("", namespace) for _, where in self._since.keys() - self._listed)

    def lists(self, resource: Resource, namespace: str) -> bool:
        """Return whether this list is refused."""
        return (resource, namespace) in self._since

    def forget(self, resource: Resource, namespace: str) -> bool:
        """Return, once, whether a refusal has lasted so long that the cached objects count as deleted.

        This is never so for a list of all namespaces, which no deletion of a namespace can cause.
        """
        refused_list = resource, namespace
        if not namespace or refused_list not in self._listed or refused_list not in self._since:
            return False
        if self.clock() - self._since[refused_list] < FORGET_SECONDS:
            return False
        self._listed.remove(refused_list)
        return True

    def _export(self, resource: Resource) -> None:
        refused_number = sum(resource_item == resource for resource_item, _ in self._since)
        REFUSED_LISTS.labels(resource.qualified).set(refused_number)


@dataclass(frozen=True, slots=True)
class ListedOnly:
    """Reconciler that skips the products of namespaces with refused lists."""

    reconciler: Reconciler
    refusals: Refusals
    products: Collection[Key]

    async def reconcile(self, key: Key) -> Result:
        """Reconcile a product, unless its namespace can't be read; a deleted product is always dropped."""
        if self.refusals.hides(key.namespace) and key in self.products:
            return Done()
        return await self.reconciler.reconcile(key)
