"""Which product has which requests: one that serves keeps them from older or more specific rivals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.api.base import rfc3339
from sluicegate.kube.errors import Invalid
from sluicegate.kube.resources import Key
from sluicegate.reconcile.observe.refused_route import RouteArbiter
from tests.support.apiserver.routed_products import START, WEB, Routed, routed, ruled, taken

# Promised, so written as numbers here.
SILENT_SECONDS = 30

EXACT = {"type": "Exact", "value": "/search"}
WITH_A_HEADER = {"headers": [{"type": "RegularExpression", "name": "user-agent", "value": ".*"}]}
ACCEPTED = {
    "traffic": {
        "mode": "Gateway",
        "weight": 0,
        "verification": "Accepted",
        "writeTime": rfc3339(START),
        "acceptanceTime": rfc3339(START),
    }
}
LISTENER_A = [WEB | {"sectionName": "a"}]
THEFTS = {
    "the exact path": ruled({"path": EXACT}),
    "a method": ruled(taken("/search", method="POST")),
    "a longer path": routed("/search/rank"),
    "a header that all have": ruled(taken("/search", **WITH_A_HEADER)),
    "a slash at the end": routed("/search/"),
    "the path as it is": routed("/search"),
    "the host as a whole": routed("/"),
    "all hosts": routed("/search", hostnames=None),
    "a wildcard": routed("/search", hostnames=["*.example"]),
    "one listener": routed("/search/rank", parentRefs=LISTENER_A),
    "a match among others": ruled(taken("/mine"), {"path": EXACT}),
    "a Gateway among others": routed("/search/rank", parentRefs=[{"name": "mine"}, WEB]),
}


@pytest.fixture
def world() -> Routed:
    return Routed()


# ---- theft ------------------------------------------------------------------------------------
@pytest.mark.parametrize("route", THEFTS.values(), ids=THEFTS)
def test_a_serving_product_keeps_requests_that_a_newer_route_matches_more_specifically(
    world, route
):
    victim = world.serve("catalog/search", routed("/search"))
    thief = world.create("b/thief", route)
    refusal = world.reconcile(thief)
    assert refusal.other == victim
    assert world.products[thief].live is None
    assert not world.refused(victim)


def test_an_older_product_does_not_take_requests_of_a_serving_younger_product(world):
    elder = world.serve("b/elder", routed("/elsewhere"))
    victim = world.serve("catalog/search", routed("/search"))
    world.edit(elder, routed("/search"))
    assert world.refused(elder)
    assert not world.refused(victim)


def test_an_older_route_that_is_widened_does_not_take_requests_of_a_serving_younger_route(world):
    elder = world.serve("b/elder", routed("/elsewhere"))
    victim = world.serve("catalog/search", routed("/search"))
    world.edit(elder, ruled(taken("/elsewhere"), taken("/search/rank")))
    refusal = world.reconcile(elder)
    assert (refusal.other, refusal.claim.matches[0].text) == (victim, "PathPrefix /search/rank")
    paths = [one["path"]["value"] for one in world.products[elder].live["rules"][0]["matches"]]
    assert paths == ["/elsewhere"]
    assert not world.refused(victim)


def test_a_parent_added_to_a_route_is_a_new_claim(world):
    other = [{"name": "other", "namespace": "gateway"}]
    elder = world.serve("b/elder", routed("/search", parentRefs=other))
    world.serve("catalog/search", routed("/search"))
    world.edit(elder, routed("/search", parentRefs=[*other, WEB]))
    assert world.refused(elder)


def test_a_product_without_a_written_route_claims_no_requests(world):
    waiting, other = (world.create(f"{name}/search", routed("/search")) for name in "ab")
    for key in (waiting, other):
        world.see(key)
    assert world.claims.settle(waiting, contends_for_route=False, now=world.now) is None
    assert world.claims.settle(other, contends_for_route=True, now=world.now) is None
    assert world.claims.settle(waiting, contends_for_route=True, now=world.now) is not None


def test_a_product_with_a_denied_route_is_requeued_once_when_another_writes_the_route(world):
    denied = world.create("b/denied", routed("/search"))
    world.reconcile(denied)
    world.set_verdict(denied, "False")
    world.woken.clear()
    holder = world.serve("catalog/search", routed("/search"))
    assert denied in world.woken
    world.woken.clear()
    world.reconcile(holder)
    assert world.woken == []


# ---- squatting --------------------------------------------------------------------------------
SQUATTERS = {
    "suspended": {"suspend": True},
    "without a version that serves": {"stable": False},
    "whose spec isn't a route": {"route": {"parentRefs": [{"namespace": "gateway"}]}},
}


@pytest.mark.parametrize("fields", SQUATTERS.values(), ids=SQUATTERS)
def test_a_product_that_cannot_serve_claims_no_route(world, fields):
    squatter = world.create("b/squat", **({"route": routed("/checkout")} | fields))
    world.reconcile(squatter)
    checkout = world.create("catalog/checkout", routed("/checkout"))
    assert not world.refused(checkout)
    world.set_verdict(checkout, "True")
    assert not world.refused(checkout)


def test_a_product_whose_route_the_gateway_denies_loses_its_claim_and_its_route(world):
    squatter = world.create("b/squat", routed("/checkout"))
    assert not world.refused(squatter)
    world.set_verdict(squatter, "False")
    checkout = world.serve("catalog/checkout", routed("/checkout"))
    assert world.reconcile(squatter).other == checkout
    # Or it would take the requests once its namespace is admitted.
    assert world.products[squatter].live is None


@pytest.mark.parametrize("restarts", [False, True])
def test_a_route_denied_for_a_moment_by_its_gateway_keeps_its_claim(world, restarts):
    victim = world.serve("catalog/search", routed("/search"))
    thief = world.create("b/thief", routed("/search/rank"))
    world.set_verdict(victim, "False")
    if restarts:
        world.products[victim].status = ACCEPTED
        world.restart()
    refusal = world.reconcile(thief)
    assert (refusal.other, refusal.passes) == (victim, True)
    world.now += SILENT_SECONDS - 5
    world.set_verdict(victim, "False")  # a Gateway that gives each answer a time of its own
    world.now += 4
    assert world.refused(thief)
    world.set_verdict(victim, "True")
    world.now += SILENT_SECONDS
    assert world.reconcile(thief).passes is False
    assert not world.refused(victim)


def test_a_route_that_its_gateway_denies_for_long_loses_its_claim(world):
    former = world.serve("catalog/search", routed("/search"))
    successor = world.create("b/next", routed("/search/rank"))
    for _ in range(SILENT_SECONDS):
        world.set_verdict(former, "False")
        assert world.refused(successor)
        world.now += 1
    world.now += 1
    assert not world.refused(successor)


def test_a_route_without_a_gateway_status_has_a_claim_for_a_limited_time(world):
    squatter = world.create("b/squat", routed("/checkout"))
    assert not world.refused(squatter)
    checkout = world.create("catalog/checkout", routed("/checkout"))
    refusal = world.reconcile(checkout)
    assert (refusal.other, refusal.passes) == (squatter, True)
    world.now += SILENT_SECONDS + 1
    assert not world.refused(checkout)


def test_a_product_whose_route_is_refused_claims_none_of_its_other_paths(world):
    world.serve("catalog/search", routed("/search"))
    squatter = world.create("b/squat", ruled(taken("/search"), taken("/checkout")))
    assert world.refused(squatter)
    assert not world.refused(world.create("catalog/checkout", routed("/checkout")))


def test_a_product_whose_route_cant_be_written_withdraws_its_claim(world):
    squatter = world.create("b/squat", routed("/checkout"))
    world.see(squatter)
    checkout = world.create("catalog/checkout", routed("/checkout"))
    assert world.refused(checkout)
    world.claims.withdraw(squatter)
    assert not world.refused(checkout)


async def test_a_route_that_was_written_before_a_pass_failed_is_claimed(world):
    """A Deployment that is refused keeps no route from being written."""
    key = world.create("b/half", routed("/checkout"))
    one = world.products[key]

    async def write_and_fail(_: Any) -> Any:
        assert world.claims.settle(key, contends_for_route=True, now=world.now) is None
        one.live, one.written = one.desired(), world.now
        raise Invalid("deployments.apps is invalid")

    arbiter: Any = RouteArbiter(world.claims, None, None, lambda _: world.route(key))
    with pytest.raises(Invalid):
        await arbiter.claim(one.record(), write_and_fail)
    assert world.refused(world.create("catalog/checkout", routed("/checkout")))


# ---- who is legitimate ------------------------------------------------------------------------
def test_teams_share_a_host_by_paths(world):
    world.serve("catalog/search", routed("/search"))
    assert not world.refused(world.create("b/rank", routed("/rank")))


def test_overlapping_rules_of_one_product_are_no_conflict(world):
    rules = [{"matches": [taken("/")]}, {"matches": [taken("/a"), {"path": EXACT}, taken("/")]}]
    key = world.serve("catalog/search", routed(path=None, rules=rules))
    assert not world.refused(key)


def test_products_of_one_namespace_may_have_nested_paths(world):
    world.serve("catalog/shop", routed("/shop", hostnames=["*.example"]))
    for name, route in {"a": routed("/shop/a"), "b": routed("/shop"), "c": routed("/")}.items():
        assert not world.refused(world.create(f"catalog/{name}", route))


def test_two_products_of_a_namespace_that_claim_the_same_path_name_each_other(world):
    world.serve("catalog/shop", routed("/shop"))
    refusal = world.reconcile(
        world.create("catalog/other", routed("/shop/", parentRefs=LISTENER_A))
    )
    assert "DataProduct catalog/shop" in refusal.message
    assert "DataProduct catalog/other" in refusal.notice


def test_a_route_conflict_reveals_no_name_of_a_product_of_another_namespace(world):
    world.serve("catalog/search", routed("/secret"))
    refusal = world.reconcile(world.create("b/thief", ruled(taken("/mine"), taken("/secret/x"))))
    assert refusal.message == (
        "spec.route: PathPrefix /secret/x of host shop.example on Gateway gateway/web is served"
        " by a DataProduct of another namespace, which keeps it: change hostnames, path or"
        " parentRefs of this product, or ask the owner of the Gateway for a host or a listener"
        " of its own"
    )
    assert "PathPrefix /secret of host shop.example on Gateway gateway/web" in refusal.notice
    for name in ("b/", "thief", "/x"):
        assert name not in refusal.notice


# ---- whose turn it is -------------------------------------------------------------------------
def test_the_older_of_two_products_that_do_not_serve_yet_gets_the_route(world):
    elder, younger = (world.create(f"{name}/x", routed("/x")) for name in ("z", "a"))
    world.see(elder)
    assert world.reconcile(younger).other == elder
    assert not world.refused(elder)


def test_the_route_of_two_products_created_in_one_second_is_decided_by_name(world):
    second, first = world.create("b/x", routed()), world.create("a/x", routed())
    for key in (first, second):
        world.products[key].created = world.now
        world.see(key)
    assert world.reconcile(second).other == first
    assert not world.refused(first)


def test_a_route_that_is_being_written_is_claimed(world):
    younger = world.create("catalog/younger", routed("/x"))
    world.products[younger].created += 60
    world.see(younger)
    assert world.claims.settle(younger, contends_for_route=True, now=world.now) is None
    elder = world.create("b/elder", routed("/x"))
    world.see(elder)
    assert world.claims.settle(elder, contends_for_route=True, now=world.now).other == younger


def test_a_claim_is_released_when_its_product_is_deleted_or_changes_its_route(world):
    woken = world.woken
    holder = world.serve("catalog/holder", routed("/x"))
    other = world.create("b/other", routed("/x"))
    assert world.refused(other)
    world.edit(holder, routed("/y"))
    assert world.refused(other), "its HTTPRoute is still the old one"
    assert not world.refused(holder)
    assert woken[-1] == other
    assert not world.refused(other)
    world.edit(holder, routed("/x"))
    assert world.reconcile(holder).other == other
    woken.clear()
    world.delete(other)
    assert woken == [holder]
    assert not world.refused(holder)


def test_a_recreated_product_has_no_claim_of_its_predecessor(world):
    first = world.serve("catalog/x", routed("/x"))
    waiting = world.create("b/x", routed("/x"))
    assert world.refused(waiting)
    world.delete(first)
    assert not world.refused(waiting)
    again = world.create("catalog/x", routed("/x"))
    assert world.reconcile(again).other == waiting


def test_a_deleted_route_is_recreated_before_another_product_claims_its_path(world):
    waiting = world.create("b/waiting", routed("/x"))
    holder = world.create("catalog/holder", routed("/x"))
    assert not world.refused(holder)
    world.set_verdict(holder, "True")
    assert world.refused(waiting)
    world.products[holder].live = None
    world.see(holder)
    assert world.refused(waiting)
    assert not world.refused(holder)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_serving_product_keeps_its_claim_while_its_gateway_reports_no_status(world, restarted):
    waiting = world.create("b/waiting", routed("/x"))
    holder = world.create("catalog/holder", routed("/x"), status=ACCEPTED)
    assert not world.refused(holder)
    world.set_verdict(holder, "True")
    world.set_verdict(holder, "")
    world.now += SILENT_SECONDS * 10
    if restarted:
        world.restart()
    assert world.refused(waiting)
    assert not world.refused(holder)


def test_two_products_that_serve_the_same_requests_already_both_keep_their_routes(world):
    """As the operator left it that only asked whether claims are equal."""
    victim = world.serve("catalog/search", routed("/search"))
    thief = world.serve("b/thief", routed("/mine"))
    one = world.products[thief]
    one.route = routed("/search/rank")
    one.generation += 1
    one.live = routed(path=None, rules=[{"matches": [taken("/search/rank")]}])
    world.see(thief)
    assert world.reconcile(thief).other == victim
    assert world.products[thief].live is not None
    assert not world.refused(victim)


# ---- any history ------------------------------------------------------------------------------
HOSTS = ("shop.example", "a.shop.example", "vans.example")
PATHS = ("/", "/a", "/a/", "/a/b", "/ab")
REQUESTS = [
    (listener, host, path, method, team)
    for listener in ("one", "two")
    for host in HOSTS
    for path in PATHS
    for method in ("GET", "POST")
    for team in ("", "red")
]

routes = st.builds(
    lambda section, hosts, matches: ruled(
        *matches, hostnames=hosts, parentRefs=[WEB | ({"sectionName": section} if section else {})]
    ),
    st.sampled_from(("", "", "", "one", "two")),
    st.lists(st.sampled_from((*HOSTS, "*.example", "*.shop.example")), max_size=1),
    st.lists(
        st.builds(
            lambda kind, path, method, team: {
                "path": {"type": kind, "value": path},
                **({"method": method} if method else {}),
                **({"headers": [{"name": "Team", "value": team}]} if team else {}),
            },
            st.sampled_from(("PathPrefix", "PathPrefix", "Exact")),
            st.sampled_from(PATHS),
            st.sampled_from(("", "", "GET", "POST")),
            st.sampled_from(("", "", "red", "blue")),
        ),
        min_size=1,
        max_size=2,
    ),
)
ASK = ("ask",) * 6
acts = st.lists(
    st.tuples(
        st.sampled_from((*ASK, "ask slowly", "accept", "deny", "suspend", "delete", "restart")),
        st.sampled_from(("a/one", "a/two", "b/one", "c/one")),
        routes,
    ),
    min_size=4,
    max_size=12,
)


def takes(route, request) -> bool:
    """Return whether a gateway sends a request to an HTTPRoute, by the words of its specification."""
    listener, host, path, method, team = request
    sections = [parent_ref.get("sectionName") for parent_ref in route["parentRefs"]]
    if None not in sections and listener not in sections:
        return False
    hosts = route.get("hostnames")
    if hosts and not any(
        host == one or (one[0] == "*" and host.endswith(one[1:])) for one in hosts
    ):
        return False
    return any(
        fits(match, path, method, team)
        for rule in route["rules"]
        for match in rule.get("matches") or [taken("/")]
    )


def fits(match, path: str, method: str, team: str) -> bool:
    value = match["path"]["value"]
    prefix = value.rstrip("/")
    if match["path"]["type"] == "Exact":
        right = path == value
    else:
        right = path == prefix or path.startswith(f"{prefix}/")
    by_team = [header["value"] for header in match.get("headers", ())]
    return right and match.get("method", method) == method and all(one == team for one in by_team)


def serving(world: Routed, request) -> set[str]:
    """Return namespaces whose accepted routes take a request."""
    return {
        key.namespace
        for key, one in world.products.items()
        if one.live is not None
        if any(word == "True" and takes(one.live, request) for word in one.words.values())
    }


def play(world: Routed, act: str, name: str, route) -> None:
    key = Key(*name.split("/"))
    known = key in world.products
    if act == "restart":
        world.restart()
    elif act.startswith("ask"):
        if known:
            world.edit(key, route)
        else:
            world.create(name, route)
        world.reconcile(key)
        if act == "ask" and world.products[key].live is not None:
            world.set_verdict(key, "True")
    elif known and act == "suspend":
        world.edit(key, route, suspend=not world.products[key].suspend)
    elif known and act == "delete":
        world.delete(key)
    elif known and world.products[key].live is not None:
        world.set_verdict(key, "True" if act == "accept" else "False")
    world.settle()


@given(acts)
def test_no_request_matches_routes_of_two_namespaces_and_a_serving_route_is_kept(story):
    world = Routed()
    before = {request: set() for request in REQUESTS}
    for act, name, route in story:
        lived = {key: one.live for key, one in world.products.items()}
        play(world, act, name, route)
        after = {request: serving(world, request) for request in REQUESTS}
        # The product that served a request still does, unless it was that product which changed, or
        # one that was waiting for what its own spec asks for.
        changed = {name.partition("/")[0]} | {
            key.namespace
            for key, one in world.products.items()
            if one.live is not None and one.live != lived.get(key) and one.live == one.desired()
        }
        for request in REQUESTS:
            assert len(after[request]) <= 1, request
            assert before[request] <= after[request] | changed, request
        before = after


@settings(max_examples=max(settings.default.max_examples // 2, 1))
@given(acts, st.randoms())
def test_a_restart_rebuilds_the_same_claims_in_any_order(story, random):
    world = Routed()
    for act, name, route in story:
        play(world, act, name, route)
    keys = sorted(world.products)
    for _ in range(len(keys) + 1):
        for key in keys:
            world.reconcile(key)
            if world.products[key].live is not None:
                world.set_verdict(key, "True")
    settled = {key: world.products[key].live for key in keys}
    world.restart()
    random.shuffle(keys)
    for key in keys:
        world.reconcile(key)
    assert {key: world.products[key].live for key in keys} == settled
