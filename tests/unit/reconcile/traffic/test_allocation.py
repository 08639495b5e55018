"""How many pods and which share each version is to have, and how far a share is verified."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.product import DataProduct, read_status
from sluicegate.api.route import ParentRef
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Requests, count_requests
from sluicegate.reconcile.live.children import ParentStatus, RouteRecord
from sluicegate.reconcile.traffic.allocation import FULL, allocation_of, pods_for, split_by_replicas
from sluicegate.reconcile.traffic.split_verification import (
    VerificationLevel,
    is_drained,
    verify_acceptance,
    verify_share,
)
from sluicegate.slo.blocks import Block, Quality
from sluicegate.stats.counts import Count
from tests.support.decisions.rollout_world import RUNTIME, document, image

if TYPE_CHECKING:
    from sluicegate.api.status import DataProductStatus

# Promised, so written as numbers here.
SURGE = 1.5

SPEC = DataProduct.parse(document()).spec


@given(st.integers(1, 99), st.integers(1, 200))
def test_a_share_has_the_capacity_that_it_takes_before_it_takes_it(weight, stable):
    pods = pods_for(SPEC, weight, stable)
    assert pods >= max(1, ceil(weight * stable / FULL)) or weight >= SPEC.rollout.steps[-1]
    assert pods <= stable
    if weight >= SPEC.rollout.steps[-1]:
        assert pods == stable


@given(st.integers(1, 99), st.integers(1, 200))
def test_replicas_split_a_share_within_the_surge(weight, stable):
    ours, theirs = split_by_replicas(weight, stable)
    assert ours >= 1
    assert theirs >= 1
    assert ours <= stable
    assert ours + theirs <= max(stable + 1, ceil(SURGE * stable))


@given(st.integers(1, 50), st.integers(20, 200))
def test_replicas_give_at_least_the_share_that_was_asked_for(weight, stable):
    ours, theirs = split_by_replicas(weight, stable)
    assert theirs / (ours + theirs) >= weight / FULL - 1e-9


def test_without_a_share_there_are_no_pods():
    assert pods_for(SPEC, 0, 8) == 0
    assert split_by_replicas(0, 8) == (8, 0)


def version(digit: str) -> dict[str, str]:
    """A version as status names it; its revision is its digit."""
    return {
        "version": f"v{digit}", "image": image(digit), "runtimeImage": RUNTIME,
        "revision": digit, "source": "Spec",
    }  # fmt: skip


def candidate_status(phase: str, weight: int = 10) -> DataProductStatus:
    """Status with a candidate that has a share of the traffic, in percent."""
    since = "2026-01-01T09:00:00Z"
    shares = {"phase": phase, "weight": weight, "target": weight, "startTime": since}
    return read_status(
        {
            "stable": version("a") | {"promotionTime": since},
            "candidate": version("b") | shares,
        }
    )


SCALED = {"minReplicas": 2, "maxReplicas": 80}
RESOURCES = {"requests": {"cpu": "1"}}


@pytest.mark.parametrize(
    ("route", "followed", "weight", "selected"),
    [
        (True, False, FULL, "a"),
        (True, True, FULL, "b"),
        (True, True, 50, "a"),
        (False, False, FULL, "b"),
        (False, False, 50, None),
        (False, False, 0, "a"),
    ],
)
def test_the_products_service_follows_a_gateway_or_splits_by_pods(
    route, followed, weight, selected
):
    beside = {"route": None, "serving": {"autoscaling": SCALED, "resources": RESOURCES}}
    product = DataProduct.parse(document(**({} if route else beside)))
    status = candidate_status("Promoting", weight)
    assert allocation_of(product, status, stable_pods=4, followed=followed).selected == selected


@pytest.mark.parametrize("phase", ["Stepping", "Promoting", "RollingBack", "Parked"])
@pytest.mark.parametrize("scaled", [False, True], ids=["fixed", "scaled"])
@given(
    weight=st.integers(1, 99), wanted=st.integers(2, 40), has=st.tuples(*[st.integers(0, 40)] * 2)
)
def test_pods_that_are_kept_stay_and_none_is_started_beyond_the_surge(
    phase, scaled, weight, wanted, has
):
    serving = {"autoscaling": SCALED, "resources": RESOURCES} if scaled else {"replicas": wanted}
    status = candidate_status(phase, weight)
    product = DataProduct.parse(document(route=None, serving=serving))
    kept = dict(zip("ab", has, strict=True))
    allocation = allocation_of(product, status, stable_pods=wanted, kept=kept)
    pods = {name: allocation.replicas(name) for name in "ab"}
    assert all(pods[name] >= kept[name] for name in "ab")
    added = pods["b"] > kept["b"]
    assert not added or sum(pods.values()) <= max(wanted + 1, ceil(SURGE * wanted))


@pytest.mark.parametrize("scaled", [False, True], ids=["fixed", "scaled"])
@pytest.mark.parametrize("routed", [True, False], ids=["routed", "replicas"])
@pytest.mark.parametrize("mirrored", [True, False])
def test_requests_are_mirrored_to_a_candidate_while_it_is_tried(scaled, routed, mirrored):
    serving = {"autoscaling": SCALED, "resources": RESOURCES} if scaled else {"replicas": 4}
    shadow = {"mirror": {"percent": 10}} if mirrored else {"command": ["score"]}
    body = document(
        serving=serving | {"feedback": {"secretRef": {"name": "feedback"}}},
        rollout={"steps": [10, 50], "shadow": shadow | {"intervalSeconds": 600}},
        **({} if routed else {"route": None}),
    )
    product = DataProduct.parse(body)
    found = {
        phase: allocation_of(product, candidate_status(phase), stable_pods=4)
        for phase in (
            "Starting",
            "Stepping",
            "AwaitingApproval",
            "Promoting",
            "RollingBack",
            "Parked",
        )
    }
    tried = {phase for phase, layout in found.items() if layout.mirrored_to == "b"}
    assert tried == ({"Starting", "Stepping", "AwaitingApproval"} if mirrored else set())
    assert all(layout.mirrored_to == "" for phase, layout in found.items() if phase not in tried)


# ---- verification -----------------------------------------------------------------------------
WEB = ParentRef(name="web", namespace="gateway")
EDGE = ParentRef(name="edge", namespace="gateway")


def route(*parents: ParentStatus, generation: int = 2, **weights: int) -> RouteRecord:
    key = Key("catalog", "search")
    return RouteRecord(
        key=key, parent=key, uid="1", version=1, owner="1", fingerprint="",
        generation=generation, weights=tuple((weights or {"a": 75, "b": 25}).items()),
        parents=parents,
    )  # fmt: skip


def told(name: str = "web", *, accepted=True, resolved=True, observed=2) -> ParentStatus:
    return ParentStatus("gateway", name, "", accepted, resolved, observed, "NoMatchingParent: no")


@pytest.mark.parametrize(
    ("found", "parents", "level", "says"),
    [
        (None, [WEB], VerificationLevel.NONE, "isn't there yet"),
        (route(told(), a=100), [WEB], VerificationLevel.NONE, "instead of a 75, b 25"),
        (route(told(), a=75, b=25, c=0), [WEB], VerificationLevel.ACCEPTED, "has accepted"),
        (route(), [WEB], VerificationLevel.WRITTEN, "has no status"),
        (route(told(observed=1)), [WEB], VerificationLevel.WRITTEN, "newest generation"),
        (route(told(accepted=False)), [WEB], VerificationLevel.WRITTEN, "NoMatchingParent"),
        (route(told(resolved=False)), [WEB], VerificationLevel.WRITTEN, "does not accept"),
        (route(told()), [WEB, EDGE], VerificationLevel.WRITTEN, "gateway/edge"),
        (route(told(), told("edge")), [WEB, EDGE], VerificationLevel.ACCEPTED, "has accepted"),
        (route(told(observed=1), told()), [WEB], VerificationLevel.ACCEPTED, "has accepted"),
        (route(told(accepted=False), told()), [WEB], VerificationLevel.ACCEPTED, "has accepted"),
    ],
)
def test_a_route_is_accepted_when_each_parent_took_its_newest_generation(
    found, parents, level, says
):
    seen, message = verify_acceptance(found, {"a": 75, "b": 25}, parents)
    assert seen is level
    assert says in message


ACCEPTED = (VerificationLevel.ACCEPTED, "accepted")


@pytest.mark.parametrize(
    ("requests", "weight", "seconds", "level", "enough", "mismatched"),
    [
        (Requests(750, 250, 4), 25, 200, VerificationLevel.OBSERVED, True, False),
        (Requests(1000, 0, 4), 25, 200, VerificationLevel.ACCEPTED, False, True),
        (Requests(100, 0, 4), 5, 200, VerificationLevel.OBSERVED, True, False),
        (Requests(400, 600, 4), 25, 200, VerificationLevel.ACCEPTED, False, True),
        (Requests(30, 10, 1), 25, 30, VerificationLevel.ACCEPTED, False, False),
        (Requests(30, 10, 3), 25, 60, VerificationLevel.ACCEPTED, True, False),
        (Requests(0, 0, 3), 25, 59, VerificationLevel.ACCEPTED, False, False),
        (Requests(5, 995, 4), 0, 200, VerificationLevel.ACCEPTED, False, True),
    ],
    ids=["as asked", "none", "too few to miss one", "too many", "few", "few, patient", "soon", "back"],
)  # fmt: skip
def test_a_share_is_seen_in_the_requests(requests, weight, seconds, level, enough, mismatched):
    split = verify_share(ACCEPTED, weight, requests, seconds=seconds)
    assert (split.level, split.enough, split.mismatched) == (level, enough, mismatched)


@pytest.mark.parametrize(
    ("requests", "weight", "level", "enough", "mismatched"),
    [
        (Requests(750, 250, 4), 25, VerificationLevel.OBSERVED, True, False),
        (Requests(900, 100, 4), 25, VerificationLevel.ACCEPTED, False, True),
        (Requests(860, 140, 4), 25, VerificationLevel.OBSERVED, True, False),
        (Requests(400, 600, 4), 25, VerificationLevel.ACCEPTED, False, True),
        (Requests(99, 1, 4), 5, VerificationLevel.OBSERVED, True, False),
        (Requests(30, 10, 3), 25, VerificationLevel.ACCEPTED, True, False),
    ],
    ids=["as asked", "too small", "small", "too many", "too few to see it small", "few, patient"],
)
def test_a_share_that_the_gateway_counted_is_neither_twice_nor_less_than_half_the_weight(
    requests, weight, level, enough, mismatched
):
    split = verify_share(ACCEPTED, weight, requests, seconds=200, gateway=True)
    assert (split.level, split.enough, split.mismatched) == (level, enough, mismatched)


def blocks(*totals: int | None) -> list[Block]:
    return [
        Block(
            index, Quality.UNAVAILABLE if total is None else Quality.COUNTED, Count(0, total or 0)
        )
        for index, total in enumerate(totals)
    ]


@pytest.mark.parametrize(
    ("totals", "drained"),
    [((9, 0, 0), True), ((9, 0), False), ((0, 0, 9), False), ((0, 0, None), False), ((), False)],
)
def test_pods_are_drained_after_two_blocks_that_are_known_to_be_quiet(totals, drained):
    requests = count_requests(blocks(*totals), ())
    assert is_drained(requests, stable=True, pods=2) == drained
    assert is_drained(requests, stable=True, pods=0)
