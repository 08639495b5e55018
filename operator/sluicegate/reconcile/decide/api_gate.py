"""What the gate for a changed API lets pass of a candidate's progress, and what status says of it."""

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import ApiComparison
from sluicegate.policy.model.pending_requests import approves, handled
from sluicegate.policy.rollout.api_gate import is_held
from sluicegate.reconcile.decide.rollout_progress import Progress, ShareTaken, Unchanged
from sluicegate.reconcile.observe.observation import Observation


def at_the_gate(
    observation: Observation, status: DataProductStatus, found: Progress
) -> tuple[Progress, DataProductStatus]:
    """How far a candidate that has no share yet may go, and the status for that.

    While it waits for a person its pods may fail: only an unrecoverable problem ends it.
    """
    observed = observation.observed
    if is_held(status, observed):
        return Unchanged(), status
    if not isinstance(found, ShareTaken):
        return found, status
    broken = observed.facts.api_changes
    said = ApiComparison.KEPT if not broken else ApiComparison.CHANGED
    if broken is None:
        said = ApiComparison.UNKNOWN
    taken = ShareTaken(found.candidate.replace(api=said))
    known = status.candidate is not None and status.candidate.changes_api
    request = approves(status, observed) if broken and not known else None
    # This approval is used up: one for the last step is another decision.
    return taken, status if request is None else handled(status, request)


def comparison_of(status: DataProductStatus) -> str:
    """The clause about a comparison that failed; empty if it succeeded."""
    candidate, stable = status.candidate, status.stable
    if (
        candidate is None
        or stable is None
        or candidate.api is not ApiComparison.UNKNOWN
        or candidate.step != 1
    ):
        return ""
    return (
        f" Its API couldn't be compared with that of {stable.version}: both bentos need"
        " apis/openapi.yaml, and a runtime image that reads it"
    )
