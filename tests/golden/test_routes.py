"""What routes claim, where two of them meet, and how well each part of a claim stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import SplitLevel, SplitMode, Traffic
from sluicegate.reconcile.live.children import route_record
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.routes.claim_reading import claim_of, listeners_of
from sluicegate.reconcile.routes.claims import hosts_above, hosts_may_meet, is_under
from sluicegate.reconcile.routes.live_claims import RouteEntry, read_entry
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, serving_world
from tests.support.decisions.route_objects import accepted, meta, parent, resolved, route

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import RouteRecord
    from sluicegate.reconcile.live.product import ProductRecord
    from sluicegate.reconcile.routes.claims import Claim, Match

Body = dict[str, Any]


def asked(*matches: Body, parents: Any = ({"name": "web"},), **fields: Any) -> Claim:
    rules = [{"matches": list(matches)}] if matches else []
    found = claim_of({"parentRefs": list(parents), "rules": rules} | fields, "shop")
    assert found is not None
    return found


def path(value: str, kind: str = "PathPrefix", **fields: Any) -> Body:
    return {"path": {"type": kind, "value": value}} | fields


def header(value: str, name: str = "X-Team", kind: str = "Exact") -> Body:
    return {"headers": [{"type": kind, "name": name, "value": value}]}


CLAIMS: dict[str, Claim] = {
    "everything": asked(),
    "of another namespace": asked(parents=[{"name": "web", "namespace": "gateway"}]),
    "of a mesh": asked(parents=[{"name": "web", "kind": "Service", "group": ""}]),
    "at https": asked(parents=[{"name": "web", "sectionName": "https"}]),
    "at http": asked(parents=[{"name": "web", "sectionName": "http"}]),
    "at 443": asked(parents=[{"name": "web", "port": 443}]),
    "at https, 80": asked(parents=[{"name": "web", "sectionName": "https", "port": 80}]),
    "at two": asked(parents=[{"name": "other"}, {"name": "web", "sectionName": "http"}]),
    "of a host": asked(hostnames=["A.example."]),
    "of a wildcard": asked(hostnames=["*.example"]),
    "of all hosts": asked(hostnames=["*"]),
    "of two hosts": asked(hostnames=["b.example", "c.a.example"]),
    "/a": asked(path("/a")),
    "/a, short": asked(path="/a"),
    "/a/": asked(path("//a/./")),
    "/a/b": asked(path("/a/c/../b")),
    "/ab": asked(path("/%61b")),
    "exactly /a": asked(path("/a", "Exact")),
    "exactly /a/b": asked(path("/a/b", "Exact")),
    "an expression": asked(path("/a.*", "RegularExpression")),
    "POST /a": asked(path("/a", method="POST")),
    "GET": asked({"method": "GET"}),
    "team a": asked(header("a")),
    "team b": asked(header("b", "x-team")),
    "team like a": asked(header("a.*", kind="RegularExpression")),
    "color b": asked(header("b", "color")),
    "team a and b": asked({"headers": header("a")["headers"] + header("b")["headers"]}),
    "parameter a": asked({"queryParams": [{"name": "q", "value": "a"}]}),
    "parameter b": asked({"queryParams": [{"name": "q", "value": "b"}]}),
    "two matches": asked(path("/x"), path("/a/b", method="POST")),
}


def test_where_claims_meet(golden):
    doors = {
        gateway: listeners_of(
            {
                "spec": {
                    "listeners": [
                        {"name": "http", "port": 80, "hostname": "*.example"},
                        {"name": "https", "port": 443},
                    ]
                }
            }
        )
        for gateway in {one.parents[0].gateway for one in CLAIMS.values()}
    }
    lines = []
    for name, one in CLAIMS.items():
        found = {
            "meets": [other for other, each in CLAIMS.items() if one.meeting(each)],
            "in": [
                str(one.meeting(each))
                for each in CLAIMS.values()
                if one.meeting(each) not in (None, one)
            ],
            "equals": [
                other for other, each in CLAIMS.items() if one.meeting(each, as_equals=True)
            ],
            "at its doors": [
                other for other, each in CLAIMS.items() if one.meeting(each, listeners=doors)
            ],
            "is within": [other for other, each in CLAIMS.items() if one.is_within(each)],
        }
        lines += [f"{name}:", *(f"  {kind} {', '.join(each)}" for kind, each in found.items())]
    golden("routes/meetings.txt", lines)


def test_what_a_claim_is_and_where_an_index_holds_it(golden):
    many = asked(
        *(path(f"/{number}") for number in range(33)),
        parents=[{"name": "web"}],
        hostnames=["a.example", "b.example"],
    )
    fits = asked(*(path(f"/{number}") for number in range(64)))
    lines = [
        f"{name}: {one}; {list(one.entries())}; {[read(each) for each in one.matches]}"
        for name, one in CLAIMS.items()
    ]
    golden("routes/claims.txt", lines)
    assert len(list(many.entries())) == 2
    assert len(list(fits.entries())) == 64


def read(match: Match) -> tuple[object, ...]:
    conditions = (sorted(match.headers), sorted(match.params))
    return match.exact, match.path, match.method, *conditions


HOSTS = ("", "a", "b.a", "c.b.a", "*.a", "*.b.a", "ba", "*.c")


def test_which_hosts_mean_others(golden):
    def of(one: str, other: str) -> str:
        return f"may meet {hosts_may_meet(one, other)}, under {is_under(one, other)}"

    names = {host or "all": host for host in HOSTS}
    above = (f"above {name}: {list(hosts_above(host))}" for name, host in names.items())
    golden("routes/hosts.txt", [*combined(of, names, names), *above])


@pytest.mark.parametrize(
    ("listener", "read"),
    [
        ({"name": "a", "port": 80}, ("a", 80, "")),
        ({"name": "a", "port": 443, "hostname": "A.b."}, ("a", 443, "a.b")),
        ({"name": "a"}, ("a", 0, "")),
        ({"name": "a", "port": None, "hostname": "*"}, ("a", 0, "")),
    ],
)
def test_what_is_read_of_a_listener(listener, read):
    (found,) = listeners_of({"spec": {"listeners": [listener]}})
    assert (found.section, found.port, found.host) == read


# ---- how well a claim stands -----------------------------------------------------------------
def product(*, suspend: bool = False, stable: bool = True, taken: bool = False) -> ProductRecord:
    status = DataProductStatus(
        stable=serving_world(36).current.stable if stable else None,
        traffic=Traffic(
            mode=SplitMode.GATEWAY, weight=0, verification=SplitLevel.ACCEPTED,
            write_time=START, acceptance_time=START,
        ) if taken else None,
    )  # fmt: skip
    refs = [{"name": "web"}, {"name": "other"}]
    spec = {"suspend": suspend, "route": {"parentRefs": refs, "path": "/a"}}
    known = meta(creationTimestamp="2026-01-01T00:00:00Z", ownerReferences=[])
    return product_record({"metadata": known, "spec": spec, "status": status.to_dict()})


def live(*parents: Body, **spec: Any) -> RouteRecord:
    rules = [{"matches": [path("/a")], "backendRefs": []}]
    body = route(
        *parents, **{"parentRefs": [{"name": "web"}, {"name": "other"}], "rules": rules} | spec
    )
    found = route_record(body)
    assert found is not None
    return found


OTHER = parent(accepted(), resolved(), name="other")
DENIED = accepted("False", lastTransitionTime="2026-09-01T12:00:30Z")
LIVE: dict[str, RouteRecord | None] = {
    "no route": None,
    "silent": live(),
    "taken": live(parent(accepted(), resolved()), OTHER),
    "taken at a port": live(parent(accepted(), resolved(), port=80), OTHER),
    "taken in part": live(parent(accepted(), resolved())),
    "denied": live(parent(DENIED), OTHER),
    "denied without a time": live(parent(accepted("False"))),
    "denied and taken": live(parent(DENIED), parent(accepted(), resolved())),
    "another path": live(OTHER, rules=[{"matches": [path("/b")]}]),
    "of a section": live(parent(accepted(), resolved(), sectionName="https")),
    "unreadable": live(parentRefs="web"),
}
NOON = 1_788_264_000


def standing_of(entry: RouteEntry, now: float) -> str:
    """All that an entry says."""

    def named(parents: Any) -> str:
        return " ".join(sorted(one.gateway[2].name for one in parents)) or "-"

    parts = "; ".join(
        f"{strength.name} {written} {named(claim.parents)}"
        for (strength, written, _), claim in entry.parts(now)
    )
    wanted = entry.wanted
    assert wanted is not None
    strength, written, _ = entry.standing(wanted, now)
    flags = f"{' contends' * entry.contends}{' reserved' * entry.reserved}{' written' * entry.is_written}"
    lapsed = {one.gateway[2].name: at - NOON for one, at in entry.lapsed.items()}
    return (
        f"held {named(entry.held)}, denied {named(entry.denied)}, lapsed {lapsed}, open {named(entry.open(now))}"
        f"{flags}: {parts or '-'}; all of it {strength.name} {written}"
    )


def test_how_well_a_product_s_claim_stands(golden):
    records = {
        "accepted before": product(taken=True),
        "new": product(),
        "starting": product(stable=False),
    }
    taken = read_entry(records["new"], LIVE["taken"], None)
    befores = {
        "unknown": None,
        "known": RouteEntry(taken.key, taken.rank),
        "reserved": replace(RouteEntry(taken.key, taken.rank), reserved=True, contends=True),
        "held": taken,
        "lapsed": read_entry(records["new"], LIVE["denied"], taken),
    }

    def of(record: Any, now: Any, before: Any, kept: int) -> str:
        return standing_of(read_entry(record, now, before), NOON + kept)

    times = {f"{one} s": one for one in (30, 31, 60, 61)}
    golden("routes/standings.txt", combined(of, records, LIVE, befores, times))
    assert not read_entry(product(suspend=True), None, None).contends
