"""One-shot requests of people: annotations with a token, each handled once, the last one wins.

They act during a suspension too, as the way out of a problem by hand.
"""

from sluicegate.api.iteration import Iteration
from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE, REQUEST_RETRAIN, REQUEST_ROLLBACK
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Candidate, CandidatePhase, Release
from sluicegate.policy.model.decision import Alert, Hold, Proposal, Retrain, Rollback
from sluicegate.policy.model.desired_model import RolloutStanding, desired_model_of
from sluicegate.policy.model.history import version_named
from sluicegate.policy.model.observed import ManualRequest, Observed
from sluicegate.policy.model.pending_requests import unhandled_requests, with_request_handled
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import pauses, preconditions
from sluicegate.policy.rollout.new_versions import requested_start, restart_rollout
from sluicegate.policy.rollout.rollbacks import roll_back_candidate, roll_back_stable, served_text


def request_decisions(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> list[Proposal]:
    """Yield the decisions for pending requests, except for approvals, which open the last step.

    While a decision about the candidate is carried out, all wait but those that would end it.
    """
    proposals = []
    for request in unhandled_requests(status, observed):
        if status.carried_out and not _ends_candidate(status, request):
            continue
        answer = _answer(terms, status, observed, request, now=now)
        if answer is not None:
            proposals.append(answer)
    return proposals


def _ends_candidate(status: DataProductStatus, request: ManualRequest) -> bool:
    """Return whether a request rolls the candidate back: by its name, or by requesting stable."""
    candidate = status.candidate
    named_version = candidate is not None and request.version in {"", candidate.version}
    aborts = request.annotation == REQUEST_ABORT and named_version
    return aborts or (_keeps_stable(status, request) and status.trial is not None)


def _keeps_stable(status: DataProductStatus, request: ManualRequest) -> bool:
    """Return whether a request restores the present stable version, which rolls the candidate back."""
    stable = status.stable
    named_version = stable is not None and request.version == stable.version
    return request.annotation == REQUEST_ROLLBACK and named_version


def _answer(
    terms: Terms, status: DataProductStatus, observed: Observed, request: ManualRequest, *, now: int
) -> Proposal | None:
    if request.annotation == REQUEST_ABORT:
        return _abort(status, observed, request)
    if request.annotation == REQUEST_ROLLBACK:
        return _roll_back(terms, status, observed, request, now=now)
    if request.annotation == REQUEST_RETRAIN:
        return _retrain(terms, status, observed, request, now=now)
    if request.annotation == REQUEST_PROMOTE:
        return _retry(terms, status, observed, request)
    return None


def _refuse(status: DataProductStatus, request: ManualRequest, text: str) -> Proposal:
    message = f"{request.annotation}={request.value}: {text}"
    return Proposal(
        Alert(reason=Reason.NOT_FOUND, message=message), with_request_handled(status, request)
    )


def _abort(status: DataProductStatus, observed: Observed, request: ManualRequest) -> Proposal:
    """Return the decision for `abort`; possible until the product's Service selects the candidate."""
    candidate, stable = status.candidate, status.stable
    if candidate is None or stable is None or request.version not in {"", candidate.version}:
        return _refuse(status, request, "there is no such candidate")
    name = candidate.version
    if candidate.phase is CandidatePhase.PROMOTING:
        restores_by_itself = (
            candidate.restoring and candidate.decision_reason != Reason.ROLLBACK_REQUESTED
        )
        if restores_by_itself or _is_committed(observed):
            obstacle_text = (
                "is being restored" if restores_by_itself else "serves all traffic already"
            )
            text = f"{name} {obstacle_text}; choose a version by {REQUEST_ROLLBACK}"
            return _refuse(status, request, text)
    text = f"{name} is rolled back as requested by {request.annotation}"
    return _roll_candidate_back(
        status, request, candidate, roll_back_candidate(status, Reason.ABORT_REQUESTED, text)
    )


def _is_committed(observed: Observed) -> bool:
    return observed.rollout is not None and observed.rollout.committed


def _roll_candidate_back(
    status: DataProductStatus, request: ManualRequest, candidate: Candidate, decision: Rollback
) -> Proposal:
    """Return the requested rollback of the candidate, unless it is in progress."""
    if candidate.phase is CandidatePhase.ROLLING_BACK:
        text = f"{candidate.version} is being rolled back already: {candidate.decision_message}"
        alert = Alert(
            reason=decision.reason, message=f"{request.annotation}={request.value}: {text}"
        )
        return Proposal(alert, with_request_handled(status, request))
    return Proposal(decision, with_request_handled(status, request))


def _roll_back(
    terms: Terms, status: DataProductStatus, observed: Observed, request: ManualRequest, *, now: int
) -> Proposal:
    stable = status.stable
    if stable is not None and _keeps_stable(status, request):
        return _keep_stable(status, observed, request, stable.release, now=now)
    entry = version_named(status.accepted_versions, request.version)
    if stable is None or entry is None or entry.release == stable.release:
        names = ", ".join(entry.release.version for entry in status.accepted_versions) or "none"
        return _refuse(status, request, f"write <version>/<token>; versions kept: {names}")
    message = (
        f"{entry.release.version} replaces {stable.release.version} as requested by {request.annotation}."
        f" {served_text(terms, status, observed, now)}"
    )
    decision = roll_back_stable(status, entry.release, Reason.ROLLBACK_REQUESTED, message)
    return Proposal(
        decision,
        with_request_handled(_without_model(status, observed, stable.release, now), request),
    )


def _keep_stable(
    status: DataProductStatus,
    observed: Observed,
    request: ManualRequest,
    stable: Release,
    *,
    now: int,
) -> Proposal:
    """Return the decision that keeps stable: roll the candidate back and don't start a waiting spec.model."""
    trial, desired_model = status.trial, desired_model_of(status, observed.desired, withheld=False)
    if trial is not None:
        return _abort_trial(status, observed, request, trial, stable=stable)
    if desired_model is None or desired_model.standing is not RolloutStanding.DUE:
        return _refuse(status, request, f"{stable.version} is stable already, and none is tried")
    message = (
        f"{stable.version} stays stable as requested by {request.annotation}, and the rollout of"
        f" {desired_model.desired.version} isn't begun"
    )
    next_status = _without_model(status, observed, stable, now)
    return Proposal(
        Alert(reason=Reason.ROLLBACK_REQUESTED, message=message),
        with_request_handled(next_status, request),
    )


def _abort_trial(
    status: DataProductStatus,
    observed: Observed,
    request: ManualRequest,
    trial: Candidate,
    *,
    stable: Release,
) -> Proposal:
    if trial.phase is CandidatePhase.PROMOTING and _is_committed(observed):
        text = f"{trial.version} serves all traffic"
        return Proposal(Hold(reason=Reason.CANARY_IN_PROGRESS, message=text), status)
    text = (
        f"{trial.version} is rolled back, as {stable.version} is requested by {request.annotation}"
    )
    decision = roll_back_candidate(status, Reason.ROLLBACK_REQUESTED, text)
    return _roll_candidate_back(status, request, trial, decision)


def _without_model(
    status: DataProductStatus, observed: Observed, stable: Release, now: int
) -> DataProductStatus:
    """Mark a spec.model that isn't stable yet as handled, after a person has chosen another version."""
    release, model = observed.desired, status.spec_model
    is_completed = model is not None and model.outcome is not Outcome.IN_PROGRESS
    if (
        release is None
        or release == stable
        or (is_completed and model and model.release == release)
    ):
        return status
    return status.replace(spec_model=SpecModel.of(release, Outcome.SUPERSEDED, now))


def _retrain(
    terms: Terms, status: DataProductStatus, observed: Observed, request: ManualRequest, *, now: int
) -> Proposal:
    stable = status.stable
    if stable is None:
        return _refuse(status, request, "no version has been accepted yet")
    request_of_training = preconditions.RetrainingRequest(terms, status, observed.portfolio, now)
    obstacle = preconditions.obstacle_to_request(request_of_training)
    if obstacle is not None and obstacle.needs_person:
        return _refuse(status, request, obstacle.message)
    if obstacle is not None:
        message = f"the requested retraining waits: {obstacle.message}"
        return Proposal(Hold(reason=obstacle.reason, message=message), status)
    lost_jobs = status.retraining.lost_jobs if status.retraining else 0
    status = pauses.without_pause(status)
    if lost_jobs:  # a request whose Job was lost is the same one, and its next wait is longer
        status = status.with_retraining(lost_jobs=lost_jobs)
    version = stable.release.version
    decision = Retrain(
        reason=Reason.REQUESTED,
        message=f"{version} is retrained as requested by {request.annotation}",
        trigger=preconditions.trigger_of(terms, version, "", request.value),
        slo="",
        parent=stable.release,
        attempt=1,
        iteration=Iteration.of_request(request.user, request.reason),
    )
    return Proposal(decision, with_request_handled(status, request))


def _retry(
    terms: Terms, status: DataProductStatus, observed: Observed, request: ManualRequest
) -> Proposal | None:
    """Return the decision that starts the rollout of a rejected or inconclusive version again."""
    candidate, stable = status.trial, status.stable
    if terms.ended and (candidate is None or candidate.is_parked):
        return _refuse(status, request, f"the product is {terms.lifecycle}, so no version is tried")
    if (
        _spec_model_waits(status, observed)
        and observed.desired
        and request.version == observed.desired.version
    ):
        return _start_unmeasured(terms, status, observed, request)
    if candidate is not None and not candidate.is_parked:
        obstacle_text = _approval_obstacle(terms, candidate, request)
        return _refuse(status, request, obstacle_text) if obstacle_text else None
    parked_release = candidate.release if candidate else None
    spec = (
        observed.desired
        if status.spec_model and status.spec_model.release == observed.desired
        else None
    )
    release = next(
        (
            release
            for release in (parked_release, spec)
            if release is not None and request.version in {"", release.version}
        ),
        None,
    )
    if stable is None or release is None or release == stable.release:
        return _refuse(status, request, "there is no version to try")
    text = f"{release.version} is tried again at {terms.steps[0]} % as requested by {request.annotation}"
    if candidate is not None and release == parked_release:
        decision = restart_rollout(terms, candidate, Reason.PROMOTE_REQUESTED, text)
    else:
        decision = requested_start(terms, observed, release, text)
    return Proposal(decision, with_request_handled(status, request))


def _approval_obstacle(terms: Terms, candidate: Candidate, request: ManualRequest) -> str:
    """Return why a request doesn't approve the candidate's last step; empty if it does."""
    if request.version not in {"", candidate.release.version}:
        return "there is no such candidate"
    if terms.approvals is None or not candidate.shares:
        return ""
    return (
        f"spec.rollout.approvals has the parties that must agree to {candidate.version}: each answers by"
        f" `kubectl sluicegate approve {terms.namespace}/{terms.name}`"
    )


def _spec_model_waits(status: DataProductStatus, observed: Observed) -> bool:
    """Return whether the rollout of spec.model hasn't started yet."""
    desired_model = desired_model_of(status, observed.desired, withheld=False)
    return desired_model is not None and desired_model.standing is RolloutStanding.DUE


def _start_unmeasured(
    terms: Terms, status: DataProductStatus, observed: Observed, request: ManualRequest
) -> Proposal | None:
    """Return the start of a version that awaits measurements; the same request promotes it afterwards.

    Where all is measured it begins anyway, so nothing is answered yet.
    """
    release = observed.desired
    if release is None or observed.problem is None or terms.ended or observed.withheld:
        return None
    text = (
        f"{release.version} is tried at {terms.steps[0]} % as requested by {request.annotation}, though"
        f" nothing can be measured ({observed.problem})"
    )
    return Proposal(requested_start(terms, observed, release, text), status)
