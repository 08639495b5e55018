"""What the operator reports, and what it must remember between two reconciles.

Everything measured is a decimal string or a count; everything optional is left out rather
than null. The operator owns all of it, by server-side apply.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sluicegate.api.base import Number, StatusModel, Time
from sluicegate.api.baseline import Baseline, Baselines
from sluicegate.api.list_types import Keyed
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.api.slo_status import SloStatus
from sluicegate.api.versions import Candidate, PastVersion, Probation, Traffic, Version


class LastHandled(StatusModel):
    """Values of the one-shot annotations that were handled, or refused."""

    retrain_requested_at: str = ""
    """Of sluicegate.dev/retrain-requested-at."""
    rollback_to: str = ""
    """Of sluicegate.dev/rollback-to."""
    promote: str = ""
    """Of sluicegate.dev/promote."""
    abort: str = ""
    """Of sluicegate.dev/abort."""


class ProductState(StrEnum):
    """How the product does."""

    HEALTHY = "Healthy"
    DEGRADING = "Degrading"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"


class Condition(StatusModel):
    """One observation, as metav1.Condition has it."""

    type: Annotated[str, Field(min_length=1, max_length=63)]
    """What is observed."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, in a sentence."""
    observed_generation: int = 0
    """The generation it was observed at."""
    last_transition_time: Time
    """When its status last changed."""


class SpecModelOutcome(StrEnum):
    """What became of the model that the spec names."""

    IN_PROGRESS = "InProgress"
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


class SpecModel(StatusModel):
    """The last spec.model that was taken up. Only another digest starts a rollout."""

    image: str
    """The bento's identity: image by digest, or `<url>#sha256:<hex>`."""
    version: str = ""
    """The bento's version."""
    runtime_image: str
    """The runtime image in effect when it was taken up."""
    outcome: SpecModelOutcome
    """What became of it."""
    reason: str = ""
    """Why it was rejected."""
    at: Time
    """When the outcome was reached."""


class DecisionStatus(StatusModel):
    """The last decision that wasn't to hold as before."""

    type: str
    """What was decided."""
    reason: str
    """Why, in one word."""
    message: str = ""
    """Why, with the numbers: indicator, value, bound, sample size."""
    at: Time
    """When."""


class Verdict(StrEnum):
    """What a check of the diagnosis says."""

    CLEAR = "Clear"
    OBJECTS = "Objects"
    UNKNOWN = "Unknown"


class DiagnosisEvidence(StatusModel):
    """One check of the diagnosis, in the order they were made."""

    check: str
    """Its name, e.g. UpstreamDegraded."""
    verdict: Verdict
    """What it says."""
    message: str = ""
    """The numbers behind it."""


class Diagnosis(StatusModel):
    """Why the product is degraded."""

    cause: str
    """The first check that objected, or what remains: ModelDecay, ModelTooSlow."""
    message: str = ""
    """The cause in a sentence."""
    at: Time
    """When it was made."""
    evidence: Annotated[tuple[DiagnosisEvidence, ...], Field(max_length=32)] = ()
    """All checks that were made."""


class DependencyState(StrEnum):
    """What is told about another product."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"
    NOT_FOUND = "NotFound"


class DependencyStatus(StatusModel):
    """One product of spec.dependsOn."""

    namespace: str
    """Its namespace."""
    name: str
    """Its name."""
    state: DependencyState
    """How it does."""
    in_cycle: bool = False
    """Whether it depends on this product too, so that the check is skipped."""


class Summary(StatusModel):
    """Words for `kubectl get`."""

    slo: str = ""
    """`OK`, or the SLO that is worst with its state, or `-` without SLOs."""
    model: str = ""
    """The stable version."""
    canary: str = ""
    """`v15@25` while a candidate takes traffic, its phase before that."""
    markets: str = ""
    """The markets, separated by commas."""
    reason: str = ""
    """Why it isn't Ready, or needs a person, or why spec.model isn't what serves; else empty."""


class OriginalBaseline(StatusModel):
    """The first baseline ever accepted: a chain of slightly worse versions can't walk away."""

    version: str
    """The version it was accepted with."""
    slos: Annotated[dict[str, Baseline], Field(max_length=16)] = Field(default_factory=dict)
    """Baselines by SLO name."""


class OperatorScope(StrEnum):
    """What an operator watches."""

    CLUSTER = "Cluster"
    NAMESPACES = "Namespaces"


class WrittenBy(StatusModel):
    """An operator, by the Lease that its replicas contend for."""

    namespace: str
    """Its namespace."""
    lease: str
    """Name of its Lease."""
    scope: OperatorScope
    """Whether it watches the whole cluster."""
    version: Annotated[str, StringConstraints(max_length=64)] = ""
    """Its version."""


class DataProductStatus(StatusModel):
    """What is: conditions for machines, numbers for people, memory for the operator."""

    observed_generation: int = -1
    """The generation of spec that was taken up; -1 until the operator has seen the object."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), Keyed("type")] = ()
    """Ready, Reconciling and Stalled as kstatus reads them, and what informs."""
    state: ProductState | None = None
    """How the product does."""
    last_known_state: ProductState | None = None
    """The state before it became Unknown."""
    summary: Summary | None = None
    """Words for `kubectl get`."""
    spec_model: SpecModel | None = None
    """The last spec.model that was taken up."""
    stable: Version | None = None
    """The accepted version."""
    candidate: Candidate | None = None
    """The version that wants to become stable."""
    history: Annotated[tuple[PastVersion, ...], Field(max_length=20)] = ()
    """Versions before, the youngest first."""
    original_baseline: OriginalBaseline | None = None
    """The first baseline ever accepted."""
    probation: Probation | None = None
    """What the stable version still has to show after its promotion."""
    retraining: RetrainingStatus | None = None
    """The running retraining, the last one, and when the next may be."""
    slos: Annotated[tuple[SloStatus, ...], Field(max_length=17), Keyed("name")] = ()
    """The service levels, with the numbers of the last decision."""
    decision: DecisionStatus | None = None
    """The last decision."""
    diagnosis: Diagnosis | None = None
    """Why the product is degraded, while it is."""
    dependencies: Annotated[
        tuple[DependencyStatus, ...], Field(max_length=32), Keyed("namespace", "name")
    ] = ()
    """How the products of spec.dependsOn do."""
    traffic: Traffic | None = None
    """How requests are split, and how far that is verified."""
    last_handled: LastHandled | None = None
    """The one-shot requests that were handled."""
    problems: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """What is wrong with the spec, while it is (Stalled, InvalidSpec)."""
    alerted: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    """What people were told of the present trouble, so that they are told once."""
    metrics_lost_since: Time | None = None
    """Since when nothing could be measured."""
    numbers_at: Time | None = None
    """When the numbers were last refreshed."""
    written_by: WrittenBy | None = None
    """The operator that wrote this."""


__all__ = [
    "Baseline",
    "Baselines",
    "Candidate",
    "Condition",
    "DataProductStatus",
    "DecisionStatus",
    "DependencyState",
    "DependencyStatus",
    "Diagnosis",
    "DiagnosisEvidence",
    "LastHandled",
    "Number",
    "OperatorScope",
    "OriginalBaseline",
    "PastVersion",
    "Probation",
    "ProductState",
    "RetrainingStatus",
    "SloStatus",
    "SpecModel",
    "SpecModelOutcome",
    "Summary",
    "Traffic",
    "Verdict",
    "Version",
    "WrittenBy",
]  # fmt: skip
