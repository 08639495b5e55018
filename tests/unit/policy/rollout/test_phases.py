"""The table of a candidate's phases, and its picture in docs/architecture.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sluicegate.api.versions import CandidatePhase as Phase
from sluicegate.policy.rollout.phases import CHANGES, PhaseCause, next_phase

PAGE = Path(__file__).resolve().parents[4] / "docs/architecture.md"
PICTURE = re.compile(r"(?<=```mermaid\n)stateDiagram-v2\n.*?(?=\n```)", re.DOTALL)


@pytest.mark.parametrize(
    ("sentence", "before", "cause", "after"),
    [
        ("a new candidate waits for its pods", None, PhaseCause.START, Phase.STARTING),
        ("its first share begins the steps", Phase.STARTING, PhaseCause.SHARE, Phase.STEPPING),
        ("an edited step ends its wait", Phase.AWAITING_APPROVAL, PhaseCause.SHARE, Phase.STEPPING),
        ("an earlier version takes no steps", None, PhaseCause.RESTORE, Phase.PROMOTING),
        ("an abort turns a parked one back", Phase.PARKED, PhaseCause.ROLL_BACK, Phase.ROLLING_BACK),
        ("a retry starts from the beginning", Phase.PARKED, PhaseCause.START, Phase.STARTING),
    ],
)  # fmt: skip
def test_the_phase_table_gives_the_next_phase_for_each_cause(sentence, before, cause, after):
    assert next_phase(before, cause) is after, sentence


@pytest.mark.parametrize(
    ("sentence", "before", "cause"),
    [
        ("a candidate without traffic has no evidence", Phase.STARTING, PhaseCause.PROMOTE),
        ("a candidate that turns back takes no share", Phase.ROLLING_BACK, PhaseCause.SHARE),
        ("a candidate with traffic isn't parked", Phase.STEPPING, PhaseCause.PARK),
        ("no phase follows the end", Phase.PROMOTING, PhaseCause.SERVE),
    ],
)
def test_a_transition_missing_in_the_phase_table_is_an_error(sentence, before, cause):
    with pytest.raises(ValueError, match=re.escape(cause)):
        assert next_phase(before, cause) is None, sentence


def test_each_phase_has_a_transition_into_it_and_out_of_it():
    changes = CHANGES.values()
    assert {change.phase_after for change in changes} == {*Phase, None}
    assert {before for change in changes for before in change.phases_before} == {*Phase, None}


def diagram() -> str:
    """Return the table as a state diagram of Mermaid."""
    end = "[*]"
    arrows = [
        f"    {before or end} --> {change.phase_after or end}: {cause}"
        for cause, change in CHANGES.items()
        for before in change.phases_before
    ]
    return "\n".join(["stateDiagram-v2", *arrows])


def test_the_phase_diagram_in_the_docs_is_generated_from_the_phase_table(request):
    """`pytest tests/unit/policy/rollout/test_phases.py --update-golden` draws it again."""
    text = PAGE.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        PAGE.write_text(PICTURE.sub(diagram(), text), encoding="utf-8")
    (picture,) = PICTURE.findall(PAGE.read_text(encoding="utf-8"))
    assert picture == diagram()
