"""The invariants of the fault tests fail when they are broken, and when there was nothing to break."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.apiserver.invariants import (
    State,
    no_version_was_lost,
    nothing_was_decided,
    stable_always_had_pods,
)

CHECKS = (no_version_was_lost, nothing_was_decided, stable_always_had_pods)


def product(at: int, version: str, **status: Any) -> State:
    stable = {"version": version, "image": f"images/{version}", "revision": version}
    return state(at, "dataproducts", "cars", {"stable": stable, **status})


def pods(at: int, version: str, ready: int) -> State:
    return state(at, "deployments", f"cars-{version}", {"readyReplicas": ready})


def state(at: int, kind: str, name: str, status: dict[str, Any]) -> State:
    return State(f"{at:03}", "someone", "patch", kind, name, {"status": status})


@pytest.mark.parametrize("check", CHECKS)
def test_an_empty_world_violates_no_invariant(check):
    with pytest.raises(AssertionError, match=r"no .*version"):
        check([])


@pytest.mark.parametrize("check", CHECKS)
def test_a_rolled_back_canary_violates_no_invariant(check):
    check(
        [
            pods(1, "v1", 1),
            product(2, "v1", candidate={"weight": 5}),
            product(3, "v1", history=[{"image": "images/v2"}]),
        ]
    )


def test_the_invariants_count_pods_ready_before_their_version_became_stable():
    with pytest.raises(AssertionError, match="without pods"):
        stable_always_had_pods([pods(1, "v1", 1), product(2, "v1"), pods(3, "v1", 0)])


def test_pods_of_a_replaced_version_may_be_removed_under_the_invariants():
    stable_always_had_pods(
        [pods(1, "v1", 1), product(2, "v1"), pods(3, "v2", 1), product(4, "v2"), pods(5, "v1", 0)]
    )


def test_a_version_missing_in_the_history_violates_an_invariant():
    with pytest.raises(AssertionError, match="lost"):
        no_version_was_lost([product(1, "v1"), product(2, "v2")])


@pytest.mark.parametrize(
    "after", [product(2, "v1", candidate={"weight": 50}), product(2, "v2")], ids=["step", "promote"]
)
def test_steps_and_promotions_count_as_decisions_of_the_invariants(after):
    with pytest.raises(AssertionError, match=r"advanced|promoted"):
        nothing_was_decided([product(1, "v1", candidate={"weight": 5}), after])
