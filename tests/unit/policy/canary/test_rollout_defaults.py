"""Steps and duration where the spec names none: from what comes, and fixed for one rollout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.crd import build_crd
from sluicegate.policy.canary.rollout_defaults import (
    derive_rollout,
    terms_for_current,
    terms_for_next,
)
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import (
    BLOCK,
    V1,
    V2,
    V3,
    judged_by,
    observed,
    series,
    serving,
)
from tests.support.decisions.rollout_world import World, document
from tests.support.decisions.scenarios import ACCURACY

NOW = 24 * BLOCK
LEFT_OUT = judged_by(ACCURACY, rollout=None)


def seen(requests: int, *, desired=V1):
    """Return blocks in each of which so many requests of v1 came."""
    counts = series(*[(0, requests)] * 24)
    return replace(observed(block=24, series={"v1": {"accuracy": counts}}), desired=desired)


def started(terms=LEFT_OUT):
    """Return status once v2 has begun, while 100 requests a block came."""
    decision = evaluate(terms, serving(), seen(100, desired=V2), NOW).decision
    return carry_out_at_once(terms, serving(), decision, NOW)


def test_the_crd_sets_no_default_for_derived_rollout_fields():
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rollout = spec["properties"]["rollout"]["properties"]
    assert "default" not in rollout["steps"]
    assert "default" not in rollout["maxDurationSeconds"]


@pytest.mark.parametrize(
    ("requests", "steps"), [(334, (5, 25, 50)), (333, (25, 50)), (66, (50,)), (0, (5, 25, 50))]
)
def test_default_steps_are_shares_at_which_enough_requests_arrive_soon(requests, steps):
    assert terms_for_next(LEFT_OUT, seen(requests)).steps == steps


@pytest.mark.parametrize(
    ("counts", "steps"),
    [
        pytest.param({"v1": [None] * 22 + [334] * 2}, (5, 25, 50), id="of a version of two blocks"),
        pytest.param(
            {"v1": [334] * 22 + [0] * 2, "v2/1": [None] * 22 + [334] * 2}, (5, 25, 50),
            id="of both, where one has just replaced the other",
        ),
        pytest.param(
            {"v1": [334] * 8 + [None] * 8 + [334] * 8}, (5, 25, 50),
            id="over the blocks that were measured, around an outage",
        ),
        pytest.param({"v1": [334] + [0] * 23}, (50,), id="less, where hours passed without a request"),
        pytest.param({"v1": [None] * 24}, (5, 25, 50), id="not known, where nothing was measured"),
    ],
)  # fmt: skip
def test_the_request_rate_is_that_of_all_versions_over_the_measured_time(counts, steps):
    found: dict[str, dict[str, Series]] = {name: {"accuracy": Series()} for name in counts}
    for version, blocks in counts.items():
        for index, total in enumerate(blocks, start=1):
            if total is not None:
                counted = Block(index, Quality.COUNTED, Count(0, total))
                found[version]["accuracy"].record(counted)
    assert terms_for_next(LEFT_OUT, observed(block=24, series=found)).steps == steps


def test_given_rollout_fields_apply_at_any_traffic():
    chosen = judged_by(ACCURACY, rollout={"steps": [5, 50], "maxDurationSeconds": 60})
    terms = terms_for_current(terms_for_next(chosen, seen(10)), started(), seen(10))
    assert (terms.steps, terms.max_duration_seconds) == ((5, 50), 60)
    assert evaluate(chosen, serving(), seen(10, desired=V2), NOW).decision.derived is None


def test_derived_rollout_fields_are_fixed_when_the_rollout_starts():
    status = started()
    assert status.candidate.target == 25
    assert status.candidate.derived.steps == (25, 50)
    assert "20 requests a minute" in status.candidate.derived.message
    assert terms_for_current(LEFT_OUT, status, seen(4000)).steps == (25, 50)


def test_a_version_that_supersedes_a_candidate_takes_the_steps_of_the_traffic_by_then():
    decision = evaluate(LEFT_OUT, started(), seen(4000, desired=V3), NOW).decision
    assert (decision.candidate, decision.weight) == (V3, 5)
    assert decision.derived.steps == (5, 25, 50)
    assert "it gets 5 %" in decision.message


def test_a_rollout_field_removed_during_a_rollout_is_derived_from_the_current_traffic():
    """Without one the default applied, and ended a rollout of a day after four hours."""
    chosen = judged_by(ACCURACY, rollout={"maxDurationSeconds": 86_400})
    status = started(chosen)
    assert status.candidate.derived.max_duration_seconds is None
    longest = derive_rollout(LEFT_OUT, seen(5)).max_duration_seconds
    assert longest > 4 * 3600
    assert terms_for_current(LEFT_OUT, status, seen(5)).max_duration_seconds == longest


def test_the_first_share_of_a_rollout_is_the_derived_first_step():
    """The layout took the first of the default steps, whatever the decision said."""
    world = World(spec=document(rollout=None), rate=5)
    world.until(lambda world: world.serving == "v1").run(36).push("b", "v2")
    world.until(lambda world: world.current.candidate and world.current.candidate.weight)
    assert world.current.candidate.weight == 50
    assert world.current.candidate.derived.steps == (50,)


def test_a_shadow_phase_extends_the_default_duration_if_no_label_rate_is_known():
    unlabelled = replace(observed(block=24), desired=V1)
    shadowed = replace(LEFT_OUT, shadow_seconds=86_400)

    alone = derive_rollout(LEFT_OUT, unlabelled)
    beside = derive_rollout(shadowed, unlabelled)

    assert alone.max_duration_seconds == 4 * 3600
    assert beside.max_duration_seconds == 14 * 86_400
    assert "a shadow phase waits for labels of accuracy" in beside.message
