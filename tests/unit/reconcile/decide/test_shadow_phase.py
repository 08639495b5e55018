"""What status says while a Job of the shadow phase can't be created."""

from __future__ import annotations

from dataclasses import replace

from sluicegate.reconcile.decide.shadow_phase import with_shadow
from tests.support.decisions.rollout_world import serving_world


def test_a_refusal_message_of_a_shadow_job_is_cut_to_fit_status():
    """The API server refuses the whole status otherwise."""
    phase = {"command": ["score"], "intervalSeconds": 300}
    world = serving_world(3, rollout={"steps": [50], "shadow": phase}).push("b", "v2")
    world.until(lambda one: one.current.trial and one.current.trial.shadow.job)
    observation = replace(world.observation(), shadow_refusal="quota exceeded " * 1000)
    status, _ = with_shadow(observation, world.current)
    shadow = status.trial.shadow
    assert shadow.job.startswith("search-shadow-")
    assert shadow.reason == "JobRefused"
    assert shadow.message.startswith("The shadow Job isn't created: quota exceeded")
    assert len(shadow.message) == 4096
