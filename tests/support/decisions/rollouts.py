"""Rollouts of a product in memory, run to their end: what must hold at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.versions import CandidatePhase
from tests.support.decisions.rollout_world import (
    GATEWAY,
    World,
    serving_world,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTES = pytest.mark.parametrize("route", [GATEWAY, None], ids=["route", "no route"])
TRAINING = {
    "mode": "Automatic",
    "command": ["train"],
    "output": "registry.example/bentos/search",
    "cooldownSeconds": 3600,
}


def serving(**spec: Any) -> World:
    """Return a world whose first version has served long enough to be evaluated."""
    return serving_world(36, **spec)


def finished(world: World) -> bool:
    """Return whether the product has no candidate."""
    return world.current.candidate is None


def in_phase(phase: CandidatePhase) -> Callable[[World], bool]:
    """Return whether the candidate is in this phase."""

    def holds(world: World) -> bool:
        return world.current.candidate is not None and world.current.candidate.phase is phase

    return holds


def watched(world: World, most: int = 400) -> World:
    """Run to the end of the rollout, with what must always hold checked after each step."""
    for _ in range(most):
        world.run()
        assert_nothing_is_lost(world)
        if finished(world) or world.current.candidate.phase is CandidatePhase.PARKED:
            return world
    raise AssertionError(f"the rollout never ends: {world.current.candidate}")


def assert_nothing_is_lost(world: World) -> None:
    """Assert that a version with a share has pods for it, and that stable always has pods."""
    stable, candidate = world.current.stable, world.current.candidate
    assert stable is not None
    assert world.pods[stable.revision].desired >= 1
    for revision, pods in world.pods.items():
        if world.share(revision) > 0:
            assert pods.ready >= 1, f"{pods.version.version} has requests and no pods"
    if candidate is not None and candidate.weight == 0 and not candidate.shares:
        assert world.share(candidate.revision) == 0


def at_weight(weight: int) -> Callable[[World], bool]:
    """Return whether the candidate has this share of the requests, in percent."""
    return lambda one: one.current.candidate is not None and one.current.candidate.weight == weight
