"""Finds the claims that may overlap with one, without a scan of all claims."""

from collections.abc import Iterable, Iterator

from sluicegate.kube.resources import Key
from sluicegate.reconcile.routes.claims import (
    ALL_HOSTS,
    Claim,
    Entry,
    Gateway,
    Match,
    hosts_above,
    is_under,
)

Products = dict[str, dict[Key, None]]
"""Products by their namespace."""
Paths = dict[str, Products]
"""Products by the first segment of a path; those of any path under the empty one."""


class RouteIndex:
    """Products by Gateway, host and first segment of a path, and by equal matches.

    A concrete host checks itself and the wildcards above it, however many hosts there are; a
    wildcard checks the names of all hosts of its Gateway. Within a namespace only claims that are
    equal collide, so there a product is found by its matches, whatever its neighbours have.
    """

    def __init__(self) -> None:
        self._hosts: dict[Gateway, dict[str, Paths]] = {}
        self._entries: dict[Key, tuple[Entry, ...]] = {}
        self._equals: dict[str, dict[Match, dict[str | None, dict[Key, None]]]] = {}
        """Products by namespace, match, and host; those with many hosts and matches under None."""
        self._equal_entries: dict[Key, tuple[tuple[Match, str | None], ...]] = {}

    def replace(self, key: Key, claims: Iterable[Claim | None]) -> None:
        """Index a product by these claims only."""
        for entry in self._entries.pop(key, ()):
            self._remove(key, entry)
        for match, host in self._equal_entries.pop(key, ()):
            self._remove_equal(key, match, host)
        readable_claims = tuple(claim for claim in claims if claim)
        entries = dict.fromkeys(entry for claim in readable_claims for entry in claim.entries())
        if entries:
            self._entries[key] = tuple(entries)
        for gateway, host, first in entries:
            paths = self._hosts.setdefault(gateway, {}).setdefault(host, {})
            paths.setdefault(first, {}).setdefault(key.namespace, {})[key] = None
        equal_entries = dict.fromkeys(
            entry for claim in readable_claims for entry in claim.equal_entries()
        )
        if equal_entries:
            self._equal_entries[key] = tuple(equal_entries)
        for match, position in equal_entries:
            equal_products = self._equals.setdefault(key.namespace, {}).setdefault(match, {})
            equal_products.setdefault(position, {})[key] = None

    def _remove(self, key: Key, entry: Entry) -> None:
        gateway, host, first = entry
        hosts = self._hosts[gateway]
        paths = hosts[host]
        products = paths[first]
        del products[key.namespace][key]
        if not products[key.namespace]:
            del products[key.namespace]
        if not products:
            del paths[first]
        if not paths:
            del hosts[host]
        if not hosts:
            del self._hosts[gateway]

    def _remove_equal(self, key: Key, match: Match, host: str | None) -> None:
        matches = self._equals[key.namespace]
        hosts = matches[match]
        del hosts[host][key]
        if not hosts[host]:
            del hosts[host]
        if not hosts:
            del matches[match]
        if not matches:
            del self._equals[key.namespace]

    def near_keys(self, claim: Claim | None, namespace: str) -> Iterator[Key]:
        """Return the products whose claims may overlap with a claim, each once; a superset of those that do.

        Parameters
        ----------
        namespace : of the product whose claim it is.
        """
        if claim is None:
            return
        seen_keys: set[Key] = set()
        for keys in (
            *self._equal_claims(claim, namespace),
            *self._overlapping_claims(claim, namespace),
        ):
            for key in keys:
                if key not in seen_keys:
                    seen_keys.add(key)
                    yield key

    def _equal_claims(self, claim: Claim, namespace: str) -> Iterator[Iterable[Key]]:
        """Yield products of the namespace with an equal match and host."""
        matches = self._equals.get(namespace, {})
        for match in claim.matches.distinct:
            hosts = matches.get(match)
            if hosts:
                yield from (hosts[host] for host in (*claim.hosts, None) if host in hosts)

    def _overlapping_claims(self, claim: Claim, namespace: str) -> Iterator[Iterable[Key]]:
        """Yield products of other namespaces with an overlapping host and path prefix."""
        for gateway, host, first in claim.entries():
            for paths in self._paths(self._hosts.get(gateway, {}), host):
                for products in _products_on_path(paths, first):
                    yield from (
                        keys
                        for other_namespace, keys in products.items()
                        if other_namespace != namespace
                    )

    def _paths(self, hosts: dict[str, Paths], host: str) -> Iterator[Paths]:
        yield from (hosts[parent_host] for parent_host in hosts_above(host) if parent_host in hosts)
        if host == ALL_HOSTS or host.startswith("*."):
            yield from (
                paths
                for other_host, paths in hosts.items()
                if other_host != host and is_under(other_host, host)
            )


def _products_on_path(paths: Paths, first: str) -> Iterator[Products]:
    """Yield products with the same first path segment, and those for any path."""
    if not first:
        yield from paths.values()
        return
    yield from (paths[segment] for segment in (first, "") if segment in paths)
