"""What a decision leaves in status."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import MAX_SHARES, CandidatePhase, Share, VersionSource
from sluicegate.policy.model.decision import Rollback
from sluicegate.policy.rollout.candidates import bounded_shares, with_share
from sluicegate.policy.rollout.decision_status import carry_out_at_once
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
def test_a_spec_model_with_a_superseded_rollout_may_be_rolled_out_again(source, named, forgotten):
    model = SpecModel.of(named, Outcome.IN_PROGRESS, START)
    status = serving(candidate=candidate(5, source=source), spec_model=model)
    superseded = Rollback(reason=Reason.SUPERSEDED, message="", numbers={}, leaving=V2, to=V1)
    after = carry_out_at_once(TERMS, status, superseded, START + 3600)
    assert after.candidate is None
    assert after.spec_model == (None if forgotten else model)


def test_the_first_share_starts_the_first_step_and_later_shares_are_appended():
    given = Share(weight=5, start_time=START)
    first = with_share(candidate(), 5, START)
    assert first == candidate().replace(
        phase=CandidatePhase.STEPPING,
        step=1,
        weight=5,
        target=5,
        shares=(given,),
        first_traffic_time=START,
    )
    then = Share(weight=50, start_time=START + 60)
    assert with_share(first, 50, START + 60) == first.replace(
        weight=50, target=50, shares=(given, then)
    )


def test_status_keeps_the_first_and_the_newest_of_many_shares():
    shares = tuple(Share(weight=1, start_time=second) for second in range(MAX_SHARES + 2))
    assert bounded_shares(shares[:MAX_SHARES]) == shares[:MAX_SHARES]
    assert bounded_shares(shares) == (shares[0], *shares[3:])
