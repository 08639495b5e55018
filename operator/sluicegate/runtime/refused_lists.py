"""Which lists the API server refuses, by kind and namespace, and what follows from it.

With `watchNamespaces` the rights lie in a Role in each namespace, and go with it. A refusal
doesn't say whether the namespace is gone or its Role was changed by mistake. So what was listed
before stays known, and is reconciled, for ten minutes; where a kind was never listed, or is
forgotten, nothing is reconciled, as what is there would be taken for absent and made again. All
other namespaces go on.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from sluicegate.kube.resources import Key, Resource
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import Done, Reconciler, Result
from sluicegate.runtime.metrics import REFUSED_LISTS

FORGET_SECONDS = 600.0
"""Seconds after which objects of a refused kind count as deleted: a mistake is fixed sooner, and a
deleted namespace must not keep training slots."""


@dataclass
class Refusals:
    """Refused lists, with the time since when."""

    clock: Clock
    _since: dict[tuple[Resource, str], float] = field(default_factory=dict)
    _listed: set[tuple[Resource, str]] = field(default_factory=set)

    def add(self, resource: Resource, namespace: str) -> bool:
        """Take in a refusal; return whether it is news."""
        is_new = (resource, namespace) not in self._since
        self._since.setdefault((resource, namespace), self.clock())
        self._export(resource)
        return is_new

    def end(self, resource: Resource, namespace: str) -> bool:
        """Take in that a list was answered; return whether it was refused before."""
        self._listed.add((resource, namespace))
        if self._since.pop((resource, namespace), None) is None:
            return False
        self._export(resource)
        return True

    def hides(self, namespace: str) -> bool:
        """Return whether some kind can't be listed there, and nothing of it is known."""
        return any(where in ("", namespace) for _, where in self._since.keys() - self._listed)

    def lists(self, resource: Resource, namespace: str) -> bool:
        """Return whether this list is refused."""
        return (resource, namespace) in self._since

    def forget(self, resource: Resource, namespace: str) -> bool:
        """Return, once, whether a refusal has lasted so long that what was known counts as gone.

        One that concerns all namespaces never does: no namespace's deletion leads to it.
        """
        one = resource, namespace
        if not namespace or one not in self._listed or one not in self._since:
            return False
        if self.clock() - self._since[one] < FORGET_SECONDS:
            return False
        self._listed.remove(one)
        return True

    def _export(self, resource: Resource) -> None:
        refused = sum(one == resource for one, _ in self._since)
        REFUSED_LISTS.labels(resource.qualified).set(refused)


@dataclass(frozen=True, slots=True)
class ListedOnly:
    """Reconciles the products all of whose kinds are known; the others once they are."""

    reconciler: Reconciler
    refusals: Refusals
    known: Collection[Key]

    async def reconcile(self, key: Key) -> Result:
        """Reconcile, unless its namespace can't be read; what is gone is forgotten anyway."""
        if self.refusals.hides(key.namespace) and key in self.known:
            return Done()
        return await self.reconciler.reconcile(key)
