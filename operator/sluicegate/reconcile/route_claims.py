"""What a route claims, and where two of them can take the same request. Pure.

Gateway API serves the most specific match, whatever its age, so two routes needn't be equal to
meet: a longer path, an exact path, a method, a header or a concrete host takes its requests from
a prefix, a bare match or a wildcard that were there before. Where it isn't provable that two
claims are disjoint, they meet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from typing_extensions import override

from sluicegate.kube.resources import Key

ALL_HOSTS: Final = ""
MOST_ENTRIES: Final = 64
"""From so many entries on, an index holds a claim without its paths."""

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
    section: str = ""
    port: int = 0

    def meets(self, other: "Parent") -> bool:
        """Whether one listener may belong to both."""
        return (
            self.gateway == other.gateway
            and _may_be_one(self.section, other.section)
            and _may_be_one(self.port, other.port)
        )

    @override
    def __str__(self) -> str:
        """Name it as messages do."""
        text = f"{self.gateway[1]} {self.gateway[2]}"
        text += f", listener {self.section}" if self.section else ""
        return text + (f", port {self.port}" if self.port else "")


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
        """Whether one request may match both."""
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


@dataclass(frozen=True, slots=True)
class Claim:
    """All that a route claims: each of its matches, for each of its hosts, at each of its parents."""

    parents: tuple[Parent, ...]
    hosts: tuple[str, ...]
    matches: tuple[Match, ...]

    def meeting(self, other: "Claim", *, as_equals: bool = False) -> "Claim | None":
        """The part of this claim that the other one claims too; None when they are disjoint.

        Parameters
        ----------
        as_equals : only where hosts and matches are the same, so that none is more specific.
        """
        hosts_meet: Callable[[str, str], bool] = _equal if as_equals else hosts_may_meet
        matches_meet: Callable[[Match, Match], bool] = _equal if as_equals else Match.meets
        parts = (
            _those_that_meet(self.parents, other.parents, Parent.meets),
            _those_that_meet(self.hosts, other.hosts, hosts_meet),
            _those_that_meet(self.matches, other.matches, matches_meet),
        )
        return Claim(*parts) if all(parts) else None

    def is_within(self, other: "Claim") -> bool:
        """Whether each part of it is, to the letter, a part of the other one."""
        return (
            set(self.parents) <= set(other.parents)
            and set(self.hosts) <= set(other.hosts)
            and set(self.matches) <= set(other.matches)
        )

    def at(self, parents: Iterable[Parent]) -> "Claim | None":
        """The same at these parents alone; None for none of them."""
        kept = tuple(one for one in self.parents if one in parents)
        return Claim(kept, self.hosts, self.matches) if kept else None

    def entries(self) -> Iterator[Entry]:
        """Where an index holds it."""
        gateways = dict.fromkeys(one.gateway for one in self.parents)
        firsts = dict.fromkeys(one.path[0] if one.path else "" for one in self.matches)
        if len(gateways) * len(self.hosts) * len(firsts) > MOST_ENTRIES:
            firsts = {"": None}
        for gateway in gateways:
            for host in self.hosts:
                for first in firsts:
                    yield gateway, host, first

    @override
    def __str__(self) -> str:
        """Name a part of it as messages do."""
        host = self.hosts[0]
        return (
            f"{self.matches[0].text} of {f'host {host}' if host else 'all hosts'}"
            f" on {self.parents[0]}"
        )


def hosts_may_meet(one: str, other: str) -> bool:
    """Whether a host may be meant by both; a wildcard stands for one label or more."""
    return is_under(one, other) or is_under(other, one)


def is_under(one: str, other: str) -> bool:
    """Whether all hosts that `one` means are meant by `other`, too."""
    if other in (one, ALL_HOSTS):
        return True
    return other.startswith("*.") and one.endswith(other[1:])


def hosts_above(host: str) -> Iterator[str]:
    """The host, and each wildcard that means it, too."""
    yield host
    _, _, rest = host.removeprefix("*.").partition(".")
    while rest:
        yield f"*.{rest}"
        _, _, rest = rest.partition(".")
    if host != ALL_HOSTS:
        yield ALL_HOSTS


def claim_of(route: object, namespace: str) -> Claim | None:
    """What a spec.route, or the spec of an HTTPRoute, claims; None for what can't be read as one.

    Parameters
    ----------
    namespace : of the product, so of parents that name none.
    """
    try:
        parts = _mapping(route)
        parents = tuple(parent_of(one, namespace) for one in _listed(parts, "parentRefs"))
        hosts = tuple(_host(one) for one in _listed(parts, "hostnames")) or (ALL_HOSTS,)
        matches = tuple(_matches(parts))
    except TypeError:
        return None
    return Claim(parents, hosts, matches) if parents else None


def parent_of(reference: object, namespace: str) -> Parent:
    """The parent that a reference names; TypeError for one that can't be read."""
    parts = _mapping(reference)
    group = _text(parts, "group", "gateway.networking.k8s.io")
    kind = _text(parts, "kind", "Gateway")
    key = Key(_text(parts, "namespace", namespace), _text(parts, "name"))
    return Parent((group, kind, key), _text(parts, "sectionName", ""), _port(parts))


def _port(parts: Mapping[str, Any]) -> int:
    port = parts.get("port")
    if port is not None and not isinstance(port, int):
        raise TypeError(f"a port of {port!r}")
    return port or 0


def _matches(route: Mapping[str, Any]) -> Iterator[Match]:
    rules = _listed(route, "rules")
    if not rules:
        yield _match({"path": {"value": route.get("path")}})
    for rule in rules:
        for match in _listed(_mapping(rule), "matches") or [{}]:
            yield _match(_mapping(match))


def _match(parts: Mapping[str, Any]) -> Match:
    path = {} if parts.get("path") is None else _mapping(parts["path"])
    kind, value = _text(path, "type", "PathPrefix"), _text(path, "value", "/")
    method = _text(parts, "method", "")
    headers = list(_conditions(parts, "headers"))
    params = list(_conditions(parts, "queryParams"))
    text = [f"{kind} {value}"]
    text += [f"method {method}"] if method else []
    text += [f"header {name}" for name, _, _ in headers]
    text += [f"query parameter {name}" for name, _, _ in params]
    plain = kind in ("Exact", "PathPrefix")  # what a regular expression takes isn't known
    return Match(
        exact=kind == "Exact",
        path=_segments(value) if plain else (),
        method=method,
        headers=frozenset((name.lower(), how, value) for name, how, value in headers),
        params=frozenset(params),
        text=", ".join(text),
    )


def _segments(path: str) -> tuple[str, ...]:
    """The parts of a path, as gateways that normalise it see them."""
    parts: list[str] = []
    for part in unquote(path).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _conditions(parts: Mapping[str, Any], name: str) -> Iterator[Condition]:
    for each in _listed(parts, name):
        one = _mapping(each)
        yield _text(one, "name"), _text(one, "type", "Exact"), _text(one, "value", "")


def _conditions_meet(ones: frozenset[Condition], others: frozenset[Condition]) -> bool:
    """Whether a request may meet both; only two exact values of one name never do."""
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


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a host of {value!r}")
    host = value.lower().rstrip(".")
    return ALL_HOSTS if host == "*" else host


def _those_that_meet(
    ours: tuple[A, ...], theirs: tuple[A, ...], meet: Callable[[A, A], bool]
) -> tuple[A, ...]:
    return tuple(one for one in ours if any(meet(one, other) for other in theirs))


def _equal(one: object, other: object) -> bool:
    return one == other


def _may_be_one(one: str | int, other: str | int) -> bool:
    """Whether two choices may be the same; an empty one is none."""
    return not one or not other or one == other


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} where an object belongs")
    return value


def _listed(parts: Mapping[str, Any], name: str) -> list[Any]:
    value = parts.get(name)
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{name} is {value!r}, not a list")
    return value or []


def _text(parts: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = parts.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, not text")
    return value
