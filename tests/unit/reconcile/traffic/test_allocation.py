"""How many pods and which share each version is to have."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.product import DataProduct, read_status
from sluicegate.api.versions import FULL_WEIGHT
from sluicegate.reconcile.traffic.allocation import (
    ServingPods,
    allocation_of,
    pods_for,
    split_by_replicas,
)
from tests.support.decisions.rollout_world import RUNTIME, document, image

if TYPE_CHECKING:
    from sluicegate.api.status import DataProductStatus

# Promised, so written as numbers here.
SURGE = 1.5

SPEC = DataProduct.parse(document()).spec


@given(st.integers(1, 99), st.integers(1, 200))
def test_pods_for_a_share_are_ready_before_the_share_is_raised(weight, stable):
    pods = pods_for(SPEC, weight, stable)
    assert pods >= max(1, ceil(weight * stable / FULL_WEIGHT)) or weight >= SPEC.rollout.steps[-1]
    assert pods <= stable
    if weight >= SPEC.rollout.steps[-1]:
        assert pods == stable


@given(st.integers(1, 99), st.integers(1, 200))
def test_without_a_route_replicas_give_the_share_within_the_surge(weight, stable):
    ours, theirs = split_by_replicas(weight, stable)
    assert ours >= 1
    assert theirs >= 1
    assert ours <= stable
    assert ours + theirs <= max(stable + 1, ceil(SURGE * stable))


@given(st.integers(1, 50), st.integers(20, 200))
def test_without_a_route_replicas_give_at_least_the_requested_share(weight, stable):
    ours, theirs = split_by_replicas(weight, stable)
    assert theirs / (ours + theirs) >= weight / FULL_WEIGHT - 1e-9


def test_a_candidate_without_a_share_has_no_pods():
    assert pods_for(SPEC, 0, 8) == 0
    assert split_by_replicas(0, 8) == (8, 0)


def version(digit: str) -> dict[str, str]:
    """Return a version as status names it; its revision is its digit."""
    return {
        "version": f"v{digit}", "image": image(digit), "runtimeImage": RUNTIME,
        "revision": digit, "source": "Spec",
    }  # fmt: skip


def candidate_status(phase: str, weight: int = 10, target: int | None = None) -> DataProductStatus:
    """Return status with a candidate that has a share of the traffic, in percent."""
    since = "2026-01-01T09:00:00Z"
    shares = {"phase": phase, "weight": weight, "target": target or weight, "startTime": since}
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
        (True, False, FULL_WEIGHT, "a"),
        (True, True, FULL_WEIGHT, "b"),
        (True, True, 50, "a"),
        (False, False, FULL_WEIGHT, "b"),
        (False, False, 50, None),
        (False, False, 0, "a"),
    ],
)
def test_the_product_service_selects_one_version_with_a_gateway_and_both_without(
    route, followed, weight, selected
):
    beside = {"route": None, "serving": {"autoscaling": SCALED, "resources": RESOURCES}}
    product = DataProduct.parse(document(**({} if route else beside)))
    status = candidate_status("Promoting", weight)
    assert (
        allocation_of(product, status, stable_pods=4, route_followed=followed).selected == selected
    )


@pytest.mark.parametrize("phase", ["Stepping", "Promoting", "RollingBack", "Parked"])
@pytest.mark.parametrize("scaled", [False, True], ids=["fixed", "scaled"])
@given(
    weight=st.integers(1, 99), desired=st.integers(2, 40), has=st.tuples(*[st.integers(0, 40)] * 2)
)
def test_kept_pods_stay_and_no_pod_is_started_beyond_the_surge(phase, scaled, weight, desired, has):
    serving = {"autoscaling": SCALED, "resources": RESOURCES} if scaled else {"replicas": desired}
    status = candidate_status(phase, weight)
    product = DataProduct.parse(document(route=None, serving=serving))
    kept = dict(zip("ab", has, strict=True))
    allocation = allocation_of(product, status, stable_pods=desired, kept_pods=kept)
    pods = {name: allocation.replicas(name) for name in "ab"}
    assert all(pods[name] >= kept[name] for name in "ab")
    added = pods["b"] > kept["b"]
    assert not added or sum(pods.values()) <= max(desired + 1, ceil(SURGE * desired))


def is_selected(revision: str, selected: str | None) -> bool:
    return selected in (None, revision)


@given(
    phase=st.sampled_from(["Starting", "Stepping", "AwaitingApproval", "Promoting", "RollingBack"]),
    weight=st.sampled_from([0, 5, 33, 50, 99, FULL_WEIGHT]),
    target=st.sampled_from([5, 50, 99]),
    desired=st.integers(1, 12),
    data=st.data(),
)
def test_without_a_route_each_change_leaves_ready_pods_for_all_requests(
    phase, weight, target, desired, data
):
    """The pods that the Service selects are enough before a change, and no more than the surge."""
    most = max(desired + 1, ceil(SURGE * desired))
    before = {0: "a", FULL_WEIGHT: "b"}.get(weight)
    if phase == "RollingBack" and weight:
        before = None
    stable = data.draw(st.integers(0, desired) if before != "a" else st.just(desired))
    candidate = data.draw(st.integers(0, most - stable))
    has = {"a": stable, "b": candidate}
    pods = sum(ready for name, ready in has.items() if is_selected(name, before))
    serving = ServingPods(
        stable=stable,
        candidate=candidate,
        stable_replicas=stable,
        candidate_replicas=candidate,
        selected=before or "",
        is_reached=before is None,
        waits_for_pods=True,
    )
    status = candidate_status(phase, weight, max(target, weight))
    product = DataProduct.parse(document(route=None, serving={"replicas": desired}))
    after = allocation_of(product, status, stable_pods=desired, serving=serving)
    left = sum(
        min(ready, after.replicas(name))
        for name, ready in has.items()
        if is_selected(name, after.selected)
    )
    assert left >= min(desired, pods) or (candidate == 0 and after.selected == "a")
    assert sum(after.replicas(name) for name in "ab") <= most


@pytest.mark.parametrize("scaled", [False, True], ids=["fixed", "scaled"])
@pytest.mark.parametrize("routed", [True, False], ids=["routed", "replicas"])
@pytest.mark.parametrize("mirrored", [True, False])
def test_requests_are_mirrored_to_a_candidate_during_its_rollout(scaled, routed, mirrored):
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
    tried = {phase for phase, layout in found.items() if layout.tried == "b"}
    assert tried == ({"Starting", "Stepping", "AwaitingApproval"} if mirrored else set())
    assert all(layout.tried == "" for phase, layout in found.items() if phase not in tried)
