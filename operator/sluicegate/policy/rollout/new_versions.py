"""Which rollout begins or ends by the spec, and a candidate whose rollout begins again."""

from typing import Final

from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, Release, VersionSource
from sluicegate.policy.model.decision import (
    Alert,
    Decision,
    Hold,
    Rollback,
    StartRollout,
    alert_key,
)
from sluicegate.policy.model.desired_model import DesiredModel, RolloutStanding, desired_model_of
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.retries import LONGEST_RETRY_SECONDS
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.rollbacks import roll_back_candidate
from sluicegate.slo.blocks import MEASURED

LOST_REASONS: Final = frozenset(
    {Reason.PROMETHEUS_UNAVAILABLE, Reason.PROMETHEUS_STALE, Reason.UNREADABLE_SERIES}
)
"""Why nothing can be measured, where it isn't only about to be."""
MAX_RENEWALS: Final = 5
"""Products that may try another default runtime image at a time."""


def decision_of_spec(
    terms: Terms, status: DataProductStatus, observed: Observed
) -> Decision | None:
    """Return the decision for the versions in the spec; None if they are the present ones.

    A candidate that the spec doesn't name any more is superseded, however the spec came to that;
    another bento begins its rollout, or says why it can't yet.
    """
    desired_model = desired_model_of(status, observed.desired, withheld=bool(observed.withheld))
    if desired_model is None:
        return None
    start = (
        _begin(terms, status, observed, desired_model)
        if desired_model.standing is RolloutStanding.DUE
        else None
    )
    if isinstance(start, StartRollout) or desired_model.superseded is None or status.stable is None:
        return start
    text = f"{_reason_text(desired_model, status.stable.release)}: {desired_model.superseded.version} is superseded"
    return roll_back_candidate(status, Reason.SUPERSEDED, text)


def _reason_text(desired_model: DesiredModel, stable: Release) -> str:
    """Return why the spec doesn't request the candidate."""
    name_text = f"spec.model names {desired_model.desired.version}"
    match desired_model.standing:
        case RolloutStanding.SERVES if desired_model.desired == stable:
            return f"{name_text}, which is stable"
        case RolloutStanding.SERVES:
            return f"{name_text}, and {stable.version}, which is stable, was retrained from it"
        case RolloutStanding.WITHHELD:
            return f"{name_text}, which can't begin before the spec is corrected"
        case RolloutStanding.HANDLED:
            return f"{name_text}, which isn't tried again by itself"
        case _:
            return name_text


def _begin(
    terms: Terms, status: DataProductStatus, observed: Observed, desired_model: DesiredModel
) -> StartRollout | Hold | Alert | None:
    """Return the start of the requested version's rollout, or its obstacle."""
    release, tried_release, stable = desired_model.desired, desired_model.target, status.stable
    assert stable is not None
    obstacle = start_obstacle(terms, observed, release)
    if obstacle is not None:
        return _alert_once(status, obstacle, release)
    evaluation = observed.desired_evaluation if tried_release == release else {}
    if (full_hold := _renewal_obstacle(terms, tried_release, stable.release, observed)) is not None:
        return full_hold
    candidate = status.trial
    superseded = candidate.release if candidate and candidate.release != tried_release else None
    running = status.training
    share = f"it gets {terms.steps[0]} % of the traffic"
    message = f"spec.model names {tried_release.version}: {share}"
    if tried_release.is_renewal_of(stable.release):
        message = f"{tried_release.version} is tried in another runtime image: {share}"
    if superseded is not None:
        message += f", and {superseded.version} is superseded"
    if running is not None:
        message += ", and the training under way is superseded"
    return StartRollout(
        reason=Reason.MODEL_CHANGED,
        message=message,
        candidate=tried_release,
        source=VersionSource.SPEC,
        weight=terms.steps[0],
        evaluation=evaluation,
        handles=release,
    )


def overtaking_decision(
    terms: Terms, status: DataProductStatus, observed: Observed
) -> Rollback | StartRollout | None:
    """Return the end of a promotion under way, by another spec.model.

    One that serves all of it, or alone, is over in minutes; what comes then begins from there.
    """
    candidate, progress = status.candidate, observed.rollout
    if candidate is None or progress is None or candidate.phase is not CandidatePhase.PROMOTING:
        return None
    serves = progress.serves and (progress.committed or observed.facts.stable_down)
    if serves or progress.frozen or (candidate.restoring and not progress.committed):
        return None
    changed = decision_of_spec(terms, status, observed)
    return changed if isinstance(changed, Rollback | StartRollout) else None


def retry_due(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Decision | None:
    """Return the new start of a rollout that a cluster fault ended; None if none is due.

    It doesn't end a training that began while it found no room.
    """
    candidate = status.trial
    if candidate is None or candidate.retry_time is None:
        return None
    seconds_left = (
        candidate.retry_time - now
    )  # more than it may: by a clock that has been set back since
    if 0 < seconds_left <= LONGEST_RETRY_SECONDS:
        return None
    if status.training is not None:
        return None
    obstacle = start_obstacle(terms, observed, candidate.release) or _silence(
        status, observed, candidate
    )
    if obstacle is not None:
        return obstacle
    name, weight = candidate.release.version, terms.steps[0]
    times = "once" if candidate.retries == 1 else f"{candidate.retries} times"
    cause = "a fault of the cluster"
    if candidate.decision_reason == Reason.NO_TRAFFIC:
        cause = "a fault of the cluster or a pause of the traffic"
    text = f"{name} gets {weight} % of the traffic again, after {cause} ended its rollout {times}"
    return restart_rollout(terms, candidate, Reason.INFRASTRUCTURE, text)


def _silence(status: DataProductStatus, observed: Observed, candidate: Candidate) -> Hold | None:
    """Return a hold until requests come, for a candidate whose time ended in a pause of the traffic."""
    if candidate.decision_reason != Reason.NO_TRAFFIC or status.stable is None:
        return None
    series_by_slo = observed.series.get(status.stable.version, {})
    newest = [series.block(observed.block) for series in series_by_slo.values()]
    counts = [block.count for block in newest if block.quality in MEASURED]
    if not counts or any(count.total for count in counts):
        return None
    return Hold(reason=Reason.NO_TRAFFIC, message=f"{candidate.version} waits: no request comes")


def restart_rollout(
    terms: Terms, candidate: Candidate, reason: Reason, message: str
) -> StartRollout:
    """Return the new start of a parked candidate's rollout, with the recorded evidence."""
    return StartRollout(
        reason=reason,
        message=message,
        candidate=candidate.release,
        source=candidate.source,
        weight=terms.steps[0],
        evaluation=candidate.evaluation,
        stable_evaluation=candidate.stable_evaluation,
        pairs=candidate.pairs,
        trigger=candidate.trigger,
    )


def requested_start(
    terms: Terms, observed: Observed, release: Release, message: str
) -> StartRollout:
    """Return the start of a version in the spec that a person requests."""
    return StartRollout(
        reason=Reason.PROMOTE_REQUESTED,
        message=message,
        candidate=release,
        source=VersionSource.SPEC,
        weight=terms.steps[0],
        evaluation=observed.desired_evaluation,
    )


def _renewal_obstacle(
    terms: Terms, release: Release, stable: Release, observed: Observed
) -> Hold | None:
    """Return a hold while the maximum number of products try the operator's new default runtime image."""
    renewing = observed.portfolio.renewing
    if terms.names_runtime or not release.is_renewal_of(stable):
        return None
    if renewing < MAX_RENEWALS:
        return None
    text = (
        f"{release.version} waits to be tried in the operator's runtime image {release.runtime_image}:"
        f" {renewing} other products are tried in another one, {MAX_RENEWALS} may be at a time"
    )
    return Hold(reason=Reason.WAITING_FOR_RENEWALS, message=text, numbers={"renewing": renewing})


def _alert_once(status: DataProductStatus, obstacle: Hold, release: Release) -> Hold | Alert:
    """Return the reason why a new model of the spec is not rolled out; alert once if measurements are lost."""
    name = release.version
    was_emitted = alert_key(obstacle.reason, name) in status.engine.emitted_alerts
    if (
        status.engine.outage_start_time is None
        or obstacle.reason not in LOST_REASONS
        or was_emitted
    ):
        return obstacle
    text = (
        f"{obstacle.message}. Set {REQUEST_PROMOTE}={name}/<token> to roll it out without evidence"
    )
    return Alert(reason=obstacle.reason, message=text, about=name)


def rollout_obstacle(terms: Terms, status: DataProductStatus, observed: Observed) -> Hold | None:
    """Return the obstacle of the rollout that the spec requests; None without one."""
    desired_model, stable = (
        desired_model_of(status, observed.desired, withheld=bool(observed.withheld)),
        status.stable,
    )
    if desired_model is None or stable is None or desired_model.standing is not RolloutStanding.DUE:
        return None
    obstacle = start_obstacle(terms, observed, desired_model.desired)
    return obstacle or _renewal_obstacle(terms, desired_model.target, stable.release, observed)


def awaited_model(status: DataProductStatus, observed: Observed) -> str:
    """Return the version of spec.model that isn't taken up yet, as its rollout or the end of another; empty for none."""
    desired_model = desired_model_of(status, observed.desired, withheld=bool(observed.withheld))
    if desired_model is None:
        return ""
    is_awaited = desired_model.standing is RolloutStanding.DUE or desired_model.superseded
    return desired_model.desired.version if is_awaited else ""


def lifecycle_obstacle(terms: Terms, release: Release) -> Hold | None:
    """Return why spec.lifecycle forbids a rollout; None if it permits one."""
    if not terms.ended:
        return None
    text = f"the product is {terms.lifecycle}, so {release.version} isn't rolled out"
    return Hold(reason=Reason.LIFECYCLE_ENDED, message=text)


def start_obstacle(terms: Terms, observed: Observed, release: Release) -> Hold | None:
    """Return why a rollout can't start now; None if it can."""
    if (lifecycle_reason := lifecycle_obstacle(terms, release)) is not None:
        return lifecycle_reason
    if observed.problem is not None and not observed.facts.stable_down:
        text = f"{release.version} waits: nothing can be measured ({observed.problem})"
        return Hold(reason=observed.problem, message=text)
    return None
