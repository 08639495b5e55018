"""What a route claims, and where two of them can take the same request. Pure.

Gateway API serves the most specific match, whatever its age, so two routes needn't be equal to
meet: a longer path, an exact path, a method, a header or a concrete host takes its requests from
a prefix, a bare match or a wildcard that were there before. Where it isn't provable that two
claims are disjoint, they meet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar

from typing_extensions import override

from sluicegate.kube.resources import GATEWAYS, Key

ALL_HOSTS: Final = ""
MOST_ENTRIES: Final = 64
"""From so many entries on, an index holds a claim without its paths."""
_INDEXED_SEGMENTS: Final = 8
"""Segments of a path by which its match is found; so the index of a long path stays small."""

A = TypeVar("A")
Gateway = tuple[str, str, Key]
"""Group, kind and name of a parent."""
Condition = tuple[str, str, str]
"""Name, type and value of a header or of a query parameter that has to match."""
Entry = tuple[Gateway, str, str]
"""Gateway, host, and first segment of a path; no segment for any path."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A Gateway, or one listener of it.

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
        """Whether it is a Gateway, and nothing else that takes routes."""
        return self.gateway[:2] == (GATEWAYS.group, GATEWAYS.kind)

    def meets(self, other: "Parent") -> bool:
        """Return whether one listener may belong to both."""
        return (
            self.gateway == other.gateway
            and _may_be_one(self.section, other.section)
            and _may_be_one(self.port, other.port)
        )

    @override
    def __str__(self) -> str:
        """Return name it as messages do."""
        text = f"{self.gateway[1]} {self.gateway[2]}"
        text += f", listener {self.section}" if self.section else ""
        return text + (f", port {self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a Gateway, as the Gateway's spec has it; `host` is empty for all hosts."""

    section: str
    port: int
    host: str

    def is_of(self, parent: Parent) -> bool:
        """Return whether a route with this parent comes in here."""
        return _may_be_one(self.section, parent.section) and _may_be_one(self.port, parent.port)

    def admits(self, ours: Iterable[str], theirs: Iterable[str]) -> bool:
        """Return whether a host that both mean comes in here."""
        others = [one for one in theirs if hosts_may_meet(one, self.host)]
        return any(
            hosts_may_meet(one, other)
            for one in ours
            if hosts_may_meet(one, self.host)
            for other in others
        )


Listeners = Mapping[Gateway, tuple[Listener, ...]]
"""Listeners of the Gateways that are known."""


@dataclass(frozen=True, slots=True)
class Match:
    """One match of a rule; a rule without matches has one that takes everything.

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

    def meets(self, other: "Match") -> bool:
        """Return whether one request may match both."""
        return (
            self._paths_meet(other)
            and _may_be_one(self.method, other.method)
            and _conditions_meet(self.headers, other.headers)
            and _conditions_meet(self.params, other.params)
        )

    def _paths_meet(self, other: "Match") -> bool:
        common = min(len(self.path), len(other.path))
        if self.path[:common] != other.path[:common]:
            return False
        longer = len(self.path) > common or len(other.path) > common
        shorter = self if len(self.path) == common else other
        return not longer or not shorter.exact


class MatchTable(tuple[Match, ...]):  # noqa: SLOT001  # cached properties need a __dict__
    """The matches of a claim, and those among them that are equal to others or on their paths.

    A tenant chooses 64 matches for each of its products, so a search of all of them for each match
    of each other product takes seconds.
    """

    @cached_property
    def distinct(self) -> frozenset[Match]:
        """The matches, found by their hash."""
        return frozenset(self)

    @cached_property
    def _under(self) -> dict[tuple[str, ...], list[Match]]:
        """Matches by each path that theirs begins with."""
        under: dict[tuple[str, ...], list[Match]] = {}
        for match in self:
            path = match.path[:_INDEXED_SEGMENTS]
            for length in range(len(path) + 1):
                under.setdefault(path[:length], []).append(match)
        return under

    @cached_property
    def _at(self) -> dict[tuple[str, ...], list[Match]]:
        """Matches by the beginning of their path."""
        at: dict[tuple[str, ...], list[Match]] = {}
        for match in self:
            at.setdefault(match.path[:_INDEXED_SEGMENTS], []).append(match)
        return at

    def on_path(self, path: tuple[str, ...]) -> Iterator[Match]:
        """Yield the matches whose path may begin with this one, or the other way round."""
        path = path[:_INDEXED_SEGMENTS]
        for length in range(len(path)):
            yield from self._at.get(path[:length], ())
        yield from self._under.get(path, ())


@dataclass(frozen=True, slots=True)
class Claim:
    """All that a route claims: each of its matches, for each of its hosts, at each of its parents."""

    parents: tuple[Parent, ...]
    hosts: tuple[str, ...]
    matches: MatchTable

    def meeting(
        self, other: "Claim", *, as_equals: bool = False, listeners: Listeners | None = None
    ) -> "Claim | None":
        """Return the part of this claim that the other one claims too; None when they are disjoint.

        Parameters
        ----------
        as_equals : only where hosts and matches are the same, so that none is more specific.
        listeners : of Gateways that are known; those of others may admit any host.
        """
        hosts, matches = self._common(other) if as_equals else self._overlap(other)
        if not (hosts and matches):
            return None
        doors = {
            gateway: [one for one in known if one.admits(self.hosts, other.hosts)]
            for gateway, known in (listeners or {}).items()
            if any(one.gateway == gateway for one in self.parents)
        }

        def parents_meet(ours: Parent, theirs: Parent) -> bool:
            known = doors.get(ours.gateway)
            return ours.meets(theirs) and (
                known is None or any(one.is_of(ours) and one.is_of(theirs) for one in known)
            )

        parents = _those_that_meet(self.parents, other.parents, parents_meet)
        return Claim(parents, hosts, matches) if parents else None

    def _common(self, other: "Claim") -> tuple[tuple[str, ...], MatchTable]:
        """Return the hosts and matches that are equal."""
        hosts = frozenset(other.hosts)
        if hosts.isdisjoint(self.hosts):
            return (), MatchTable()
        distinct = other.matches.distinct
        return (
            tuple(one for one in self.hosts if one in hosts),
            MatchTable(one for one in self.matches if one in distinct),
        )

    def _overlap(self, other: "Claim") -> tuple[tuple[str, ...], MatchTable]:
        """Return the hosts and matches that one request may match, too."""
        hosts = _those_that_meet(self.hosts, other.hosts, hosts_may_meet)
        if not hosts:
            return (), MatchTable()
        return hosts, MatchTable(
            one
            for one in self.matches
            if any(one.meets(theirs) for theirs in other.matches.on_path(one.path))
        )

    def is_within(self, other: "Claim") -> bool:
        """Return whether each part of it is, to the letter, a part of the other one."""
        return (
            set(self.parents) <= set(other.parents)
            and set(self.hosts) <= set(other.hosts)
            and self.matches.distinct <= other.matches.distinct
        )

    def at(self, parents: Iterable[Parent]) -> "Claim | None":
        """Return the same at these parents alone; None for none of them."""
        kept = tuple(one for one in self.parents if one in parents)
        return Claim(kept, self.hosts, self.matches) if kept else None

    def entries(self) -> Iterator[Entry]:
        """Return where an index holds it."""
        gateways = dict.fromkeys(one.gateway for one in self.parents)
        firsts = dict.fromkeys(one.path[0] if one.path else "" for one in self.matches)
        if len(gateways) * len(self.hosts) * len(firsts) > MOST_ENTRIES:
            firsts = {"": None}
        for gateway in gateways:
            for host in self.hosts:
                for first in firsts:
                    yield gateway, host, first

    def equal_entries(self) -> Iterator[tuple[Match, str | None]]:
        """Return where an index of equal claims holds it: a match, and a host or None for any."""
        many = len(self.hosts) * len(self.matches.distinct) > MOST_ENTRIES
        hosts: tuple[str | None, ...] = (None,) if many else self.hosts
        for match in self.matches.distinct:
            for host in hosts:
                yield match, host

    @override
    def __str__(self) -> str:
        """Return name a part of it as messages do."""
        host = self.hosts[0]
        return (
            f"{self.matches[0].text} of {f'host {host}' if host else 'all hosts'}"
            f" on {self.parents[0]}"
        )


def hosts_may_meet(one: str, other: str) -> bool:
    """Return whether a host may be meant by both; a wildcard stands for one label or more."""
    return is_under(one, other) or is_under(other, one)


def is_under(one: str, other: str) -> bool:
    """Return whether all hosts that `one` means are meant by `other`, too."""
    if other in (one, ALL_HOSTS):
        return True
    return other.startswith("*.") and one.endswith(other[1:])


def hosts_above(host: str) -> Iterator[str]:
    """Yield the host, and each wildcard that means it, too."""
    yield host
    _, _, rest = host.removeprefix("*.").partition(".")
    while rest:
        yield f"*.{rest}"
        _, _, rest = rest.partition(".")
    if host != ALL_HOSTS:
        yield ALL_HOSTS


def _conditions_meet(ones: frozenset[Condition], others: frozenset[Condition]) -> bool:
    """Return whether a request may meet both; only two exact values of one name never do."""
    exact, theirs = _exact(ones), _exact(others)
    return all(value == theirs[name] for name, value in exact.items() if name in theirs)


def _exact(conditions: frozenset[Condition]) -> dict[str, str]:
    """Values by name. Of a name that is given twice a gateway reads one, and which isn't known."""
    names = [name for name, _, _ in conditions]
    return {
        name: value
        for name, kind, value in conditions
        if kind == "Exact" and names.count(name) == 1
    }


def _those_that_meet(
    ours: tuple[A, ...], theirs: tuple[A, ...], meet: Callable[[A, A], bool]
) -> tuple[A, ...]:
    return tuple(one for one in ours if any(meet(one, other) for other in theirs))


def _may_be_one(one: str | int, other: str | int) -> bool:
    """Return whether two choices may be the same; an empty one is none."""
    return not one or not other or one == other
