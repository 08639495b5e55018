"""What the operator reports, and what it must remember between two reconciles.

Everything measured is a decimal string or a count; everything optional is left out rather
than null. The operator owns all of it, by server-side apply.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints

from sluicegate.api.base import StatusModel, Time
from sluicegate.api.engine import EngineState, ProductState
from sluicegate.api.list_types import Keyed
from sluicegate.api.names import (
    REQUEST_ABORT,
    REQUEST_PROMOTE,
    REQUEST_RETRAIN,
    REQUEST_ROLLBACK,
    ConditionReason,
    ConditionType,
)
from sluicegate.api.outcome import SPEC_MODEL_OUTCOMES, Outcome
from sluicegate.api.retraining_status import (
    HOLD_OUT_REASONS,
    MAX_FAILURES,
    RetrainingStatus,
    Trigger,
)
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.slo_status import SloStatus
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    PastVersion,
    Probation,
    Release,
    Traffic,
    Version,
    VersionBase,
    VersionSource,
)


class LastHandled(StatusModel):
    """Values of the one-shot annotations that were handled, or refused."""

    retrain_requested_at: str = ""
    """Value of sluicegate.dev/retrain-requested-at that was handled last."""
    rollback_to: str = ""
    """Value of sluicegate.dev/rollback-to that was handled last."""
    promote: str = ""
    """Value of sluicegate.dev/promote that was handled last."""
    abort: str = ""
    """Value of sluicegate.dev/abort that was handled last."""

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Self:
        """Return all requests among a product's annotations, as handled."""
        return cls(
            **{field: annotations[name] for name, field in FIELDS.items() if name in annotations}
        )

    def with_token(self, annotation: str, value: str) -> Self:
        """Return a copy in which this value of an annotation was handled last."""
        return self.replace(**{FIELDS[annotation]: value})

    def token(self, annotation: str) -> str:
        """Return the value of an annotation that was handled last; empty before the first."""
        field = FIELDS.get(annotation)
        return "" if field is None else str(getattr(self, field))


FIELDS: Final = {
    REQUEST_RETRAIN: "retrain_requested_at",
    REQUEST_ROLLBACK: "rollback_to",
    REQUEST_PROMOTE: "promote",
    REQUEST_ABORT: "abort",
}
"""Which field of `status.lastHandled` echoes which annotation."""


class PendingRequest(StatusModel):
    """A one-shot request that can't act yet; it acts once it can, unless it is removed."""

    annotation: str
    """Annotation of the request."""
    value: Annotated[str, Field(max_length=253)]
    """Value of the annotation."""
    wait_start_time: Time
    """Time since which the request waits."""
    reason: Annotated[str, Field(max_length=128)]
    """Reason of the wait, in one word."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Explanation of what ends the wait, in a sentence."""


class Condition(StatusModel):
    """One observation, as metav1.Condition has it."""

    type: Annotated[str, Field(min_length=1, max_length=63)]
    """Type of the condition in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition: True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    """Reason of the last transition, in one CamelCase word."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Explanation of the status, in a sentence."""
    observed_generation: int = 0
    """The generation it was observed at."""
    last_transition_time: Time
    """Time at which the status last changed."""


class SpecModel(StatusModel):
    """The last spec.model that was taken up. Only another digest starts a rollout."""

    image: str
    """The bento's identity: image by digest, or `<url>#sha256:<hex>`."""
    version: str = ""
    """Name of the bento's version."""
    runtime_image: str
    """Runtime image in effect when it was first handled."""
    outcome: Annotated[Outcome, SPEC_MODEL_OUTCOMES]
    """Outcome of its rollout."""
    reason: str = ""
    """Reason of the outcome in one word, where it was rolled back or ended without a verdict."""
    outcome_time: Time
    """Time at which the outcome was reached."""

    @classmethod
    def of(cls, release: Release, outcome: Outcome, end_time: int) -> Self:
        """Return the outcome of a release at this time, in seconds."""
        return cls(
            image=release.image,
            version=release.version,
            runtime_image=release.runtime_image,
            outcome=outcome,
            outcome_time=end_time,
        )

    @property
    def release(self) -> Release:
        """Return the release: its name and its identity."""
        return Release(self.version, self.image, self.runtime_image)

    @property
    def is_rejected(self) -> bool:
        """Return whether its rollout ended without a promotion: it isn't retried automatically."""
        return self.outcome in {Outcome.ROLLED_BACK, Outcome.INCONCLUSIVE}


class DecisionStatus(StatusModel):
    """Last decision other than Hold."""

    type: str
    """Type of the decision, e.g. Promote."""
    reason: str
    """Reason of the decision, in one word."""
    message: str = ""
    """Explanation with the numbers: indicator, value, bound, sample size."""
    decision_time: Time
    """Time at which the decision was made."""


class CheckVerdict(StrEnum):
    """What a check of the diagnosis says."""

    CLEAR = "Clear"
    OBJECTS = "Objects"
    UNKNOWN = "Unknown"


class DiagnosisEvidence(StatusModel):
    """One check of the diagnosis."""

    check: str
    """Name of the check, e.g. UpstreamDegraded."""
    verdict: CheckVerdict
    """Verdict of the check: Clear, Objects or Unknown."""
    message: str = ""
    """Numbers behind the verdict."""


class Diagnosis(StatusModel):
    """Cause of the degradation."""

    cause: str
    """Name of the first check that objects; ModelDecay or ModelTooSlow if none objects."""
    market: str = ""
    """The market in which the evidence is; left out where it isn't in one market alone."""
    message: str = ""
    """Explanation of the cause in a sentence."""
    diagnosis_time: Time
    """Time at which the diagnosis was made."""
    evidence: Annotated[tuple[DiagnosisEvidence, ...], Field(max_length=32)] = ()
    """Checks of the diagnosis, in their order."""


class DependencyState(StrEnum):
    """The reported state of another product."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"
    NOT_FOUND = "NotFound"


class DependencyStatus(StatusModel):
    """One product of spec.dependsOn."""

    namespace: str
    """Namespace of the other product."""
    name: str
    """Name of the other product."""
    state: DependencyState
    """State of the product it depends on."""
    in_cycle: bool = False
    """Whether it depends on this product too, so that the check is skipped."""


class Summary(StatusModel):
    """Columns of `kubectl get dataproducts`."""

    slo: str = ""
    """`Met`, or the worst SLO with its state, or `-` without SLOs."""
    canary: str = ""
    """`v15@25` while a candidate takes traffic, its phase before that."""
    markets: str = ""
    """The markets, separated by commas."""
    reason: str = ""
    """Reason why the product is not Ready, needs action by a person, or does not serve spec.model;
    otherwise empty."""


class OperatorScope(StrEnum):
    """What an operator watches."""

    CLUSTER = "Cluster"
    NAMESPACES = "Namespaces"


class WrittenBy(StatusModel):
    """An operator, by the Lease that its replicas contend for."""

    namespace: str
    """Namespace of the operator's Lease."""
    lease: str
    """Name of the operator's Lease."""
    scope: OperatorScope
    """Whether it watches the whole cluster."""
    version: Annotated[str, StringConstraints(max_length=64)] = ""
    """Version of the operator that wrote."""


class DataProductStatus(StatusModel):
    """Observed state: conditions for machines, numbers for people, state of the operator."""

    observed_generation: int = -1
    """Generation of spec that was last reconciled; -1 until the operator has seen the object."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), Keyed("type")] = ()
    """Ready, Reconciling and Stalled as kstatus reads them, and conditions for information."""
    state: ProductState | None = None
    """State of the product: Healthy, Degrading, Degraded or Unknown."""
    summary: Summary | None = None
    """Columns of `kubectl get dataproducts`."""
    spec_model: SpecModel | None = None
    """Last spec.model that was handled."""
    stable: Version | None = None
    """Version that was accepted and receives the traffic."""
    candidate: Candidate | None = None
    """Version whose rollout is running; it may become stable."""
    history: Annotated[tuple[PastVersion, ...], Field(max_length=20)] = ()
    """Earlier versions, the newest first."""
    probation: Probation | None = None
    """Trial of the stable version after its promotion, against the version before."""
    retraining: RetrainingStatus | None = None
    """Retraining: the running attempt, the last one, and the time of the next."""
    slos: Annotated[tuple[SloStatus, ...], Field(max_length=17), Keyed("name")] = ()
    """The service levels, with the numbers of the last decision."""
    decision: DecisionStatus | None = None
    """Last decision other than Hold."""
    diagnosis: Diagnosis | None = None
    """Cause of the degradation, while the product is degraded."""
    dependencies: Annotated[
        tuple[DependencyStatus, ...], Field(max_length=32), Keyed("namespace", "name")
    ] = ()
    """State of the products of spec.dependsOn."""
    traffic: Traffic | None = None
    """Split of the requests between stable version and candidate, and its verification."""
    last_handled: LastHandled | None = None
    """One-shot requests that were handled last."""
    pending_requests: Annotated[
        tuple[PendingRequest, ...], Field(max_length=4), Keyed("annotation")
    ] = ()
    """One-shot requests that can't act yet, each with what it waits for."""
    problems: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """Mistakes in the spec, while there are any (condition Stalled, reason InvalidSpec)."""
    last_refresh_time: Time | None = None
    """Time at which the numbers were last refreshed."""
    written_by: WrittenBy | None = None
    """Operator that wrote this status."""
    engine: EngineState = Field(default_factory=EngineState)
    """State that only the operator reads, to continue after a restart; its fields may change with any version."""

    @property
    def trial(self) -> Candidate | None:
        """Return the candidate under trial; None for an earlier version that is restored."""
        candidate = self.candidate
        return None if candidate is None or candidate.restoring else candidate

    @property
    def shadow(self) -> ShadowStatus | None:
        """Return the shadow phase of the candidate under trial; None before its first step."""
        return self.trial.shadow if self.trial is not None else None

    @property
    def carried_out(self) -> bool:
        """Return whether a decision about the candidate is being carried out: nothing is judged meanwhile."""
        final_phases = (CandidatePhase.PROMOTING, CandidatePhase.ROLLING_BACK)
        return self.candidate is not None and self.candidate.phase in final_phases

    @property
    def training(self) -> Trigger | None:
        """Return the trigger of the training under way; None without one."""
        if self.retraining is None or self.stable is None:
            return None
        return self.retraining.trigger

    @property
    def blocked_training(self) -> Condition | None:
        """Return RetrainingActive if a training waits for a person; else None.

        A wait for labels, for a slot or for a first retry ends by itself; so does the pause of a
        product that needs no remedy, unless the training itself failed. Where challengers fail, the
        next one ends no wait before it has worked.
        """
        active_condition = next(
            (
                condition
                for condition in self.conditions
                if condition.type == ConditionType.RETRAINING_ACTIVE
            ),
            None,
        )
        if active_condition is None:
            return None
        training = self.retraining or RetrainingStatus()
        has_failed = (
            training.unsuccessful_attempts > 0 and training.last_reason not in HOLD_OUT_REASONS
        )
        if self.state is not ProductState.DEGRADED and has_failed:
            last_result = training.last_result
            has_failed = last_result is not None and last_result.outcome is Outcome.FAILED
        blocking_reasons = {
            ConditionReason.JOB_REFUSED: True,
            ConditionReason.JOB_PENDING: True,
            ConditionReason.NO_REMEDY_FOUND: True,
            ConditionReason.CHALLENGERS_FAIL: True,
            ConditionReason.SERVING_SKEW: True,
            ConditionReason.CODE_NOT_DATA: True,
            ConditionReason.COOLING_DOWN: has_failed,
            ConditionReason.WAITING_TO_RETRY: training.lost_jobs >= MAX_FAILURES,
        }
        if blocking_reasons.get(ConditionReason(active_condition.reason)):
            return active_condition
        next_training = training.trigger or training.pending
        if training.challengers_fail and next_training and next_training.trains_challenger:
            return active_condition.replace(reason=ConditionReason.CHALLENGERS_FAIL)
        return None

    @property
    def parent(self) -> Release:
        """Return the version from which the training under way started; its name alone if it isn't kept."""
        name = self.training.version if self.training else ""
        versions = ([self.stable] if self.stable else []) + list(self.history)
        return next(
            (version.release for version in versions if version.version == name), Release(name)
        )

    @property
    def descends_from(self) -> str:
        """Return the bento of spec.model from which stable was retrained; empty if it wasn't.

        A status of an earlier release doesn't say so: there it is the newest version of the spec
        before stable that wasn't rolled back.
        """
        if self.stable is None:
            return ""
        if self.stable.descends_from or self.stable.source is not VersionSource.RETRAINING:
            return self.stable.descends_from
        accepted_versions = (
            past_version for past_version in self.accepted_versions if not past_version.rolled_back
        )
        spec_versions = (
            past_version
            for past_version in accepted_versions
            if past_version.source is VersionSource.SPEC
        )
        return next(
            (past_version.image or past_version.version for past_version in spec_versions), ""
        )

    @property
    def accepted_versions(self) -> tuple[PastVersion, ...]:
        """Return earlier versions that were stable, newest first, without refused ones."""
        return tuple(
            past_version for past_version in self.history if past_version.promotion_time is not None
        )

    @property
    def versions(self) -> tuple[VersionBase, ...]:
        """Return all versions in status: stable, the candidate, and the history."""
        served_versions = (
            version for version in (self.stable, self.candidate) if version is not None
        )
        return (*served_versions, *self.history)

    def with_engine(self, **update: object) -> Self:
        """Return a copy with other fields of the engine's state."""
        return self.replace(engine=self.engine.replace(**update))

    def with_candidate(self, **update: object) -> Self:
        """Return a copy with other fields of the candidate, which must exist."""
        assert self.candidate is not None
        return self.replace(candidate=self.candidate.replace(**update))

    def with_retraining(self, **update: object) -> Self:
        """Return a copy with other fields of status.retraining; absent if all are empty."""
        retraining = (self.retraining or RetrainingStatus()).replace(**update)
        empty_fields: dict[str, object] = {"job": "", "start_time": None, "admission_time": None}
        ended_fields = {} if retraining.trigger else empty_fields
        retraining = retraining.replace(
            **ended_fields, suspended=retraining.unsuccessful_attempts >= MAX_FAILURES
        )
        return self.replace(retraining=None if retraining == RetrainingStatus() else retraining)
