"""The check that holds a candidate at its share, as status names it.

Evidence that only has to grow is one check, whatever is missing first: its message has the numbers.
What a quiet block or a change of the share brings along is named once it has lasted, and checks that
alternate with the evidence keep their name for as long, so that status isn't written with each block.
At little traffic, pauses between requests are usual: only a longer one is named.
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
PAUSE_SECONDS: Final = 7200
"""Time before a pause whose pauses are the usual ones."""
PAUSE_FACTOR: Final = 2
"""By which a pause has to exceed the longest usual one, until it means that requests stay away."""
_PROGRESSING: Final = frozenset({Reason.COLLECTING_EVIDENCE, Reason.DWELLING})
_BLOCK_CHECKS: Final = frozenset(
    {Reason.NO_TRAFFIC, Reason.LOW_COVERAGE, Reason.PROMETHEUS_UNAVAILABLE}
)
_STEP_CHECKS: Final = frozenset(
    {
        Reason.TRAFFIC_NOT_VERIFIED,
        Reason.ROUTE_NOT_ACCEPTED,
        Reason.INSUFFICIENT_DATA,
        Reason.CONSUMER_NOT_MEASURED,
    }
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
    """Return the hold of a candidate with traffic; None if the decision changes its share.

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
    quiet_since, needed_seconds = None, NAMED_SECONDS
    if check in _BLOCK_CHECKS:
        pause, usual_pause = _pauses(candidate, observed)
        quiet_since = now - pause
        if check is Reason.NO_TRAFFIC:
            needed_seconds = max(NAMED_SECONDS, PAUSE_FACTOR * usual_pause)
    is_transient = (check in _STEP_CHECKS and is_young) or (
        quiet_since is not None and now - quiet_since < needed_seconds
    )
    if check in _PROGRESSING or is_transient:
        check, quiet_since = Reason.COLLECTING_EVIDENCE, None
    named_hold = candidate.hold
    if named_hold is not None and {check, named_hold.check} == _ALTERNATING:
        has_lasted = now - named_hold.start_time >= NAMED_SECONDS
        check = check if has_lasted else Reason.read(named_hold.check)
    return CanaryHold(check, decision.message, request, quiet_since)


def _share_since(candidate: Candidate) -> int:
    return candidate.shares[-1].start_time if candidate.shares else candidate.start_time


def _pauses(candidate: Candidate, observed: Observed) -> tuple[int, int]:
    """Return the seconds of the present pause in traffic, and of the longest earlier one.

    A pause is of blocks in a row without counts, or without a request of the candidate, at its present share.
    """
    present_pause, usual_pause, pause, requests_end = 0, 0, 0, None
    for block in reversed(observed.canary_blocks):
        if block.end <= _share_since(candidate) or (
            requests_end is not None and block.end <= requests_end - PAUSE_SECONDS
        ):
            break
        is_counted = block.quality is Quality.COUNTED
        if is_counted and any(value.count.total for value in block.candidate.values()):
            pause = 0
            requests_end = requests_end or block.end
            continue
        pause += observed.canary_block_seconds
        if requests_end is None:
            present_pause = pause
        else:
            usual_pause = max(usual_pause, pause)
    return present_pause, usual_pause
