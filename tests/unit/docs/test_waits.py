"""docs/waits.md has each wait by the name that the code gives it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import CHALLENGER_CAUSES, ConditionReason, DecisionReason
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy.canary import holds, objections
from sluicegate.policy.diagnosis import remedy
from sluicegate.reconcile.observe import job_wait
from sluicegate.reconcile.report import retraining_finding

if TYPE_CHECKING:
    from types import ModuleType

PAGE = (Path(__file__).resolve().parents[3] / "docs/waits.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"\*([A-Z]\w+)\*", PAGE))
REASON = re.compile(r"\b(?:Condition|Decision)?Reason\.([A-Z_]+)")
SHOWN_AS = {
    DecisionReason.DWELLING: DecisionReason.COLLECTING_EVIDENCE,
    DecisionReason.NO_SLOT: ConditionReason.WAITING_FOR_SLOT,
    DecisionReason.INFRASTRUCTURE: ConditionReason.WAITING_TO_RETRY,
}
"""Reasons of decisions that conditions show under another name."""
NO_WAIT = {ConditionReason.TRAINING, ConditionReason.IDLE, *CHALLENGER_CAUSES}


def shown(reasons: set[str]) -> set[str]:
    """The names under which a person sees the waits among some reasons."""
    return {str(SHOWN_AS.get(DecisionReason(reason), reason)) if reason in set(DecisionReason) else reason
            for reason in reasons - NO_WAIT}  # fmt: skip


def test_each_reason_on_the_waits_page_exists_in_the_api():
    assert {*ConditionReason, *DecisionReason, *CandidatePhase} >= NAMED


@pytest.mark.parametrize("module", [objections, holds, retraining_finding, job_wait])
def test_each_wait_reason_of_the_api_is_on_the_waits_page(module: ModuleType):
    found = {
        str(getattr(ConditionReason, name, None) or getattr(DecisionReason, name))
        for name in REASON.findall(inspect.getsource(module))
    }
    assert found
    assert shown(found) <= NAMED


def test_each_transient_obstacle_of_a_training_is_on_the_waits_page():
    assert shown(set(map(str, remedy.WAITING))) <= NAMED
