"""What a decision leaves in status."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import VersionSource
from sluicegate.policy.model.decision import Rollback
from sluicegate.policy.transitions import apply_decision
from tests.support.decisions.judged import START, V1, V2, V3, candidate, judged_by, serving
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)


@pytest.mark.parametrize(
    ("source", "named", "forgotten"),
    [
        (VersionSource.SPEC, V2, True),
        (VersionSource.SPEC, V3, False),
        (VersionSource.RETRAINING, V2, False),
    ],
    ids=["it is the candidate", "it is another version", "a training made the same"],
)
def test_a_spec_model_whose_rollout_is_superseded_counts_as_not_tried(source, named, forgotten):
    model = SpecModel.of(named, Outcome.IN_PROGRESS, START)
    status = serving(candidate=candidate(5, source=source), spec_model=model)
    superseded = Rollback(reason=Reason.SUPERSEDED, message="", numbers={}, leaving=V2, to=V1)
    after = apply_decision(TERMS, status, superseded, START + 3600)
    assert after.candidate is None
    assert after.spec_model == (None if forgotten else model)
