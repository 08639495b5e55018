"""When a model of the spec is tried: another bento, and the same one in another runtime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.engine import ProductState
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.decision import StartRollout
from sluicegate.policy.model.observed import RolloutProgress
from sluicegate.policy.rollout.new_versions import overtaking_decision, retry_due
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V2,
    V3,
    candidate,
    judged_by,
    observed,
    parked,
    serving,
)
from tests.support.decisions.scenarios import ACCURACY

NEWER_RUNTIME = replace(V2, runtime_image="registry.example/runtime@sha256:new")


@pytest.mark.parametrize(
    ("outcome", "tried"),
    [
        (Outcome.PROMOTED, "v1"),
        (Outcome.SUPERSEDED, "v1"),
        (Outcome.ROLLED_BACK, "v2"),
        (Outcome.INCONCLUSIVE, "v2"),
    ],
)
def test_a_new_runtime_image_does_not_roll_out_a_replaced_model(outcome, tried):
    """The present stable version is tried in it; a model that was refused may do better in another one."""
    status = serving(spec_model=SpecModel.of(V2, outcome, START))
    seen = replace(observed(), desired=NEWER_RUNTIME)
    decision = evaluate(judged_by(ACCURACY), status, seen, START + 60).decision
    assert isinstance(decision, StartRollout)
    assert decision.candidate.version == tried
    assert decision.candidate.runtime_image == NEWER_RUNTIME.runtime_image


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        (None, False),
        (RolloutProgress(), True),
        (RolloutProgress(committed=True), False),
        (RolloutProgress(committed=True, serves=False), True),
        (RolloutProgress(frozen=True), False),
    ],
    ids=["not seen", "not taken yet", "it serves", "it doesn't serve", "suspended"],
)
def test_a_new_model_ends_a_promotion_that_does_not_serve_all_requests_yet(seen, ends):
    promoted = candidate(5).replace(phase=CandidatePhase.PROMOTING, weight=100)
    status = serving(candidate=promoted, spec_model=SpecModel.of(V2, Outcome.IN_PROGRESS, START))
    read = replace(observed(rollout=seen), desired=V3)
    found = overtaking_decision(judged_by(ACCURACY), status, read)
    assert (found is not None) is ends
    if found is not None:
        assert found.reason is Reason.MODEL_CHANGED


@pytest.mark.parametrize(
    ("quality", "events", "is_retried"),
    [
        (Quality.COUNTED, 0, False),
        (Quality.COUNTED, 9, True),
        (Quality.UNAVAILABLE, 0, True),
    ],
    ids=["no request comes", "requests come", "not measured"],
)
def test_a_retry_after_a_pause_of_the_traffic_waits_only_for_requests_that_were_measured_as_none(
    quality, events, is_retried
):
    waiting = parked(candidate(5)).replace(
        retry_time=START, retries=1, decision_reason=Reason.NO_TRAFFIC
    )
    counts = Series()
    counts.record(Block(START // BLOCK, quality, Count(0, events)))
    read = observed(series={"v1": {"accuracy": counts}})
    decision = retry_due(judged_by(ACCURACY), serving(candidate=waiting), read, START + 60)
    assert isinstance(decision, StartRollout) is is_retried


@pytest.mark.parametrize("state", [None, ProductState.DEGRADED])
def test_a_product_keeps_its_last_state_during_a_promotion(state):
    promoted = candidate(5).replace(phase=CandidatePhase.PROMOTING, weight=100)
    status = serving(candidate=promoted, state=state)
    found = evaluate(judged_by(ACCURACY), status, observed(), START + 60)
    assert (found.state, found.judged) == (state or ProductState.UNKNOWN, False)
    assert found.decision.reason is Reason.CANARY_IN_PROGRESS
