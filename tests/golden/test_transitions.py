"""What each decision leaves in status, whatever else goes on: a diff here changes what is remembered."""

from __future__ import annotations

from itertools import product as every
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import CandidatePhase, PastVersion, VersionSource
from sluicegate.policy.model.decision import (
    Advance,
    Alert,
    Hold,
    Inconclusive,
    Promote,
    Retrain,
    Rollback,
    StartRollout,
)
from sluicegate.policy.transitions import accept_first, apply_decision
from sluicegate.stats.paired import Pairs
from tests.support.decisions.changes import changes
from tests.support.decisions.combinations import by_line
from tests.support.decisions.judged import (
    START,
    V1,
    V2,
    V3,
    baseline,
    candidate,
    judged_by,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

if TYPE_CHECKING:
    from sluicegate.api.status import DataProductStatus

pytestmark = pytest.mark.slow

NOW = START + 3600
SHADOWED = judged_by(
    ACCURACY, rollout={"steps": [5, 50], "shadow": {"command": ["score"], "intervalSeconds": 3600}}
)
SUSPENDED = judged_by(ACCURACY, suspend=True)
(SLO,) = SHADOWED.slos
TRIGGER = Trigger(id="t", cause="ModelDecay", slo="accuracy", version="v1", trigger_time=NOW - 900)
SOURCES = tuple(VersionSource)


def because(reason: Reason, **fields):
    return {"reason": reason, "message": "why"} | fields


DECISIONS = {
    "hold": Hold(**because(Reason.HEALTHY)),
    "alert": Alert(**because(Reason.NO_DATA, about="v2")),
    "alert about nothing": Alert(**because(Reason.NO_DATA)),
    "retrain": Retrain(**because(Reason.MODEL_DECAY, trigger="u", slo="accuracy", parent=V1, attempt=2, changed=START)),
    **{
        f"start {one.version} of {source}": StartRollout(
            **because(Reason.MODEL_CHANGED, candidate=one, source=source, weight=5, data_end=START,
                      trigger="t", handles=handles)
        )
        for one, source, handles in every((V2, V3), SOURCES, (None, V1))
    },
    "advance": Advance(**because(Reason.CANARY_NOT_WORSE, candidate=V2, step=2, weight=50)),
    "promote": Promote(**because(Reason.CANARY_NOT_WORSE, candidate=V2, replaced=V1)),
    "promote with a record": Promote(
        **because(Reason.CANARY_NOT_WORSE, candidate=V2, replaced=V1,
                  candidate_baselines={"accuracy": baseline(SLO, 120, 1000)})
    ),
    **{
        f"back to {to.version} by {reason}": Rollback(**because(reason, leaving=leaving, to=to))
        for leaving, to, reason in (
            (V2, V1, Reason.CANARY_WORSE),
            (V2, V1, Reason.SUPERSEDED),
            (V1, V3, Reason.PROBATION_FAILED),
            (V1, V3, Reason.ROLLBACK_REQUESTED),
        )
    },
    **{
        f"inconclusive by {reason}": Inconclusive(**because(reason, candidate=V2))
        for reason in (Reason.MAX_DURATION, Reason.INFRASTRUCTURE)
    },
}  # fmt: skip
AROUND = ((None, False, False), (V1, True, True), (V2, False, True), (V2, True, False))
"""The spec.model that was handled last, whether a training runs, and whether v2 is tried."""
NEED_A_CANDIDATE = ("advance", "promote", "inconclusive", "back to v1")


def status(
    source: VersionSource, model, *, tried: bool, trains: bool, parked: bool
) -> DataProductStatus:
    """v1 of this source, v2 of it if it is tried; v3 was stable before."""
    ours = candidate(
        5, source=source, pairs={"accuracy": Pairs(800, 100, 40, 60)}, trigger="t", retries=2
    )
    if parked:
        ours = ours.replace(phase=CandidatePhase.PARKED, weight=0)
    known = baseline(SLO, 100, 1000)
    return serving(
        stable=stable(since=START - 86_400, accuracy=known).replace(source=source),
        candidate=ours if tried else None,
        history=tuple(
            PastVersion.of(
                one, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=when, end_time=START - 86_400
            )
            for one, when in ((V3, 5), (V2, None))
        ),
        spec_model=model and SpecModel.of(model, Outcome.IN_PROGRESS, START),
        retraining=RetrainingStatus(
            trigger=TRIGGER if trains else None, attempt=1, unsuccessful_attempts=1, last_duration_seconds=50_000
        ),
        emitted_alerts=("NoData/v1",),
        correlation={"accuracy": 0.01},
    )  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_a_decision_leaves_in_status_what_its_golden_says(source, golden):
    outcomes = {}
    for name, (model, trains, tried) in every(DECISIONS, AROUND):
        if name.startswith(NEED_A_CANDIDATE) and not tried:
            continue
        before = status(
            source, model, tried=tried, trains=trains, parked=name.startswith("start v2")
        )
        after = apply_decision(SHADOWED, before, DECISIONS[name], NOW)
        words = [f"spec.model {model.version if model else None}"]
        words += ["a training runs"] * trains + ["v2 is tried"] * tried
        outcomes[name, ", ".join(words)] = changes(before, after)
    golden(f"transitions/{source.lower()}.txt", by_line(outcomes))


def test_a_first_version_and_a_rollout_in_a_suspension(golden):
    before = status(VersionSource.SPEC, V1, tried=True, trains=True, parked=False)
    start = DECISIONS["start v3 of Spec"]
    found = {
        "first": accept_first(SHADOWED, before, before.candidate, NOW),
        "suspended": apply_decision(SUSPENDED, before, start, NOW),
    }
    lines = [f"{name}: {line}" for name, after in found.items() for line in changes(before, after)]
    golden("transitions/others.txt", lines)
