"""Finds the claims that may overlap with one, without a scan of all claims."""

from collections.abc import Iterable, Iterator

from sluicegate.kube.resources import Key
from sluicegate.reconcile.routes.claims import (
    ALL_HOSTS,
    Claim,
    Entry,
    Gateway,
    hosts_above,
    is_under,
)

Paths = dict[str, dict[Key, None]]
"""Products by the first segment of a path; those of any path under the empty one."""


class RouteIndex:
    """Products by Gateway, host and first segment of a path.

    A concrete host checks itself and the wildcards above it, however many hosts there are; a
    wildcard checks the names of all hosts of its Gateway.
    """

    def __init__(self) -> None:
        self._hosts: dict[Gateway, dict[str, Paths]] = {}
        self._entries: dict[Key, tuple[Entry, ...]] = {}

    def replace(self, key: Key, claims: Iterable[Claim | None]) -> None:
        """Let a product be found by these claims, and no others."""
        for entry in self._entries.pop(key, ()):
            self._remove(key, entry)
        entries = dict.fromkeys(entry for one in claims if one for entry in one.entries())
        if entries:
            self._entries[key] = tuple(entries)
        for gateway, host, first in entries:
            paths = self._hosts.setdefault(gateway, {}).setdefault(host, {})
            paths.setdefault(first, {})[key] = None

    def _remove(self, key: Key, entry: Entry) -> None:
        gateway, host, first = entry
        hosts = self._hosts[gateway]
        paths = hosts[host]
        del paths[first][key]
        if not paths[first]:
            del paths[first]
        if not paths:
            del hosts[host]
        if not hosts:
            del self._hosts[gateway]

    def near(self, claim: Claim | None) -> Iterator[Key]:
        """Products whose claims may meet this one, each once; more than do, never fewer."""
        seen: set[Key] = set()
        for gateway, host, first in claim.entries() if claim is not None else ():
            for paths in self._paths(self._hosts.get(gateway, {}), host):
                for key in _at(paths, first):
                    if key not in seen:
                        seen.add(key)
                        yield key

    def _paths(self, hosts: dict[str, Paths], host: str) -> Iterator[Paths]:
        yield from (hosts[one] for one in hosts_above(host) if one in hosts)
        if host == ALL_HOSTS or host.startswith("*."):
            yield from (
                paths for one, paths in hosts.items() if one != host and is_under(one, host)
            )


def _at(paths: Paths, first: str) -> Iterator[Key]:
    """Those of the same first segment, and those of any path."""
    if not first:
        for keys in paths.values():
            yield from keys
        return
    yield from paths.get(first, ())
    yield from paths.get("", ())
