"""What the gate for a changed API lets pass of a candidate's progress, and what status says of it."""

from sluicegate.api.status import DataProductStatus
from sluicegate.policy import manual_requests
from sluicegate.policy.canary.api_gate import is_held
from sluicegate.policy.model.api_changes import CHANGED
from sluicegate.policy.model.state import Memory
from sluicegate.policy.persistence.load import memory_of
from sluicegate.reconcile.decide.rollout_progress import Progress, ShareTaken, TurnedBack, Unchanged
from sluicegate.reconcile.live.pods import of_revision, trouble_of
from sluicegate.reconcile.observe.observation import Situation

KEPT, UNKNOWN = "Kept", "Unknown"


def at_the_gate(
    situation: Situation, status: DataProductStatus, found: Progress
) -> tuple[Progress, Memory | None]:
    """How far a candidate that has no share yet may go, and what is remembered if it goes on.

    While it waits for a person its pods may come and go: only what no time mends ends it.
    """
    memory, observed = memory_of(status), situation.observed
    if is_held(memory, observed):
        ended = isinstance(found, TurnedBack) and _is_hopeless(situation, status)
        return (found if ended else Unchanged()), None
    if not isinstance(found, ShareTaken):
        return found, None
    broken = observed.facts.api_changes
    said = UNKNOWN if broken is None else CHANGED if broken else KEPT
    taken = ShareTaken(found.candidate.model_copy(update={"api": said}))
    known = memory.candidate is not None and memory.candidate.changes_api
    request = manual_requests.approves(memory, observed) if broken and not known else None
    # This approval is used up: one for the last step is another decision.
    return taken, None if request is None else manual_requests.handled(memory, request)


def comparison_of(status: DataProductStatus) -> str:
    """What is told of a comparison that couldn't be made; empty when it was."""
    candidate, stable = status.candidate, status.stable
    if candidate is None or stable is None or candidate.api != UNKNOWN or candidate.step != 1:
        return ""
    return (
        f" Its API couldn't be compared with that of {stable.version}: both bentos need"
        " apis/openapi.yaml, and a runtime image that reads it"
    )


def _is_hopeless(situation: Situation, status: DataProductStatus) -> bool:
    assert status.candidate is not None
    trouble = trouble_of(of_revision(situation.pods, status.candidate.revision))
    return trouble is not None and trouble.hopeless
