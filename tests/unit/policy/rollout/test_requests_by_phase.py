"""A person's promote and abort: in each phase of a candidate one acts, waits, or is refused at once."""

from __future__ import annotations

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import CandidatePhase as Phase
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.observed import ManualRequest, Observed, RolloutProgress
from tests.support.decisions.judged import (
    BLOCK,
    CANARY,
    START,
    V1,
    V2,
    both_arms,
    candidate,
    judged_by,
    parked,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

GIVEN = RolloutProgress(given_since=60, deadline=600)
RETRY = parked(candidate(5)).replace(retry_time=START + 86_400, retries=1)
"""Parked after a fault of the cluster: WaitingToRetry."""
CANDIDATES = {
    "none": None,
    "Starting": candidate(),
    "Stepping": candidate(5),
    "AwaitingApproval": candidate(5, 50).replace(phase=Phase.AWAITING_APPROVAL),
    "Promoting": candidate(5, 100).replace(phase=Phase.PROMOTING),
    "RollingBack": candidate(5).replace(phase=Phase.ROLLING_BACK),
    "Parked": parked(candidate(5)),
    "Parked until a retry": RETRY,
}

REFUSED = ("Alert", "NotFound", True)
ABORTED = ("Rollback", "AbortRequested", True)
PROMOTED = ("Promote", "PromoteRequested", True)
"""By its name, before there is evidence."""
BEGUN = ("StartRollout", "PromoteRequested", True)
LATER = ("Hold", False)
"""It stays, and counts as soon as it may: at the last step, or once what was decided is done."""

PROMOTE = {
    "none": REFUSED,
    "Starting": LATER,
    "Stepping": PROMOTED,
    "AwaitingApproval": ("Promote", "CanaryNotWorse", True),
    "Promoting": LATER,
    "RollingBack": LATER,
    "Parked": BEGUN,
    "Parked until a retry": BEGUN,
}
ABORT = {
    "none": REFUSED,
    "Starting": ABORTED,
    "Stepping": ABORTED,
    "AwaitingApproval": ABORTED,
    "Promoting": ABORTED,
    "RollingBack": ("Alert", "AbortRequested", True),
    "Parked": ABORTED,
    "Parked until a retry": ABORTED,
}


def answer(phase: str, annotation: str, approval: str, **spec: bool) -> tuple[object, ...]:
    """Return kind and reason of the decision, and whether the token is handled.

    No reason of a Hold.
    """
    terms = judged_by(ACCURACY, rollout={"approval": approval, "steps": [5, 50]}, **spec)
    one = CANDIDATES[phase]
    status = serving(
        stable=stable(since=START - 86_400),
        candidate=one,
        spec_model=SpecModel.of(
            V2 if one else V1, Outcome.IN_PROGRESS if one else Outcome.PROMOTED, START
        ),
    )
    equal = {"accuracy": (50, 1000) if phase == "AwaitingApproval" else (1, 20)}
    blocks = both_arms(
        equal, equal, 30, begin=one.shares[-1].start_time if one and one.shares else START
    )
    seen = Observed(
        block=blocks[-1].end // BLOCK,
        canary_blocks=tuple(blocks),
        canary_block_seconds=CANARY,
        desired=V2 if one else V1,
        rollout=GIVEN if one else None,
        requests=(ManualRequest(annotation, "v2/one"),),
    )
    found = evaluate(terms, status, seen, blocks[-1].end)
    known = found.status.last_handled
    kind, taken = type(found.decision).__name__, bool(known and known.token(annotation))
    return (kind, taken) if kind == "Hold" else (kind, str(found.decision.reason), taken)


@pytest.mark.parametrize("approval", ["Automatic", "Manual"])
@pytest.mark.parametrize("phase", CANDIDATES)
def test_an_abort_request_ends_the_candidate_or_is_refused_in_each_phase(phase, approval):
    assert answer(phase, REQUEST_ABORT, approval) == ABORT[phase]


@pytest.mark.parametrize("approval", ["Automatic", "Manual"])
@pytest.mark.parametrize("phase", CANDIDATES)
def test_a_promote_request_acts_or_waits_or_is_refused_in_each_phase(phase, approval):
    """An approval of a candidate that has steps before it opens the last one, and no other."""
    early = approval == "Manual" and phase == "Stepping"
    assert answer(phase, REQUEST_PROMOTE, approval) == (LATER if early else PROMOTE[phase])


@pytest.mark.parametrize("annotation", [REQUEST_ABORT, REQUEST_PROMOTE])
@pytest.mark.parametrize("phase", CANDIDATES)
def test_a_manual_request_has_the_same_result_while_the_product_is_suspended(phase, annotation):
    assert answer(phase, annotation, "Manual", suspend=True) == answer(phase, annotation, "Manual")


def test_the_table_of_manual_requests_covers_each_phase():
    tried = {one.phase for one in CANDIDATES.values() if one is not None}
    assert tried == set(Phase)
    assert PROMOTE.keys() == ABORT.keys() == CANDIDATES.keys()
