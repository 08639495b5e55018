"""The judge of lives with truth finds a status that isn't that of the world."""

from __future__ import annotations

import pytest

from benchmarks.virtual.variation import HOUR
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from tests.support.lives.judging import FOLLOWS_SECONDS, Judge
from tests.support.virtual.stories import BLOCK, RARELY, Body, on_virtual_time, product, served


def with_message(status: Body, text: str) -> Body:
    """Return the same status, whose SLO has another message."""
    (slo,) = status["slos"]
    return {**status, "slos": [{**slo, "message": text}]}


def waiting(status: Body) -> Body:
    """Return the same status, in which a candidate waits for approval and its phase doesn't say so."""
    candidate = {
        **status["stable"],
        "version": "v2",
        "phase": "Stepping",
        "startTime": "2026-01-01T00:00:00Z",
    }
    decision = {
        "type": "Hold",
        "reason": "AwaitingApproval",
        "message": "v2 has passed",
        "decisionTime": "2026-01-01T00:00:00Z",
    }
    return {**status, "candidate": candidate, "decision": decision}


@on_virtual_time
async def test_the_checker_detects_a_message_with_more_events_than_happened(world):
    key = await served(world, product(), **RARELY)
    found: list[tuple[str, Key, str]] = []
    judge = Judge(world, key, BLOCK, lambda *one: found.append(one), lambda: True)
    await world.run(HOUR)
    judge.look()
    assert judge.checked["level"] == 1
    assert not found
    text = "accuracy is at 89.0 % (n=9,000,000, last 2 h), 90.0 % when it was accepted"
    world.server.set_status(DATA_PRODUCTS, key, with_message(world.status(key), text))
    judge.look()
    assert [name for name, *_ in found] == ["numbers"]


@pytest.mark.parametrize(
    ("name", "present"), [("exposed", True), ("wait without a name", True), ("exposed", False)]
)
@on_virtual_time
async def test_the_checker_detects_a_violation_longer_than_the_reaction_time(world, name, present):
    key = await served(world, product(), **RARELY)
    await world.run(60)
    world.leader().kill()  # or it would put this right
    found: list[tuple[str, Key, str]] = []
    judge = Judge(world, key, BLOCK, lambda *one: found.append(one), lambda: present)
    if name == "exposed":
        world.cluster._weights[key] = {"search-other": 5, **world.cluster.weights_of(key)}
    else:
        world.server.set_status(DATA_PRODUCTS, key, waiting(world.status(key)))
    judge.look()
    assert not found
    await world.run(FOLLOWS_SECONDS + 1)
    judge.look()
    assert [one[0] for one in found] == [name] * present
