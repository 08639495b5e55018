"""The claims of a route, and whether two of them can match the same request. Pure.

Gateway API serves the most specific match, whatever its age, so two routes needn't be equal to
overlap: a longer path, an exact path, a method, a header or a concrete host takes its requests from
an older prefix, bare match or wildcard. Two claims overlap unless they are provably disjoint.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar

from typing_extensions import override

from sluicegate.kube.resources import GATEWAYS, Key

ALL_HOSTS: Final = ""
MAX_ENTRIES: Final = 64
"""From so many entries on, an index holds a claim without its paths."""
_INDEXED_SEGMENTS: Final = 8
"""Segments of a path by which its match is found; so the index of a long path stays small."""

Item = TypeVar("Item")
Gateway = tuple[str, str, Key]
"""Group, kind and name of a parent."""
Condition = tuple[str, str, str]
"""Name, type and value of a header or of a query parameter that has to match."""
Entry = tuple[Gateway, str, str]
"""Gateway, host, and first segment of a path; no segment for any path."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A Gateway, or a listener of a Gateway.

    Attributes
    ----------
    gateway : which one. section : name of the listener; empty for all of them.
    port : of the listeners; 0 for all of them.
    """

    gateway: Gateway
    section: str
    port: int

    @property
    def is_gateway(self) -> bool:
        """Return whether the parent is a Gateway."""
        return self.gateway[:2] == (GATEWAYS.group, GATEWAYS.kind)

    def may_share_listener(self, other: "Parent") -> bool:
        """Return whether both include a common listener."""
        return (
            self.gateway == other.gateway
            and _may_be_equal(self.section, other.section)
            and _may_be_equal(self.port, other.port)
        )

    @override
    def __str__(self) -> str:
        """Return the parent's name for messages."""
        text = f"{self.gateway[1]} {self.gateway[2]}"
        text += f", listener {self.section}" if self.section else ""
        return text + (f", port {self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener of a Gateway's spec; `host` is empty for all hosts."""

    section: str
    port: int
    host: str

    def is_of(self, parent: Parent) -> bool:
        """Return whether the listener belongs to this parent."""
        return _may_be_equal(self.section, parent.section) and _may_be_equal(self.port, parent.port)

    def admits(self, hosts: Iterable[str], other_hosts: Iterable[str]) -> bool:
        """Return whether the listener admits a host of both claims."""
        same_listener_hosts = [host for host in other_hosts if hosts_may_meet(host, self.host)]
        return any(
            hosts_may_meet(host, other)
            for host in hosts
            if hosts_may_meet(host, self.host)
            for other in same_listener_hosts
        )


Listeners = Mapping[Gateway, tuple[Listener, ...]]
"""Listeners of the Gateways that are known."""


@dataclass(frozen=True, slots=True)
class Match:
    """A match of a route rule; a rule without matches has one match for all requests.

    Attributes
    ----------
    exact : the path has to be this one, and isn't a prefix.
    path : segments, decoded and without empty ones: `/a` and `/a/` are the same.
    method : empty for all.
    headers, params : each has to match.
    text : as messages name it.
    """

    exact: bool = False
    path: tuple[str, ...] = ()
    method: str = ""
    headers: frozenset[Condition] = frozenset()
    params: frozenset[Condition] = frozenset()
    text: str = field(default="PathPrefix /", compare=False)

    def may_match_together(self, other: "Match") -> bool:
        """Return whether a request may satisfy both matches."""
        return (
            self._paths_meet(other)
            and _may_be_equal(self.method, other.method)
            and _conditions_meet(self.headers, other.headers)
            and _conditions_meet(self.params, other.params)
        )

    def _paths_meet(self, other: "Match") -> bool:
        common_length = min(len(self.path), len(other.path))
        if self.path[:common_length] != other.path[:common_length]:
            return False
        is_longer = len(self.path) > common_length or len(other.path) > common_length
        shorter_match = self if len(self.path) == common_length else other
        return not is_longer or not shorter_match.exact


class MatchTable(tuple[Match, ...]):  # noqa: SLOT001  # cached properties need a __dict__
    """The matches of a claim, with indexes by equality and by path.

    A tenant chooses 64 matches for each of its products, so a search of all of them for each match
    of each other product takes seconds.
    """

    @cached_property
    def distinct(self) -> frozenset[Match]:
        """Return a route's matches by their hash, equal matches once."""
        return frozenset(self)

    @cached_property
    def _under(self) -> dict[tuple[str, ...], list[Match]]:
        """Return matches by each prefix of their path."""
        by_prefix: dict[tuple[str, ...], list[Match]] = {}
        for match in self:
            path = match.path[:_INDEXED_SEGMENTS]
            for length in range(len(path) + 1):
                by_prefix.setdefault(path[:length], []).append(match)
        return by_prefix

    @cached_property
    def _at(self) -> dict[tuple[str, ...], list[Match]]:
        """Return matches by their path prefix."""
        by_path: dict[tuple[str, ...], list[Match]] = {}
        for match in self:
            by_path.setdefault(match.path[:_INDEXED_SEGMENTS], []).append(match)
        return by_path

    def on_path(self, path: tuple[str, ...]) -> Iterator[Match]:
        """Yield the matches whose path is a prefix of the given one, or vice versa."""
        path = path[:_INDEXED_SEGMENTS]
        for length in range(len(path)):
            yield from self._at.get(path[:length], ())
        yield from self._under.get(path, ())


@dataclass(frozen=True, slots=True)
class Claim:
    """All that a route claims: each match, for each host, at each parent."""

    parents: tuple[Parent, ...]
    hosts: tuple[str, ...]
    matches: MatchTable

    def shared_with(
        self, other: "Claim", *, as_equals: bool = False, listeners: Listeners | None = None
    ) -> "Claim | None":
        """Return the requests that both claims match; None if the claims are disjoint.

        Parameters
        ----------
        as_equals : only where hosts and matches are the same, so that none is more specific.
        listeners : of Gateways that are known; those of others may admit any host.
        """
        hosts, matches = self._common_hosts(other) if as_equals else self._overlapping_hosts(other)
        if not (hosts and matches):
            return None
        listeners_by_gateway = {
            gateway: [
                listener
                for listener in gateway_listeners
                if listener.admits(self.hosts, other.hosts)
            ]
            for gateway, gateway_listeners in (listeners or {}).items()
            if any(parent.gateway == gateway for parent in self.parents)
        }

        def parents_meet(parent: Parent, other_parent: Parent) -> bool:
            gateway_listeners = listeners_by_gateway.get(parent.gateway)
            return parent.may_share_listener(other_parent) and (
                gateway_listeners is None
                or any(
                    listener.is_of(parent) and listener.is_of(other_parent)
                    for listener in gateway_listeners
                )
            )

        parents = _overlapping_items(self.parents, other.parents, parents_meet)
        return Claim(parents, hosts, matches) if parents else None

    def _common_hosts(self, other: "Claim") -> tuple[tuple[str, ...], MatchTable]:
        """Return the equal hosts and matches."""
        hosts = frozenset(other.hosts)
        if hosts.isdisjoint(self.hosts):
            return (), MatchTable()
        distinct = other.matches.distinct
        return (
            tuple(host for host in self.hosts if host in hosts),
            MatchTable(match for match in self.matches if match in distinct),
        )

    def _overlapping_hosts(self, other: "Claim") -> tuple[tuple[str, ...], MatchTable]:
        """Return the hosts and matches that overlap."""
        hosts = _overlapping_items(self.hosts, other.hosts, hosts_may_meet)
        if not hosts:
            return (), MatchTable()
        return hosts, MatchTable(
            match
            for match in self.matches
            if any(
                match.may_match_together(other_match)
                for other_match in other.matches.on_path(match.path)
            )
        )

    def is_within(self, other: "Claim") -> bool:
        """Return whether each item of the claim equals an item of the other claim."""
        return (
            set(self.parents) <= set(other.parents)
            and set(self.hosts) <= set(other.hosts)
            and self.matches.distinct <= other.matches.distinct
        )

    def at(self, parents: Iterable[Parent]) -> "Claim | None":
        """Return the claim at these parents only; None without any."""
        shared_parents = tuple(parent for parent in self.parents if parent in parents)
        return Claim(shared_parents, self.hosts, self.matches) if shared_parents else None

    def entries(self) -> Iterator[Entry]:
        """Return the index keys of the claim."""
        gateways = dict.fromkeys(parent.gateway for parent in self.parents)
        first_segments = dict.fromkeys(
            match.path[0] if match.path else "" for match in self.matches
        )
        if len(gateways) * len(self.hosts) * len(first_segments) > MAX_ENTRIES:
            first_segments = {"": None}
        for gateway in gateways:
            for host in self.hosts:
                for first in first_segments:
                    yield gateway, host, first

    def equal_entries(self) -> Iterator[tuple[Match, str | None]]:
        """Return the keys in an index of equal claims: a match, and a host or None for any."""
        is_large = len(self.hosts) * len(self.matches.distinct) > MAX_ENTRIES
        hosts: tuple[str | None, ...] = (None,) if is_large else self.hosts
        for match in self.matches.distinct:
            for host in hosts:
                yield match, host

    @override
    def __str__(self) -> str:
        """Return a part of the claim for messages."""
        host = self.hosts[0]
        return (
            f"{self.matches[0].text} of {f'host {host}' if host else 'all hosts'}"
            f" on {self.parents[0]}"
        )


def hosts_may_meet(host: str, other: str) -> bool:
    """Return whether two host patterns include a common host; a wildcard matches one or more labels."""
    return is_under(host, other) or is_under(other, host)


def is_under(host: str, other: str) -> bool:
    """Return whether the pattern `other` includes all hosts of `host`."""
    if other in (host, ALL_HOSTS):
        return True
    return other.startswith("*.") and host.endswith(other[1:])


def hosts_above(host: str) -> Iterator[str]:
    """Yield the host, and each wildcard that includes it."""
    yield host
    _, _, domain = host.removeprefix("*.").partition(".")
    while domain:
        yield f"*.{domain}"
        _, _, domain = domain.partition(".")
    if host != ALL_HOSTS:
        yield ALL_HOSTS


def _conditions_meet(
    conditions: frozenset[Condition], other_conditions: frozenset[Condition]
) -> bool:
    """Return whether a request may satisfy both sets; only different exact values of one name exclude it."""
    exact_values, other_values = _exact(conditions), _exact(other_conditions)
    return all(
        value == other_values[name] for name, value in exact_values.items() if name in other_values
    )


def _exact(conditions: frozenset[Condition]) -> dict[str, str]:
    """Return the exact values by name, without names that have two different values."""
    names = [name for name, _, _ in conditions]
    return {
        name: value
        for name, kind, value in conditions
        if kind == "Exact" and names.count(name) == 1
    }


def _overlapping_items(
    items: tuple[Item, ...], other_items: tuple[Item, ...], overlaps: Callable[[Item, Item], bool]
) -> tuple[Item, ...]:
    return tuple(item for item in items if any(overlaps(item, other) for other in other_items))


def _may_be_equal(choice: str | int, other: str | int) -> bool:
    """Return whether two choices may be equal; an empty choice means any."""
    return not choice or not other or choice == other
