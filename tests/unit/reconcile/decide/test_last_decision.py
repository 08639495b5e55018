"""status.decision is what was decided last, also where the pods of a candidate decide it."""

from __future__ import annotations

import pytest

from tests.support.rollout_world import broken_pod
from tests.support.rollouts import finished, serving


def test_a_candidate_that_can_t_start_is_the_last_decision():
    """It still said that the candidate gets 25 %, and the reason was in an event only."""
    world = serving().push("b", "v2")
    world.broken["v2"] = broken_pod("No module named 'lightgbm'")
    world.run().until(finished)
    decision = world.current.decision
    assert decision is not None
    assert (decision.type, decision.reason) == ("Rollback", "CanaryNotReady")
    assert "No module named 'lightgbm'" in decision.message


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_share_of_the_budget_is_left_of_the_objective_s_window(blocks):
    """It was that of the last minutes, and whole again minutes after an outage."""
    world = serving()
    world.bad["v1"] = 0.1
    world.run(20)
    world.bad["v1"] = 1.0
    world.run(blocks)
    world.bad["v1"] = 0.0
    world.run(30)
    status = world.history[-1].status.slos[0]
    assert status.budget_remaining is not None
    revision = world.current.stable.revision
    counts = [
        one.versions[revision].accuracy for one in world.counts.blocks if revision in one.versions
    ]
    bad, total = sum(one.bad for one in counts), sum(one.total for one in counts)
    assert float(status.budget_remaining) == pytest.approx(1 - bad / (0.2 * total), abs=0.05)
