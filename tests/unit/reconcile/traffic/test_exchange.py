"""Pods that two versions exchange, as both together may have no more than one alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.product import DataProduct, read_status
from sluicegate.api.versions import FULL_WEIGHT, MAX_SHARES
from sluicegate.kube.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.traffic.allocation import ServingPods, allocation_of, within_room
from sluicegate.reconcile.traffic.exchange import Exchange
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import RUNTIME, document, image

if TYPE_CHECKING:
    from sluicegate.api.status import DataProductStatus
    from sluicegate.reconcile.traffic.allocation import Allocation

SINCE = "2026-01-01T09:00:00Z"
PODS = st.integers(2, 1000)
WEIGHTS = st.integers(1, 99)


def version(digit: str) -> dict[str, Any]:
    """Return a version as status names it; its revision is its digit."""
    return {
        "version": f"v{digit}", "image": image(digit), "runtimeImage": RUNTIME,
        "revision": digit, "source": "Spec",
    }  # fmt: skip


def status_of(phase: str, weights: list[int], **fields: Any) -> DataProductStatus:
    """Return the status of a candidate that has had these shares, in percent."""
    shares = [{"weight": weight, "startTime": SINCE} for weight in weights[-MAX_SHARES:]]
    of_candidate = {"phase": phase, "weight": weights[-1] if weights else 0, "startTime": SINCE}
    return read_status(
        {
            "stable": version("a") | {"promotionTime": SINCE},
            "candidate": version("b") | of_candidate | {"shares": shares} | fields,
        }
    )


def product_of(
    pods: int, *, routed: bool = True, scaled: bool = False, **rollout: Any
) -> DataProduct:
    """Return a product that exchanges its pods."""
    serving: dict[str, Any] = {"replicas": pods}
    if scaled:
        scaling = {"minReplicas": 1, "maxReplicas": pods}
        serving = {"autoscaling": scaling, "resources": {"requests": {"cpu": "1"}}}
    fields: dict[str, Any] = {} if routed else {"route": None}
    rollout = {"capacity": "Replace", **rollout}
    return DataProduct.parse(document(serving=serving, rollout=rollout, **fields))


def serving_pods(stable: int, candidate: int, *, is_reached: bool = True) -> ServingPods:
    """Return the pods that serve, all of them ready."""
    return ServingPods(
        stable=stable, candidate=candidate, stable_replicas=stable, candidate_replicas=candidate,
        selected="", is_reached=is_reached, waits_for_pods=True,
    )  # fmt: skip


def pods_in(allocation: Allocation) -> tuple[int, int]:
    return allocation.replicas("a"), allocation.replicas("b")


# ---- the numbers ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pods", "weight", "candidate", "stable"),
    [(4, 5, 1, 3), (4, 25, 1, 3), (4, 50, 2, 2), (4, 90, 3, 1), (2, 50, 1, 1), (20, 10, 2, 18)],
)
def test_a_share_needs_its_part_of_the_pods_that_serve_during_an_exchange(
    pods, weight, candidate, stable
):
    exchange = Exchange(pods, pods)
    assert exchange.needed(weight) == candidate
    assert exchange.needed(FULL_WEIGHT - weight) == stable


@given(PODS, st.integers(1, 1000), WEIGHTS)
def test_both_shares_have_room_and_no_pod_has_more_than_its_part_of_the_requests(
    pods, demand, weight
):
    """A pod serves demand/serving at most: N/(N - 1) of its usual requests, beside half a percent."""
    demand = min(pods, demand)
    exchange = Exchange(pods, demand)
    needed, beside = exchange.needed(weight), exchange.needed(FULL_WEIGHT - weight)
    assert min(needed, beside) >= 1
    assert needed + beside <= pods
    for share, number in ((weight, needed), (FULL_WEIGHT - weight, beside)):
        load = (share - 0.5) / FULL_WEIGHT * demand / number
        assert load <= max(demand / exchange.serving, 1) + 1e-9


@given(PODS, st.integers(0, 99))
def test_a_batch_of_pods_always_leads_to_a_larger_share(pods, weight):
    exchange = Exchange(pods, pods)
    number = exchange.room_beside(weight)
    assert exchange.share_of(number) > weight
    assert exchange.needed(exchange.share_of(number)) <= number


@given(PODS)
def test_a_batch_is_one_pod_of_twenty(pods):
    batch = Exchange(pods, pods).batch
    assert (batch - 1) * 20 < pods <= batch * 20


# ---- a rollout -----------------------------------------------------------------------------------
def is_enough(exchange: Exchange, ready: tuple[int, int], share: int) -> bool:
    """Return whether each version has the ready pods for its share of the candidate's `share`."""
    stable, candidate = ready
    return stable >= exchange.needed(FULL_WEIGHT - share) and candidate >= exchange.needed(share)


@pytest.mark.parametrize("scaled", [False, True], ids=["fixed", "scaled"])
@pytest.mark.parametrize("routed", [True, False], ids=["routed", "replicas"])
@given(
    pods=st.integers(2, 60),
    steps=st.sets(WEIGHTS, min_size=1, max_size=5).map(sorted),
    demand=st.integers(1, 60),
)
def test_a_rollout_and_its_rollback_never_have_more_pods_or_too_few(
    routed, scaled, pods, steps, demand
):
    """Each share is taken once its pods are ready, as the rollout does; then all of it returns."""
    demand = min(pods, demand) if scaled else pods
    product = product_of(pods, routed=routed, scaled=scaled, steps=steps)
    exchange = Exchange(pods, demand)
    ready, shares = (demand, 0), []
    for goal in (*steps, FULL_WEIGHT):
        phase = "Promoting" if goal == FULL_WEIGHT else "Stepping" if shares else "Starting"
        while not shares or shares[-1] < goal:
            status = status_of(phase, shares, target=goal)
            # Before the newest share is in force, the one before has its pods too.
            early = allocation_of(
                product, status, stable_pods=demand,
                serving=serving_pods(*ready, is_reached=False),
            )  # fmt: skip
            assert sum(pods_in(early)) <= pods
            assert is_enough(exchange, pods_in(early), shares[-2] if len(shares) > 1 else 0)
            after = allocation_of(product, status, stable_pods=demand, serving=serving_pods(*ready))
            assert sum(pods_in(after)) <= pods
            share = shares[-1] if shares else 0
            assert is_enough(exchange, (min(ready[0], after.replicas("a")), ready[1]), share)
            assert after.replicas("b") >= after.needed > 0
            ready = pods_in(after)
            shares.append(after.part or goal)
            assert is_enough(exchange, ready, shares[-1])
    while shares[-1]:
        share = min(shares[-1], FULL_WEIGHT - exchange.share_of(ready[0]))
        assert share < shares[-1], "the traffic returns with each batch"
        shares.append(share)
        status = status_of("RollingBack", shares, returning=share)
        after = allocation_of(product, status, stable_pods=demand, serving=serving_pods(*ready))
        assert sum(pods_in(after)) <= pods
        assert is_enough(exchange, (ready[0], min(ready[1], after.replicas("b"))), share)
        ready = pods_in(after)
    assert ready[0] >= exchange.serving


@pytest.mark.parametrize(
    ("phase", "weights", "fields", "expected", "weights_after", "selected"),
    [
        ("Starting", [], {"target": 10}, (3, 1), (("a", 100),), "a"),
        ("Stepping", [10], {}, (3, 1), (("a", 90), ("b", 10)), None),
        ("Stepping", [10], {"target": 50}, (3, 1), (("a", 90), ("b", 10)), None),
        ("Stepping", [10, 33], {"target": 50}, (2, 2), (("a", 67), ("b", 33)), None),
        ("Promoting", [50, 67], {}, (1, 3), (("a", 33), ("b", 67)), None),
        ("Promoting", [67, 100], {}, (1, 3), (("b", 100),), None),
        ("RollingBack", [50, 33], {"returning": 33}, (3, 1), (("a", 67), ("b", 33)), None),
        ("RollingBack", [33, 0], {"returning": 0}, (3, 1), (("a", 100),), "a"),
        ("Parked", [], {}, (4, 0), (("a", 100),), "a"),
    ],
)  # fmt: skip
def test_four_pods_are_exchanged_one_by_one(
    phase, weights, fields, expected, weights_after, selected
):
    status = status_of(phase, weights, **fields)
    after = allocation_of(product_of(4), status, stable_pods=4)
    assert (pods_in(after), after.weights, after.selected) == (expected, weights_after, selected)


def test_an_autoscaler_has_the_pods_that_the_candidate_leaves():
    status = status_of("Stepping", [10, 33], target=50)
    after = allocation_of(product_of(4, scaled=True), status, stable_pods=4)
    assert (after.placements[0].floor, after.placements[0].ceiling) == (2, 2)
    alone = allocation_of(product_of(4, scaled=True), status_of("Parked", []), stable_pods=4)
    assert (alone.placements[0].floor, alone.placements[0].ceiling) == (0, 0)


@given(
    pods=st.integers(2, 30),
    has=st.dictionaries(st.sampled_from("abc"), st.integers(0, 30)),
    phase=st.sampled_from(["Starting", "Stepping", "Promoting", "RollingBack", "Parked"]),
)
def test_a_version_gets_a_pod_only_once_another_has_given_it_up(pods, has, phase):
    status = status_of(phase, [50])
    allocation = allocation_of(product_of(pods), status, stable_pods=pods)
    after = within_room(allocation, Exchange(pods, pods), has, scaled=False)
    grown = {
        placement.version.revision: max(placement.replicas, has.get(placement.version.revision, 0))
        for placement in after.placements
    }
    total = sum((has | grown).values())
    assert total <= max(pods, sum(has.values()))
    assert all(
        one.replicas <= desired.replicas
        for one, desired in zip(after.placements, allocation.placements, strict=True)
    )


def test_an_autoscaler_adds_no_pod_while_a_candidate_still_has_one():
    placements = allocation_of(
        product_of(4, scaled=True), status_of("RollingBack", [33, 0], returning=0), stable_pods=4
    )
    after = within_room(placements, Exchange(4, 4), {"a": 2, "b": 2}, scaled=True)
    assert after.placements[0].ceiling == 2
    assert replace(after.placements[0], replicas=2, ceiling=2, floor=2) == after.placements[0]


def test_an_autoscaler_is_limited_before_a_candidate_gets_its_first_pod():
    product, status = product_of(4, scaled=True), status_of("Starting", [], target=50)
    allocation = allocation_of(product, status, stable_pods=4)
    children = build_children(product, allocation, {}, service_kind=ServiceKind.HEADLESS)
    kinds = [child.resource for child in children]
    assert kinds.index(HORIZONTAL_POD_AUTOSCALERS) < kinds.index(DEPLOYMENTS)


def test_an_autoscaler_of_a_first_version_leaves_the_pods_of_those_that_it_replaces():
    first = version("b") | {"phase": "Starting", "startTime": SINCE}
    status = read_status({"candidate": first})
    product = product_of(4, routed=False, scaled=True)
    allocation = allocation_of(product, status, stable_pods=1)
    after = within_room(allocation, Exchange(4, 1), {"a": 3}, scaled=True)
    assert after.placements[0].ceiling == 1
