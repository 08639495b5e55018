"""Where two routes can take the same request, however differently they ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.kube.resources import Key
from sluicegate.reconcile.routes.claim_index import RouteIndex
from sluicegate.reconcile.routes.claim_reading import claim_of, listeners_of
from tests.support.apiserver.routed_products import WEB, routed, ruled, taken

# Promised, so written as numbers here.
MAX_ENTRIES = 64

SEARCH = routed("/search")
EXACT = {"type": "Exact", "value": "/search"}


def header(value: str, *, how: str = "Exact", name: str = "x-team") -> dict[str, Any]:
    return {"type": how, "name": name, "value": value}


def listener(**fields: Any) -> list[dict[str, Any]]:
    return [WEB | fields]


MEET: dict[str, tuple[Any, Any]] = {
    "the same": (SEARCH, SEARCH),
    "an exact path in a prefix": (SEARCH, ruled({"path": EXACT})),
    "an exact path with a slash": (ruled({"path": EXACT}), ruled({"path": EXACT | {"value": "/search/"}})),
    "a method of the prefix": (SEARCH, ruled(taken("/search", method="POST"))),
    "a longer prefix": (SEARCH, routed("/search/rank")),
    "a slash at the end": (SEARCH, routed("/search/")),
    "two slashes": (SEARCH, routed("//search")),
    "dots": (SEARCH, routed("/other/../search")),
    "an encoded letter": (SEARCH, routed("/%73earch")),
    "an encoded slash": (routed("/a/b"), routed("/a%2Fb")),
    "the whole host": (SEARCH, routed("/")),
    "a rule that takes everything": (SEARCH, routed(path=None, rules=[{}])),
    "a match that takes everything": (SEARCH, ruled({})),
    "the second match": (SEARCH, ruled(taken("/rank"), taken("/search/rank"))),
    "the second rule": (SEARCH, routed(path=None, rules=[{"matches": [taken("/a")]}, {"matches": [taken("/search")]}])),
    "a regular expression of a path": (SEARCH, ruled({"path": {"type": "RegularExpression", "value": "/se.rch"}})),
    "a header of the prefix": (SEARCH, ruled(taken("/search", headers=[header("a")]))),
    "the same header": (
        ruled(taken("/", headers=[header("a")])), ruled(taken("/", headers=[header("a", name="X-Team")])),
    ),
    "another header": (
        ruled(taken("/", headers=[header("a")])), ruled(taken("/", headers=[header("b", name="x-other")])),
    ),
    "a header's regular expression": (
        ruled(taken("/", headers=[header("a")])),
        ruled(taken("/", headers=[header("b", how="RegularExpression")])),
    ),
    "a header that is given twice": (
        ruled(taken("/", headers=[header("a")])),
        ruled(taken("/", headers=[header("a", name="X-Team"), header("b")])),
    ),
    "a query parameter": (SEARCH, ruled(taken("/search", queryParams=[header("1", name="q")]))),
    "a parameter of another case": (
        ruled(taken("/", queryParams=[header("1", name="q")])), ruled(taken("/", queryParams=[header("2", name="Q")])),
    ),
    "a host under a wildcard": (routed("/", hostnames=["*.example"]), SEARCH),
    "a deep host under a wildcard": (routed("/", hostnames=["*.example"]), routed("/", hostnames=["a.b.c.example"])),
    "a wildcard under a wildcard": (routed("/", hostnames=["*.example"]), routed("/", hostnames=["*.shop.example"])),
    "a host under all hosts": (routed("/", hostnames=None), SEARCH),
    "a wildcard under all hosts": (routed("/", hostnames=[]), routed("/", hostnames=["*.example"])),
    "a host of another case": (SEARCH, routed("/search", hostnames=["Shop.Example"])),
    "one of the hosts": (SEARCH, routed("/search", hostnames=["vans.example", "shop.example"])),
    "one of the Gateways": (SEARCH, routed("/search", parentRefs=[{"name": "other"}, WEB])),
    "the same listener": (routed("/", parentRefs=listener(sectionName="a")), routed("/", parentRefs=listener(sectionName="a"))),
    "a listener and all of them": (routed("/", parentRefs=listener(sectionName="a")), SEARCH),
    "a port and all of them": (routed("/", parentRefs=listener(port=80)), SEARCH),
    "a listener and a port": (
        routed("/", parentRefs=listener(sectionName="a")), routed("/", parentRefs=listener(port=80)),
    ),
    "the Gateway by its kind": (
        SEARCH, routed("/search", parentRefs=listener(kind="Gateway", group="gateway.networking.k8s.io")),
    ),
}  # fmt: skip
DISJOINT: dict[str, tuple[Any, Any]] = {
    "another path": (SEARCH, routed("/rank")),
    "a path that begins with the same letters": (SEARCH, routed("/searching")),
    "a path of another case": (SEARCH, routed("/Search")),
    "an exact path above": (ruled({"path": EXACT}), routed("/search/rank")),
    "another exact path": (ruled({"path": EXACT}), ruled({"path": EXACT | {"value": "/rank"}})),
    "another host": (SEARCH, routed("/search", hostnames=["vans.example"])),
    "the wildcard's own domain": (routed("/", hostnames=["*.shop.example"]), SEARCH),
    "a host that ends with the same letters": (routed("/", hostnames=["*.op.example"]), SEARCH),
    "two wildcards": (routed("/", hostnames=["*.a.example"]), routed("/", hostnames=["*.b.example"])),
    "another method": (ruled(taken("/", method="GET")), ruled(taken("/", method="POST"))),
    "another value of a header": (
        ruled(taken("/", headers=[header("a")])), ruled(taken("/", headers=[header("b", name="X-TEAM")])),
    ),
    "another value of a parameter": (
        ruled(taken("/", queryParams=[header("1", name="q")])), ruled(taken("/", queryParams=[header("2", name="q")])),
    ),
    "another Gateway": (SEARCH, routed("/search", parentRefs=[WEB | {"name": "other"}])),
    "a Gateway of another namespace": (SEARCH, routed("/search", parentRefs=[{"name": "web"}])),
    "another kind of parent": (SEARCH, routed("/search", parentRefs=listener(kind="Service", group=""))),
    "another listener": (
        routed("/", parentRefs=listener(sectionName="a")), routed("/", parentRefs=listener(sectionName="b")),
    ),
    "another port": (routed("/", parentRefs=listener(port=80)), routed("/", parentRefs=listener(port=8080))),
}  # fmt: skip


def meets(one: Any, other: Any) -> bool:
    """Return whether two claims meet, which the index has to find as well."""
    first, second = claim_of(one, "catalog"), claim_of(other, "other")
    assert first is not None
    assert second is not None
    index = RouteIndex()
    index.replace(Key("other", "other"), [second])
    found = first.shared_with(second) is not None
    assert not found or list(index.near_keys(first, "catalog")) == [Key("other", "other")]
    return found


@pytest.mark.parametrize(("one", "other"), MEET.values(), ids=MEET)
def test_two_routes_overlap_if_one_request_may_match_both(one, other):
    assert meets(one, other)
    assert meets(other, one)


@pytest.mark.parametrize(("one", "other"), DISJOINT.values(), ids=DISJOINT)
def test_two_routes_do_not_overlap_if_no_request_matches_both(one, other):
    assert not meets(one, other)
    assert not meets(other, one)


BY_HOST = {"spec": {"listeners": [
    {"name": "a", "port": 80, "hostname": "a.example"},
    {"name": "b", "port": 80, "hostname": "*.b.example"},
    {"name": "any", "port": 8080},
]}}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (routed(hostnames=None, parentRefs=listener(sectionName="b")), routed(hostnames=["a.example"]), False),
        (routed(hostnames=None, parentRefs=listener(sectionName="b")), routed(hostnames=["x.b.example"]), True),
        (routed(hostnames=["*.example"], parentRefs=listener(sectionName="b")), routed(hostnames=["a.example"]), False),
        (routed(hostnames=None, parentRefs=listener(sectionName="b")), routed(hostnames=None), True),
        (routed(hostnames=None, parentRefs=listener(port=80)), routed(hostnames=["other.example"]), False),
        (routed(hostnames=None, parentRefs=listener(port=8080)), routed(hostnames=["other.example"]), True),
    ],
)  # fmt: skip
def test_a_listener_admits_only_its_own_hosts(one, other, meet):
    first, second = claim_of(one, "catalog"), claim_of(other, "other")
    known = {first.parents[0].gateway: listeners_of(BY_HOST)}
    assert (first.shared_with(second, listeners=known) is not None) == meet
    assert (second.shared_with(first, listeners=known) is not None) == meet
    assert first.shared_with(second) is not None, "as long as nothing is known of the Gateway"


@pytest.mark.parametrize("spec", [None, {}, {"listeners": "all"}, {"listeners": [{"port": "80"}]}])
def test_an_unreadable_gateway_has_no_listeners(spec):
    assert listeners_of({"spec": spec}) == ()


MALFORMED = (
    None, "web", [], {}, {"parentRefs": None}, {"parentRefs": {}}, {"parentRefs": "web"},
    {"parentRefs": [{"namespace": "gateway"}]}, {"parentRefs": ["web"]}, {"parentRefs": [{"name": 1}]},
    {"parentRefs": [WEB | {"port": "80"}]}, routed(hostnames="shop.example"), routed(hostnames=[None]),
    routed(path=1), routed(path=None, rules={}), routed(path=None, rules=[None]),
    routed(path=None, rules=[{"matches": "all"}]), ruled("/"), ruled({"path": "/"}), ruled({"path": {"value": []}}),
    ruled({"method": ["GET"]}), ruled({"headers": {"x": "y"}}), ruled({"headers": [{"value": "y"}]}),
)  # fmt: skip


@pytest.mark.parametrize("route", MALFORMED, ids=repr)
def test_a_malformed_route_claims_nothing(route):
    assert claim_of(route, "catalog") is None


def test_the_route_index_drops_replaced_routes():
    index, key = RouteIndex(), Key("catalog", "search")
    search, rank = claim_of(routed("/search"), "catalog"), claim_of(routed("/rank"), "catalog")
    index.replace(key, [search, None])
    index.replace(key, [rank])
    assert not list(index.near_keys(search, "other"))
    assert list(index.near_keys(rank, "other")) == [key]
    index.replace(key, [])
    assert not list(index.near_keys(rank, "other"))


def test_a_large_route_is_found_in_the_index_with_little_memory():
    paths = [taken(f"/{number}") for number in range(64)]
    large = claim_of(
        ruled(*paths, hostnames=[f"h{number}.example" for number in range(16)]), "catalog"
    )
    assert len(list(large.entries())) <= MAX_ENTRIES
    index = RouteIndex()
    index.replace(Key("catalog", "large"), [large])
    other = claim_of(routed("/63/deep", hostnames=["h15.example"]), "other")
    assert list(index.near_keys(other, "other")) == [Key("catalog", "large")]


def test_the_route_index_finds_rivals_without_a_search_of_all_routes_of_the_host():
    index = RouteIndex()
    for number in range(1000):
        index.replace(Key("catalog", str(number)), [claim_of(routed(f"/p{number}/a"), "catalog")])
    index.replace(Key("catalog", "host"), [claim_of(routed("/", hostnames=["*.example"]), "c")])
    near = list(index.near_keys(claim_of(routed("/p7"), "other"), "other"))
    assert set(near) == {Key("catalog", "7"), Key("catalog", "host")}
