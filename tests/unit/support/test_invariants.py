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
def test_of_nothing_nothing_is_promised(check):
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


def test_pods_that_were_ready_before_their_version_became_stable_count():
    with pytest.raises(AssertionError, match="without pods"):
        stable_always_had_pods([pods(1, "v1", 1), product(2, "v1"), pods(3, "v1", 0)])


def test_the_pods_of_a_version_that_gave_way_may_go():
    stable_always_had_pods(
        [pods(1, "v1", 1), product(2, "v1"), pods(3, "v2", 1), product(4, "v2"), pods(5, "v1", 0)]
    )


def test_a_version_that_is_in_no_history_is_lost():
    with pytest.raises(AssertionError, match="lost"):
        no_version_was_lost([product(1, "v1"), product(2, "v2")])


@pytest.mark.parametrize(
    "after", [product(2, "v1", candidate={"weight": 50}), product(2, "v2")], ids=["step", "promote"]
)
def test_a_step_and_a_promotion_are_decisions(after):
    with pytest.raises(AssertionError, match=r"advanced|promoted"):
        nothing_was_decided([product(1, "v1", candidate={"weight": 5}), after])
