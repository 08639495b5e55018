"""How far a rollout may go: each thing that has to be seen first, by itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from sluicegate.api.versions import CandidatePhase
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.policy.model.observed import Observed, RolloutProgress
from sluicegate.policy.rollout.setbacks import setback_rollback
from sluicegate.reconcile.decide.rollout import advance, progress_of
from sluicegate.reconcile.traffic.split_verification import Split, VerificationLevel
from tests.support.decisions.rollout_world import World, serving_world

ACCEPTED = Split(VerificationLevel.ACCEPTED, "each Gateway has accepted the route", enough=True)
WRITTEN = Split(VerificationLevel.WRITTEN, "the Gateway hasn't looked at it yet")
QUIET = Requests(stable=0, candidate=0, blocks=5, quiet_stable=5, quiet_candidate=5)
BUSY = Requests(stable=100, candidate=100, blocks=5)


@cache
def in_phase(phase: CandidatePhase) -> World:
    """Return v2 beside v1, in this phase; it takes all requests while it is being promoted."""
    world = serving_world(20, rollout={"steps": [50], "maxDurationSeconds": 86_400})
    if phase is CandidatePhase.ROLLING_BACK:
        world.bad["v2"] = 0.6
    world.push("b", "v2")
    full = phase is CandidatePhase.PROMOTING
    return world.until(
        lambda one: (
            one.current.candidate is not None
            and one.current.candidate.phase is phase
            and (one.current.candidate.weight == 100 or not full)
        )
    )


def seen(world: World, **fields):
    """Return the observation without a route, with these fields replaced."""
    return replace(world.observation(), route=None, **fields)


def outcome(world: World, observation) -> str:
    """Return the rollout's next move: it completes, raises the share, or waits."""
    progress = progress_of(observation, world.current)
    assert progress is not None
    return "completed" if progress.completed else "share" if progress.share else "waits"


@pytest.mark.parametrize("phase", [CandidatePhase.PROMOTING, CandidatePhase.ROLLING_BACK])
@pytest.mark.parametrize(
    ("split", "requests", "kind"),
    [
        (ACCEPTED, QUIET, "completed"),
        (WRITTEN, QUIET, "waits"),
        (ACCEPTED, BUSY, "waits"),
        (WRITTEN, BUSY, "waits"),
        (None, QUIET, "completed"),
    ],
    ids=["done", "not taken by the Gateway", "still asked", "neither", "no route"],
)
def test_pods_are_removed_once_the_gateway_applied_the_weights_and_no_request_reaches_them(
    phase, split, requests, kind
):
    world = in_phase(phase)
    assert outcome(world, seen(world, split=split, requests=requests)) == kind


@pytest.mark.parametrize("phase", [CandidatePhase.PROMOTING, CandidatePhase.ROLLING_BACK])
@pytest.mark.parametrize(("seconds", "kind"), [(9, "waits"), (10, "completed")])
def test_unready_pods_are_removed_once_the_gateway_applied_the_weights(phase, seconds, kind):
    """A Gateway accepts before its data plane follows, and the pod may be ready again by then."""
    world = in_phase(phase)
    rolling = seen(world, split=ACCEPTED, requests=BUSY)
    status = world.current
    leaving = status.candidate if phase is CandidatePhase.ROLLING_BACK else status.stable
    unready = replace(rolling.live[leaving.revision], ready=0)
    moved = status.candidate.wait_start_time or status.candidate.start_time
    moved = max(moved, status.candidate.shares[-1].start_time)
    rolling = replace(
        rolling, live={**rolling.live, leaving.revision: unready}, now=int(moved) + seconds
    )
    assert outcome(world, rolling) == kind


def starting() -> World:
    world = serving_world(20, rollout={"steps": [50], "maxDurationSeconds": 86_400}).push("b", "v2")
    world.until(lambda one: one.current.candidate is not None)
    assert world.current.candidate.phase is CandidatePhase.STARTING
    return world


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "share"),
        ({"current": False}, "waits"),
        ({"ready": 1}, "waits"),
        ({"ready": 0}, "waits"),
    ],
    ids=["ready", "of an earlier pod template", "too few", "none"],
)
def test_a_candidate_gets_its_share_once_pods_of_the_newest_template_are_ready(fields, kind):
    """A Deployment that its controller hasn't observed yet counts the pods that are to go."""
    world = starting()
    rolling = seen(world, split=ACCEPTED)
    revision = world.current.candidate.revision
    known = {"current": True, "ready": rolling.live[revision].replicas, **fields}
    live = {**rolling.live, revision: replace(rolling.live[revision], **known)}
    assert outcome(world, replace(rolling, live=live)) == kind


def test_a_candidate_without_a_deployment_gets_no_share():
    world = starting()
    assert outcome(world, replace(seen(world), live={})) == "waits"


@pytest.mark.parametrize(("seconds", "back"), [(600, False), (601, True)])
def test_a_promotion_that_the_gateway_has_not_applied_after_ten_minutes_is_rolled_back(
    seconds, back
):
    world = in_phase(CandidatePhase.PROMOTING)
    since = world.current.candidate.shares[-1].start_time
    rolling = replace(seen(world, split=WRITTEN, requests=BUSY), now=since + seconds)
    assert outcome(world, rolling) == "waits"
    progress = progress_of(rolling, world.current)
    decided = setback_rollback(world.current, Observed(block=0, rollout=progress))
    assert (decided is not None) is back


@pytest.mark.parametrize(("capacity", "is_part"), [("Double", False), ("Replace", True)])
def test_a_share_of_a_promotion_is_announced_except_where_pods_are_exchanged(capacity, is_part):
    spec = {"serving": {"replicas": 4}, "rollout": {"steps": [50], "capacity": capacity}}
    world = serving_world(20, route=None, **spec).push("b", "v2")
    world.until(lambda one: one.current.candidate is not None and one.current.candidate.weight > 0)
    status = world.current.with_candidate(phase=CandidatePhase.PROMOTING)
    after, (event,) = advance(world.observation(), status, RolloutProgress(share=67))
    assert after.candidate is not None
    assert (event.log_only, after.candidate.has_part) == (is_part, is_part)
