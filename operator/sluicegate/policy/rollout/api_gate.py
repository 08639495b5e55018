"""Checks of a candidate's pods before its first share: its API, and a trial request.

A candidate that breaks its clients' requests gets no traffic before a person approves it.

It waits before its first share, when its pods are ready and its API is known; that time counts
against no deadline. A person who knows that no client uses the removed parts starts its canary,
which then compares its client errors with stable's.
"""

from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.iteration import Iteration
from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import ApiComparison, CandidatePhase, VersionBase, VersionSource
from sluicegate.policy.model.api_changes import sentence
from sluicegate.policy.model.decision import Alert, Hold, alert_key
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.pending_requests import approving_request, with_request_handled
from sluicegate.policy.rollout.candidates import with_share


def is_held(status: DataProductStatus, observed: Observed) -> bool:
    """Return whether a candidate with a breaking API change awaits an approval before its first traffic."""
    candidate = status.trial
    if candidate is None or candidate.shares or candidate.is_parked or candidate.changes_api:
        return False
    breaks_api = bool(observed.facts.api_changes)
    return breaks_api and approving_request(status, observed) is None


def objection(status: DataProductStatus, observed: Observed) -> Alert | Hold | None:
    """Return the alert, emitted once, about a candidate that the API gate holds; None without one."""
    candidate, stable = status.trial, status.stable
    if candidate is None or stable is None or not is_held(status, observed):
        return None
    name = candidate.release.version
    text = explain(name, stable.release.version, observed.facts.api_changes or ())
    if alert_key(Reason.API_CHANGED, name) in status.engine.emitted_alerts:
        return Hold(reason=Reason.API_CHANGED, message=text)
    return Alert(reason=Reason.API_CHANGED, message=text, about=name)


def explain(name: str, stable: str, broken_clauses: tuple[str, ...]) -> str:
    """Return the API changes, and the ways out."""
    return (
        f"{name} changes the API of {stable}, so it gets no traffic: {sentence(broken_clauses)}. Set"
        f" {REQUEST_PROMOTE}={name}/<token> to let it take its canary, or push a version that keeps"
        f" the API, or set {REQUEST_ABORT}={name}/<token>"
    )


def take_share(
    status: DataProductStatus, observed: Observed, share: int | None, now: int
) -> DataProductStatus:
    """Compute the status of a candidate with ready pods at a new traffic share, in percent, at `now`.

    The first share records the comparison of the APIs; the status is the same where the candidate
    is held, or no share is due.
    """
    candidate = status.candidate
    if candidate is None or share is None or is_held(status, observed):
        return status
    next_status = with_statements(
        status.replace(candidate=with_share(candidate, share, now)), observed
    )
    if status.stable is None or candidate.phase is not CandidatePhase.STARTING:
        return next_status
    broken_clauses = observed.facts.api_changes
    comparison = ApiComparison.CHANGED if broken_clauses else ApiComparison.KEPT
    facts = observed.facts
    next_status = next_status.with_candidate(
        api=ApiComparison.UNKNOWN if broken_clauses is None else comparison,
        api_changes=ApiChanges.of(facts.api_added, broken_clauses or (), facts.api_deprecated),
    )
    request = (
        approving_request(status, observed)
        if broken_clauses and not candidate.changes_api
        else None
    )
    # This approval is used up: one for the last step is another decision.
    return next_status if request is None else with_request_handled(next_status, request)


def with_statements(status: DataProductStatus, observed: Observed) -> DataProductStatus:
    """Return the status with the iterations from the bentos' labels, as reported by pods.

    A training repeats the labels of its parent's bento: they say nothing of the version that it makes.
    """
    candidate, stable, facts = status.trial, status.stable, observed.facts
    if candidate is not None and _lacks_statement(candidate, facts.iteration):
        status = status.with_candidate(iteration=facts.iteration)
    if stable is not None and _lacks_statement(stable, facts.stable_iteration):
        status = status.replace(stable=stable.replace(iteration=facts.stable_iteration))
    return status


def _lacks_statement(version: VersionBase, stated: Iteration | None) -> bool:
    is_of_spec = version.source is VersionSource.SPEC
    return is_of_spec and stated is not None and version.iteration is None


def comparison_of(status: DataProductStatus) -> str:
    """Return a clause about a failed API comparison; empty if it succeeded."""
    candidate, stable = status.candidate, status.stable
    if (
        candidate is None
        or stable is None
        or candidate.api is not ApiComparison.UNKNOWN
        or candidate.step != 1
    ):
        return ""
    return (
        f". Its API couldn't be compared with that of {stable.version}: both bentos need"
        " apis/openapi.yaml, and a runtime image that reads it"
    )
