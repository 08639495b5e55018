"""The conditions of a product: what holds, why, and the way out. Pure.

Ready says that the spec is realised and stable serves; a canary or a retraining doesn't change
that, or a pipeline that waits for it would block for hours.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.engine import ProductState
from sluicegate.api.names import REQUEST_ROLLBACK, DecisionReason
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.outcome import Outcome
from sluicegate.api.slo_status import SloState, SloStatus
from sluicegate.api.status import (
    DataProductStatus,
    DependencyState,
    DependencyStatus,
    SpecModel,
)
from sluicegate.api.versions import Candidate, CandidatePhase, Probation
from sluicegate.conditions import Finding
from sluicegate.policy import needed_calm, probation_limits
from sluicegate.policy.rollout.api_gate import explain, is_held
from sluicegate.policy.rollout.new_versions import awaited_model, rollout_obstacle
from sluicegate.reconcile.decide.serving_rollout import (
    is_rolling,
    is_stuck,
    preview_wait_text,
    rolling_text,
    words_of,
)
from sluicegate.reconcile.live.pods import pods_of_revision, problem_of
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.hints import first_reason, way_out
from sluicegate.reconcile.report.restarting_pods import restarting_text
from sluicegate.reconcile.report.retraining_finding import retraining
from sluicegate.reconcile.routes.gateway_state import ABSENT
from sluicegate.reconcile.traffic.allocation import Allocation, share_in_force
from sluicegate.reconcile.traffic.split_verification import VerificationLevel
from sluicegate.views.needs import (
    is_missed_in_a_market,
    missed_markets_text,
    missing_parties_text,
    silence_of,
)

MIN_WAIT_SECONDS: Final = 60
"""After which a wait for a Gateway is named; most of them take a route within seconds."""
_CONTINUING_REASONS: Final = frozenset(
    {
        DecisionReason.COLLECTING_EVIDENCE,
        DecisionReason.WAITING_FOR_PODS,
        DecisionReason.AWAITING_APPROVAL,
    }
)
"""Checks that a rollout waits for as it should: its phase says so."""


_RECOVERY_TEXT: Final = "it has recovered once that holds for an hour, and for twelve blocks"
"""What ends a degradation whose SLO is met again."""
_EVIDENCE_FALLS: Final = (
    "it has recovered an hour, and twelve blocks, after as much evidence as found the fall shows that it"
    " has ended"
)
"""The same, while the newest answers are good and the evidence of those before remains."""
_BY_PEOPLE: Final = frozenset(
    {
        DecisionReason.ABORT_REQUESTED,
        DecisionReason.APPROVAL_MISSING,
        DecisionReason.APPROVAL_REFUSED,
    }
)
"""Reasons of a rejection by persons or their silence; the message says more than the reason."""
_NO_PREVIEWS: Final = (
    "spec.rollout.preview has no effect, as SLUICEGATE_PREVIEWS of the operator is false: its"
    " administrator sets it to true (settings.previews of the chart), or remove the field"
)
_NOT_MISSED_NOW: Final = frozenset({SloState.MET, SloState.UNKNOWN})


def findings(
    observation: Observation, status: DataProductStatus, allocation: Allocation
) -> Iterator[Finding]:
    """Yield all conditions of a product with a valid spec."""
    yield _ready(observation, status, allocation)
    yield _stalled(observation, status)
    yield from _reconciling(observation, status)
    yield _degraded(status)
    yield _slo_met(observation, status)
    yield _markets_met(observation, status)
    yield _metrics_available(observation, status)
    yield retraining(observation, status)
    yield _rollout(observation, status)
    yield _split(observation, status)
    yield _dependencies(observation)
    yield from _dependents(observation)
    if observation.one_sided:
        text = "; ".join(observation.one_sided)
        yield Finding(Type.EVIDENCE_ONE_SIDED, "True", Reason.EVIDENCE_NOT_COUNTED, text)
    if observation.product.spec.rollout.preview is not None and not observation.previews:
        yield Finding(Type.PREVIEW_REFUSED, "True", Reason.PREVIEWS_NOT_ALLOWED, _NO_PREVIEWS)
    yield _pinned_finding(observation)
    if observation.overlap:
        yield Finding(Type.OPERATOR_OVERLAP, "True", Reason.OPERATOR_OVERLAP, observation.overlap)
    yield from observation.reviews


def _reconciling(observation: Observation, status: DataProductStatus) -> Iterator[Finding]:
    """Yield Reconciling while a change is in progress, unless Stalled is True."""
    if observation.write_refusal:
        return
    if status.stable is None and status.candidate and not _first_has_failed(observation, status):
        yield Finding(Type.RECONCILING, "True", Reason.PROGRESSING, "the first version is starting")
    if is_rolling(observation, status) and _stalled(observation, status).status == "False":
        yield rolling_text(observation, status, Type.RECONCILING)


def _ready(  # noqa: PLR0911 - one a reason
    observation: Observation, status: DataProductStatus, allocation: Allocation
) -> Finding:
    if observation.conflict:
        reason = Reason.ROUTE_SHADOWED if observation.shadowed else Reason.NAME_CONFLICT
        return Finding(Type.READY, "False", reason, observation.conflict)
    if observation.write_refusal:
        return Finding(Type.READY, "False", Reason.APPLY_REFUSED, observation.write_refusal)
    stable = status.stable
    if stable is None:
        return _first_ready(observation, status)
    if (restart_text := restarting_text(observation, status, Type.READY)) is not None:
        return restart_text
    live = observation.live.get(stable.revision)
    ready, desired = (live.ready if live else 0), allocation.replicas(stable.revision)
    if ready == 0:
        text = f"{stable.version}: none of {desired} pods is ready. {words_of(observation, stable.revision)}"
        return Finding(Type.READY, "False", Reason.PODS_NOT_READY, text.strip())
    if is_rolling(observation, status):
        return rolling_text(observation, status, Type.READY)
    if absent_gateways := ". ".join(_absent_gateways(observation)):
        return Finding(Type.READY, "False", Reason.ROUTE_NOT_ACCEPTED, absent_gateways)
    if observation.product.spec.route is not None and status.candidate is None:
        split = observation.split
        if split is not None and split.level < VerificationLevel.ACCEPTED:
            return Finding(Type.READY, "False", Reason.ROUTE_NOT_ACCEPTED, split.message)
    return Finding(Type.READY, "True", Reason.SERVING, f"{stable.version} serves")


def _first_ready(observation: Observation, status: DataProductStatus) -> Finding:
    """Return why no version is stable yet."""
    candidate = status.candidate
    if candidate is None:
        text = "spec.suspend is set, so no version is started"
        return Finding(Type.READY, "False", Reason.SUSPENDED, text)
    text = words_of(observation, candidate.revision)
    if _first_has_failed(observation, status):
        return Finding(Type.READY, "False", Reason.INITIAL_VERSION_FAILED, text)
    text = ". ".join(
        ["no version is stable yet", *_absent_gateways(observation), *filter(None, [text])]
    )
    return Finding(Type.READY, "False", Reason.PROGRESSING, text)


def _absent_gateways(observation: Observation) -> Iterator[str]:
    """Yield the Gateways of spec.route that were read and don't exist."""
    for key, state in observation.gateways.items():
        if state == ABSENT:
            yield f"Gateway {key} {ABSENT.objection(None)}"


def _first_has_failed(observation: Observation, status: DataProductStatus) -> bool:
    candidate = status.candidate
    if status.stable is not None or candidate is None:
        return False
    pod = problem_of(pods_of_revision(observation.pods, candidate.revision))
    waited_seconds = observation.now - candidate.start_time
    deadline = observation.product.spec.serving.progress_deadline_seconds
    return (pod is not None and pod.unrecoverable) or waited_seconds > deadline


def _stalled(  # noqa: PLR0911 - one a reason
    observation: Observation, status: DataProductStatus
) -> Finding:
    if observation.invalid:
        return Finding(Type.STALLED, "True", Reason.INVALID_SPEC, "; ".join(observation.invalid))
    if observation.write_refusal:
        return Finding(Type.STALLED, "True", Reason.APPLY_REFUSED, observation.write_refusal)
    if _first_has_failed(observation, status):
        assert status.candidate is not None
        pod = problem_of(pods_of_revision(observation.pods, status.candidate.revision))
        text = words_of(observation, status.candidate.revision) or "its pods don't become ready"
        live = observation.live.get(status.candidate.revision)
        correction = way_out(pod, pods_refused=live is not None and bool(live.refusal))
        text = f"{status.candidate.version}: {text}{correction}"
        return Finding(Type.STALLED, "True", first_reason(pod), text)
    if is_rolling(observation, status) and is_stuck(observation, status):
        return rolling_text(observation, status, Type.STALLED)
    restart_text = restarting_text(observation, status, Type.STALLED)
    if restart_text is not None and status.candidate is None:  # a candidate may be the correction
        return restart_text
    if observation.stalled is not None:
        return observation.stalled
    if changed := _api_changed(observation, status):
        return Finding(Type.STALLED, "True", Reason.API_CHANGED, changed)
    model = status.spec_model
    is_rollback_request = DecisionReason.ROLLBACK_REQUESTED  # a person took the version that serves
    if model and model.is_rejected and model.reason != is_rollback_request:
        serves = "was not promoted ({}); stable keeps serving"
        if status.stable is not None and _was_stable(status, model):
            serves = f"was promoted and rolled back ({{}}); {status.stable.version} serves"
        reason = _why_rejected(status, model)
        text = f"{model.version} {serves.format(reason)}. Change spec.model, or ask for another try with sluicegate.dev/promote"
        return Finding(Type.STALLED, "True", Reason.MODEL_REJECTED, text)
    return Finding(Type.STALLED, "False", Reason.SERVING)


def _why_rejected(status: DataProductStatus, model: SpecModel) -> str:
    """Return the reason of a rejected spec.model; of a person's refusal with the person and the reason given."""
    if model.reason not in _BY_PEOPLE:
        return model.reason or "see status.history"
    verdict = next((past.verdict for past in status.history if past.release == model.release), None)
    is_same = verdict is not None and verdict.reason == model.reason
    return f"{model.reason}: {verdict.message}" if verdict is not None and is_same else model.reason


def _was_stable(status: DataProductStatus, model: SpecModel) -> bool:
    """Return whether the version of a rejected spec.model was promoted before."""
    past = next((past for past in status.history if past.release == model.release), None)
    return past is not None and past.promotion_time is not None


def _degraded(status: DataProductStatus) -> Finding:
    match status.state:
        case ProductState.DEGRADED:
            cause = status.diagnosis.cause if status.diagnosis else Reason.OBJECTIVE_MISSED
            return Finding(Type.DEGRADED, "True", cause, _sentences(status, degraded=True))
        case ProductState.HEALTHY | ProductState.DEGRADING:
            return Finding(Type.DEGRADED, "False", Reason.NOT_DEGRADED)
        case _:
            return Finding(Type.DEGRADED, "Unknown", _unknown_reason(status), _sentences(status))


def _unknown_reason(status: DataProductStatus) -> str:
    unknown_slos = [slo.reason for slo in status.slos if slo.state is SloState.UNKNOWN]
    return unknown_slos[0] if unknown_slos else Reason.NOT_YET_OBSERVED


def _sentences(status: DataProductStatus, *, degraded: bool = False) -> str:
    messages = [
        slo.message for slo in status.slos if slo.message and (slo.degraded or not degraded)
    ]
    return "; ".join(messages)


def _unjudged_finding(observation: Observation, kind: Type) -> Finding:
    """Return the text for SLOs without evaluation: there are none, or no version serves yet."""
    if observation.product.spec.slos:
        return Finding(kind, "Unknown", Reason.NOT_YET_OBSERVED, "no version was judged yet")
    return Finding(kind, "Unknown", Reason.NO_SLOS, "spec.slos is empty")


def _slo_met(observation: Observation, status: DataProductStatus) -> Finding:
    if not status.slos:
        return _unjudged_finding(observation, Type.SLO_MET)
    bad = [slo for slo in status.slos if slo.state is SloState.MISSED or slo.degraded]
    if bad:
        reason, text = _missed_reason(observation, status, bad)
        return Finding(Type.SLO_MET, "False", reason, text)
    unknown_slos = [slo.message for slo in status.slos if slo.state is SloState.UNKNOWN]
    if unknown_slos:
        return Finding(Type.SLO_MET, "Unknown", _unknown_reason(status), "; ".join(unknown_slos))
    return Finding(Type.SLO_MET, "True", Reason.ALL_MET)


def _missed_reason(
    observation: Observation, status: DataProductStatus, bad: Sequence[SloStatus]
) -> tuple[str, str]:
    """Return why SLOs count as missed: at present, when last measured, or during a recovery."""
    text = "; ".join(_missed_text(slo) for slo in bad)
    diagnosis = status.diagnosis
    if diagnosis is not None and diagnosis.cause == DecisionReason.RECOVERED:
        end = _recovery_end(observation, status, bad)
        return Reason.RECOVERING, f"{text}; {diagnosis.message}; {_EVIDENCE_FALLS}{end}"
    missed = next((slo for slo in bad if slo.state not in _NOT_MISSED_NOW), None)
    if missed is not None:
        return missed.reason or Reason.OBJECTIVE_MISSED, text
    if any(slo.state is SloState.UNKNOWN for slo in bad):
        return Reason.OBJECTIVE_MISSED, text
    end = _recovery_end(observation, status, bad)
    return Reason.RECOVERING, f"{text}; {_RECOVERY_TEXT}{end}"  # it has to be calm for long enough


def _recovery_end(
    observation: Observation, status: DataProductStatus, bad: Sequence[SloStatus]
) -> str:
    """Return the earliest end of a recovery as a clause; of several SLOs, the last one's."""
    terms = observation.terms
    streaks = [status.engine.slo(slo.name).recovery_streak for slo in bad]
    counted = [streak for streak in streaks if streak is not None]
    if len(counted) < len(bad):
        return "; that time hasn't begun yet"
    needed = needed_calm(terms.calendar)
    last = max(streak.last + needed - streak.evaluations for streak in counted)
    return f": at {rfc3339(terms.block_end(last))} at the earliest"


def _missed_text(slo: SloStatus) -> str:
    """Return the message of an SLO that is missed, or was when last measured."""
    if slo.state is SloState.UNKNOWN:
        return f"{slo.name} was missed when it was last measured; {slo.message}"
    return slo.message


def _markets_met(observation: Observation, status: DataProductStatus) -> Finding:
    """Return whether a market misses an SLO; Unknown, which removes the condition, without markets or measurements."""
    spec, kind = observation.product.spec, Type.MARKETS_MET
    slo_names = {slo.name for slo in observation.terms.slos if slo.follows_markets}
    if spec.serving.market is None or not slo_names or not status.slos:
        return Finding(kind, "Unknown", Reason.NOT_YET_OBSERVED)
    text = missed_markets_text(status)
    market_slos = (slo for slo in status.slos if slo.name in slo_names)
    if not text and all(slo.state is SloState.UNKNOWN for slo in market_slos):
        return Finding(kind, "Unknown", _unknown_reason(status))
    if not text:
        text = "no market is shown to miss an SLO"
        return Finding(kind, "True", Reason.ALL_MET, text)
    missed_slos = [slo for slo in status.slos if not slo.degraded and is_missed_in_a_market(slo)]
    actions = {
        str(slo.on_market_missed)
        for slo in observation.terms.slos
        if slo.name in {s.name for s in missed_slos}
    }
    if missed_slos:
        is_degraded = status.state is ProductState.DEGRADED
        state_text = "is degraded by another SLO" if is_degraded else "isn't degraded"
        text = f"{text}; the product as a whole {state_text}, and markets.onMissed is {' and '.join(sorted(actions))}"
    return Finding(kind, "False", Reason.MARKET_MISSED, text)


def _metrics_available(observation: Observation, status: DataProductStatus) -> Finding:
    if not status.slos:
        return _unjudged_finding(observation, Type.METRICS_AVAILABLE)
    unknown_slos = [slo for slo in status.slos if slo.state is SloState.UNKNOWN]
    if len(unknown_slos) == len(status.slos):
        return Finding(
            Type.METRICS_AVAILABLE,
            "False",
            unknown_slos[0].reason or Reason.NO_DATA,
            unknown_slos[0].message,
        )
    text = "; ".join(slo.message for slo in unknown_slos)
    return Finding(Type.METRICS_AVAILABLE, "True", Reason.MEASURED, text)


def _rollout(observation: Observation, status: DataProductStatus) -> Finding:
    candidate = status.candidate
    kind = Type.ROLLOUT_PROGRESSING
    if candidate is not None and status.stable is not None and candidate.retry_time is not None:
        needs_requests = candidate.decision_reason == DecisionReason.NO_TRAFFIC
        retry_text = f"at {rfc3339(candidate.retry_time)}"
        if needs_requests:
            retry_text += " at the earliest, once requests come"
        if candidate.retry_time <= observation.now:
            requests_text = "requests come, " if needs_requests else ""
            retry_text = (
                f"as soon as {requests_text}no training runs and its service levels can be measured"
            )
        text = f"{candidate.decision_message}; the rollout is retried {retry_text}"
        if not text.startswith(f"{candidate.version} "):
            text = f"{candidate.version}: {text}"
        return Finding(kind, "False", Reason.WAITING_TO_RETRY, text)
    if candidate is None or status.stable is None or candidate.phase is CandidatePhase.PARKED:
        return _no_rollout(observation, status)
    if observation.is_frozen(status):
        text = _suspended(candidate) + _awaited_model_text(observation, status)
        return Finding(kind, "False", Reason.SUSPENDED, text)
    if changed := _api_changed(observation, status):
        return Finding(kind, "False", Reason.API_CHANGED, changed)
    if preview_text := preview_wait_text(observation, status):
        problem = words_of(observation, candidate.revision)
        return Finding(kind, "True", Reason.PREVIEWING, f"{preview_text} {problem}".strip())
    return _in_progress(observation, candidate)


def _suspended(candidate: Candidate) -> str:
    """Return the text of a suspended candidate: what spec.suspend holds, and which requests are still carried out."""
    approvals = candidate.approvals
    if approvals is not None and approvals.held_silence is not None:
        return f"spec.suspend is set: {silence_of(approvals)}"
    text = f"spec.suspend is set, so {candidate.version} keeps its {share_in_force(candidate)} %"
    is_waiting = candidate.phase is CandidatePhase.AWAITING_APPROVAL
    if approvals is None or not approvals.waiting_for or not is_waiting:
        text += " until it is unset; promote, abort and rollback-to act all the same"
        return text if candidate.hold is None else f"{text}; {candidate.hold.message}"
    parties = missing_parties_text(approvals)
    return f"{text}; it waits for the agreement of {parties}, whose answers act all the same"


def _awaited_model_text(observation: Observation, status: DataProductStatus) -> str:
    """Return a clause about the version of spec.model that is taken up after the suspension; empty for none."""
    version = awaited_model(status, observation.observed)
    return (
        f"; spec.model names {version}, which waits until spec.suspend is unset" if version else ""
    )


def _in_progress(observation: Observation, candidate: Candidate) -> Finding:
    """Return the phase and share of a candidate, or the check that holds it, with its pods' reports."""
    problem = words_of(observation, candidate.revision)
    if not problem and candidate.shadow is not None:
        problem = candidate.shadow.message
    if not problem:
        problem = _pods_awaited(observation, candidate) or _share_not_applied(
            observation, candidate
        )
    text, hold = f"{candidate.version} at {share_in_force(candidate)} %.", candidate.hold
    reason: str = Reason(candidate.phase)
    if hold is not None:
        request = f"; {hold.request} is pending until then" if hold.request else ""
        text = f"{hold.message}{request}."
        reason = reason if hold.check in _CONTINUING_REASONS else hold.check
    return Finding(Type.ROLLOUT_PROGRESSING, "True", reason, f"{text} {problem}".strip())


def _pods_awaited(observation: Observation, candidate: Candidate) -> str:
    """Return the pods of stable that a rollback waits for; empty without a wait."""
    stable = observation.product.status.stable
    if not candidate.returning or stable is None:
        return ""
    live = observation.live.get(stable.revision)
    return (
        f"It keeps this share until pods of {stable.version} are ready for it, of which"
        f" {live.ready if live else 0} are; each of its own makes room for one (rollout.capacity Replace)."
    )


def _share_not_applied(observation: Observation, candidate: Candidate) -> str:
    """Return the Gateway that a decision waits for; empty without a wait."""
    split = observation.split
    carried_out = candidate.phase in {CandidatePhase.PROMOTING, CandidatePhase.ROLLING_BACK}
    if not carried_out or split is None or split.level >= VerificationLevel.ACCEPTED:
        return ""
    rollout_start = candidate.wait_start_time or candidate.start_time
    if observation.now - rollout_start < MIN_WAIT_SECONDS:
        return ""
    return f"Its pods stay until the traffic has moved: {split.message}"


def _api_changed(observation: Observation, status: DataProductStatus) -> str:
    """Return why the candidate awaits an approval before its first share; empty without a wait."""
    candidate, stable = status.candidate, status.stable
    if candidate is None or stable is None or candidate.phase is not CandidatePhase.STARTING:
        return ""
    if not is_held(status, observation.observed):
        return ""
    api_changes = observation.observed.facts.api_changes or ()
    return explain(candidate.version, stable.version, api_changes)


def _no_rollout(observation: Observation, status: DataProductStatus) -> Finding:
    kind, last = Type.ROLLOUT_PROGRESSING, next(iter(status.history), None)
    if observation.product.spec.suspend:
        text = "spec.suspend is set: changes of the spec wait until it is unset"
        text += _awaited_model_text(observation, status)
        return Finding(kind, "False", Reason.SUSPENDED, text)
    if last is not None and last.outcome is Outcome.FAILED and status.stable is not None:
        text = (
            f"the rollback to {last.version} failed ({last.reason});"
            f" {status.stable.version} remains stable. Ask again with"
            f" {REQUEST_ROLLBACK}={last.version}/<token> when the cause is gone, or set"
            " another spec.model"
        )
        return Finding(kind, "False", Reason.RETURN_FAILED, text)
    awaited_dependency = rollout_obstacle(observation.terms, status, observation.observed)
    if awaited_dependency is not None:
        return Finding(kind, "False", awaited_dependency.reason, awaited_dependency.message)
    if (reason_and_text := _unserved_model(status)) is not None:
        return reason_and_text
    if status.probation is not None:
        return Finding(
            kind, "False", Reason.ON_PROBATION, _on_probation(observation, status.probation)
        )
    return Finding(kind, "False", Reason.NO_ROLLOUT)


def _on_probation(observation: Observation, probation: Probation) -> str:
    """Return a clause about the probation of the promoted version: its end and its previous version."""
    min_blocks, max_blocks = probation_limits(observation.terms.calendar)
    probation_start, block = probation.start_time, observation.terms.block_seconds
    previous_version = probation.against
    if previous_version == probation.version:
        previous_version = "its earlier revision"  # of another runtime image
    return (
        f"{probation.version} is on probation until its events suffice for a verdict, between"
        f" {rfc3339(probation_start + min_blocks * block)} and {rfc3339(probation_start + max_blocks * block)}: at the first"
        f" evidence that it is worse, {previous_version} returns"
    )


def _unserved_model(status: DataProductStatus) -> Finding | None:
    """Return why spec.model isn't served although it wasn't rejected; None if it is served or was rejected."""
    model, stable = status.spec_model, status.stable
    if model is None or stable is None or model.image == stable.image:
        return None
    is_rollback_request = model.reason == DecisionReason.ROLLBACK_REQUESTED
    if not is_rollback_request and model.outcome is not Outcome.SUPERSEDED:
        return None
    reason = DecisionReason.ROLLBACK_REQUESTED if is_rollback_request else DecisionReason.SUPERSEDED
    clause = f"before a verdict it was superseded by {stable.version}"
    if is_rollback_request and stable.restored:
        clause = f"a person rolled back to {stable.version}"
    elif is_rollback_request:
        clause = f"a person rolled it back, and {stable.version} serves"
    text = (
        f"spec.model names {model.version}, but {clause}: change"
        " spec.model, or ask for another try with sluicegate.dev/promote"
    )
    return Finding(Type.ROLLOUT_PROGRESSING, "False", reason, text)


def _split(observation: Observation, status: DataProductStatus) -> Finding:
    kind, split = Type.TRAFFIC_SPLIT_VERIFIED, observation.split
    if status.stable is None or (observation.product.spec.route is None and not status.candidate):
        return Finding(kind, "Unknown", Reason.NO_SPLIT)
    if observation.product.spec.route is None:
        text = "there is no spec.route: pods behind one Service split the traffic approximately"
        return Finding(kind, "Unknown", Reason.APPROXIMATE, text)
    if split is None:
        return Finding(kind, "Unknown", Reason.NO_SPLIT)
    match split.level:
        case VerificationLevel.OBSERVED:
            return Finding(kind, "True", Reason.OBSERVED, split.message)
        case VerificationLevel.ACCEPTED:
            return Finding(kind, "True", Reason.ACCEPTED, split.message)
        case _:
            return Finding(kind, "False", Reason.WRITTEN, split.message)


def _dependencies(observation: Observation) -> Finding:
    kind, dependencies = Type.DEPENDENCIES_HEALTHY, observation.dependencies
    if not dependencies:
        return Finding(kind, "Unknown", Reason.NO_DEPENDENCIES)
    unhealthy_text = ", ".join(
        _unhealthy_text(dependency)
        for dependency in dependencies
        if dependency.state is not DependencyState.HEALTHY
    )
    if any(dependency.state is DependencyState.DEGRADED for dependency in dependencies):
        return Finding(kind, "False", Reason.DEPENDENCY_DEGRADED, unhealthy_text)
    if unhealthy_text:
        return Finding(kind, "Unknown", Reason.DEPENDENCY_UNKNOWN, unhealthy_text)
    return Finding(kind, "True", Reason.ALL_HEALTHY, _cycle_text(dependencies))


def _unhealthy_text(dependency: DependencyStatus) -> str:
    """Return the state of a dependency as a clause; of one without a snapshot with the ways out."""
    key = f"{dependency.namespace}/{dependency.name}"
    if dependency.state is DependencyState.DEGRADED:
        return f"{key} is degraded"
    if dependency.state is not DependencyState.NOT_FOUND:
        return f"{key}: {dependency.state}"
    return (
        f"spec.dependsOn: this operator evaluates no DataProduct {key}: correct the name, or create it;"
        " one that exists is invalid, or its namespace isn't watched"
    )


def _cycle_text(dependencies: Iterable[DependencyStatus]) -> str:
    """Return which dependencies depend on the product too; empty if none does."""
    names = ", ".join(f"{each.namespace}/{each.name}" for each in dependencies if each.in_cycle)
    if not names:
        return ""
    return f"{names} depends on this product too, so its state is no cause of a degradation here"


def _dependents(observation: Observation) -> Iterator[Finding]:
    """Yield DegradesDependents for a caller that is degraded by a release of this product."""
    if observation.degrades:
        metadata = observation.product.metadata
        text = "; ".join(
            f"{consumer} is degraded, and its SLO follows the release of {metadata.namespace}/{metadata.name}"
            for consumer in observation.degrades
        )
        owners = [
            f"{owner} (owner of {consumer})" if owner else f"the owner of {consumer}"
            for consumer, owner in observation.degrades.items()
        ]
        owner_text = " and ".join(owners)
        text = f"{text}. Agree with {owner_text}: roll the release back here, or retrain there"
        yield Finding(Type.DEGRADES_DEPENDENTS, "True", Reason.DEPENDENT_DEGRADED, text)


def _pinned_finding(observation: Observation) -> Finding:
    image = observation.desired.runtime_image
    if "@sha256:" in image:
        return Finding(Type.RUNTIME_PINNED, "True", Reason.PINNED_BY_DIGEST)
    text = f"serving.runtimeImage {image} is named by a tag, which can change: name it by digest"
    return Finding(Type.RUNTIME_PINNED, "False", Reason.NAMED_BY_TAG, text)
