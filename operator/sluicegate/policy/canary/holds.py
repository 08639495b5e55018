"""The check that holds a candidate at its share, as status names it.

Evidence that only has to grow is one check, whatever is missing first: its message has the numbers.
What a quiet block or a change of the share brings along is named once it has lasted, and checks that
alternate with the evidence keep their name for as long, so that status isn't written with each block.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import Candidate
from sluicegate.policy.model.decision import Advance, Alert, Decision, Hold
from sluicegate.policy.model.observed import Observed
from sluicegate.slo.blocks import Quality

NAMED_SECONDS: Final = 600
"""How long a check has to last until status names it, where it usually passes."""
_GROWS: Final = frozenset({Reason.COLLECTING_EVIDENCE, Reason.DWELLING})
_OF_BLOCKS: Final = frozenset(
    {Reason.NO_TRAFFIC, Reason.LOW_COVERAGE, Reason.PROMETHEUS_UNAVAILABLE}
)
_OF_A_STEP: Final = frozenset(
    {Reason.TRAFFIC_NOT_VERIFIED, Reason.INSUFFICIENT_DATA, Reason.CONSUMER_NOT_MEASURED}
)
_ALTERNATING: Final = frozenset({Reason.COLLECTING_EVIDENCE, Reason.LOOKS_WORSE})
"""Checks between which evidence at a bound may alternate from block to block."""


@dataclass(frozen=True, slots=True)
class CanaryHold:
    """The check that holds a candidate, and its message.

    Attributes
    ----------
    check : its name. message : the reason with its numbers.
    request : of a person, which waits for it, as written; empty without one.
    start_time : since when it holds the candidate, in seconds; None for since this evaluation.
    """

    check: Reason
    message: str
    request: str = ""
    start_time: int | None = None


def hold_of(
    candidate: Candidate, decision: Decision, observed: Observed, *, now: int, request: str = ""
) -> CanaryHold | None:
    """Return the hold of a candidate that takes traffic; None if the decision moves it.

    Parameters
    ----------
    decision : about the candidate. now : in seconds. request : of a person, not handled yet.
    """
    if isinstance(decision, Advance):
        text = (
            f"{candidate.version} has {candidate.weight} %, and gets {decision.weight} % once its"
            " pods for it are ready"
        )
        return CanaryHold(Reason.WAITING_FOR_PODS, text, request)
    if not isinstance(decision, Hold | Alert):
        return None
    check = decision.reason
    is_young = now - _share_since(candidate) < NAMED_SECONDS
    quiet_since = now - _quiet_seconds(candidate, observed) if check in _OF_BLOCKS else None
    passing = (check in _OF_A_STEP and is_young) or (
        quiet_since is not None and now - quiet_since < NAMED_SECONDS
    )
    if check in _GROWS or passing:
        check, quiet_since = Reason.COLLECTING_EVIDENCE, None
    named_hold = candidate.hold
    if named_hold is not None and {check, named_hold.check} == _ALTERNATING:
        has_lasted = now - named_hold.start_time >= NAMED_SECONDS
        check = check if has_lasted else Reason.read(named_hold.check)
    return CanaryHold(check, decision.message, request, quiet_since)


def _share_since(candidate: Candidate) -> int:
    return candidate.shares[-1].start_time if candidate.shares else candidate.start_time


def _quiet_seconds(candidate: Candidate, observed: Observed) -> int:
    """Return the seconds of the newest blocks in a row without counts, or without a request of the candidate."""
    quiet_blocks = 0
    for block in reversed(observed.canary_blocks):
        if block.end <= _share_since(candidate):
            break
        is_counted = block.quality is Quality.COUNTED
        if is_counted and any(value.count.total for value in block.candidate.values()):
            break
        quiet_blocks += observed.canary_block_seconds
    return quiet_blocks
