"""Versions: the stable one, the candidate on its way, the ones before, and their traffic."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final, Self

from pydantic import Field
from typing_extensions import override

from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.approvals import CandidateApprovals
from sluicegate.api.base import Counted, Events, Number, Paired, StatusModel, Time
from sluicegate.api.baseline import Baselines
from sluicegate.api.iteration import Iteration
from sluicegate.api.list_types import Keyed
from sluicegate.api.outcome import PAST_VERSION_OUTCOMES, Outcome
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.verdict import ArmMarkets, CanaryVerdict

REVISION_LENGTH: Final = 10


def revision_of(digest: str, runtime_image: str) -> str:
    """Return ten hex digits that identify a bento in a runtime.

    `digest` is `sha256:<hex>` of the bento's image or archive.
    """
    return sha256(f"{digest} {runtime_image}".encode()).hexdigest()[:REVISION_LENGTH]


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A version by name, and what makes it that version: two that differ only in name are equal.

    Attributes
    ----------
    version : the bento's version: label of everything that it serves.
    image : the bento by content.
    runtime_image : what it runs in, frozen when it became a candidate.
    service : name of the bento's entry service, which is no part of its identity.
    """

    version: str
    image: str = ""
    runtime_image: str = ""
    service: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """Return the identity of the version, independent of the registry of its bento: its digest and its runtime.

        A release that is known by its name alone, as in a replay, is what it is called.
        """
        return self.image.rpartition("sha256:")[2] or self.version, self.runtime_image

    @property
    def revision(self) -> str:
        """Return ten hex digits of its identity."""
        digest, runtime_image = self.identity
        return revision_of(f"sha256:{digest}", runtime_image)

    def is_renewal_of(self, other_release: "Release") -> bool:
        """Return whether it is the same bento in another runtime."""
        own_identity, other_identity = self.identity, other_release.identity
        return own_identity[0] == other_identity[0] and own_identity != other_identity

    @override
    def __eq__(self, other: object) -> bool:
        """Return whether both are the same bento in the same runtime."""
        return self.identity == other.identity if isinstance(other, Release) else NotImplemented

    @override
    def __hash__(self) -> int:
        """Return a hash of the identity."""
        return hash(self.identity)


class VersionSource(StrEnum):
    """Where a version comes from."""

    SPEC = "Spec"
    RETRAINING = "Retraining"


class VersionBase(StatusModel):
    """Identity of a version, which suffices to render it again."""

    version: str
    """Name of the bento's version."""
    image: str
    """The bento's identity: image by digest, or `<url>#sha256:<hex>`."""
    service: str = ""
    """Name of the bento's entry service."""
    runtime_image: str
    """The runtime image, frozen when the version became a candidate."""
    revision: str
    """Ten hex digits that stand for bento and runtime image."""
    source: VersionSource
    """Origin of the version: Spec or Retraining."""
    cause: str = ""
    """Cause of its training: ModelDecay, ModelTooSlow or Requested; Scheduled or FollowUp for a challenger."""
    cause_slo: str = ""
    """The SLO whose degradation caused its training; empty without one."""
    cause_market: str = ""
    """The market in which that SLO was missed; left out where it wasn't in one market alone."""
    descends_from: str = ""
    """Bento of spec.model from which it was retrained, directly or over versions between; left out
    if it was not."""
    iteration: Iteration | None = None
    """Statement of the author about what was tried with the version, from the labels of its bento or
    the note of the request that led to it."""
    api_changes: ApiChanges | None = None
    """Differences of its API from that of the version that was stable when it took its first share; left
    out without one."""
    evaluation: Annotated[dict[str, Counted], Field(max_length=16)] = Field(default_factory=dict)
    """Hold-out counts of the version, by SLO name."""
    stable_evaluation: Annotated[dict[str, Counted], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Counts of the version that it was retrained from on the same hold-out, by SLO name."""
    pairs: Annotated[dict[str, Paired], Field(max_length=16)] = Field(default_factory=dict)
    """Rows of its hold-out by which of it and that version was right, by SLO name."""

    @classmethod
    def of(cls, release: Release, source: VersionSource, **other_fields: Any) -> Self:
        """Return a release as this kind of version; `other_fields` are its other fields."""
        return cls(
            version=release.version,
            image=release.image,
            service=release.service,
            runtime_image=release.runtime_image,
            revision=release.revision,
            source=source,
            **other_fields,
        )

    @property
    def release(self) -> Release:
        """Return the release: its name and its identity."""
        return Release(self.version, self.image, self.runtime_image, self.service)

    @property
    def identity_fields(self) -> dict[str, Any]:
        """Return the fields that every kind of version has."""
        return {name: getattr(self, name) for name in VersionBase.model_fields}

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` of the bento."""
        return f"sha256:{self.image.rpartition('sha256:')[2]}"


MAX_SHARES: Final = 22
FULL_WEIGHT: Final = 100
"""All of the traffic, in percent."""


class Share(StatusModel):
    """A share of the traffic and the time from which it applies."""

    weight: Annotated[int, Field(ge=0, le=100)]
    """Share of the traffic in percent."""
    start_time: Time
    """Time at which it was written to the route; the first two blocks after that carry no evidence."""


class Version(VersionBase):
    """Version that was accepted and receives the traffic."""

    promotion_time: Time
    """Time at which it became stable."""
    restored: bool = False
    """Whether it is stable because a later one was rolled back."""
    baseline: Baselines = Field(default_factory=dict)
    """Performance of the version at its acceptance, by SLO name."""
    verdict: CanaryVerdict | None = None
    """Decision by which it became stable, and the events of its canary; left out for a first version."""
    shares: Annotated[tuple[Share, ...], Field(max_length=MAX_SHARES)] = ()
    """Shares of the traffic that it had before it became stable, the oldest first; only if another
    product depends on this one."""


class CandidatePhase(StrEnum):
    """What a candidate is doing."""

    STARTING = "Starting"
    """Its pods are on their way."""
    STEPPING = "Stepping"
    """It takes a step's share of the traffic and gathers evidence."""
    AWAITING_APPROVAL = "AwaitingApproval"
    """It has passed, and waits for a person."""
    PROMOTING = "Promoting"
    """It takes all traffic; the old version waits until that is seen."""
    ROLLING_BACK = "RollingBack"
    """Its share goes to zero; its pods wait until that is seen."""
    PARKED = "Parked"
    """It ended without a verdict: no traffic, no pods, until retryTime or until a person decides."""


MAX_EVIDENCE: Final = 64
"""SLOs whose evidence status lists."""


class Evidence(StatusModel):
    """Evidence of one SLO about the candidate so far."""

    slo: str
    """Name of the SLO."""
    required: bool
    """Whether the SLO must favour the candidate."""
    promote: Number
    """Natural logarithm of the e-value against "worse by maxRegression"; a promotion needs
    promoteAt."""
    promote_at: Number
    """Evidence that promotion needs at the last step."""
    roll_back: Number
    """Natural logarithm of the e-value against "not worse"; a rollback needs rollBackAt."""
    roll_back_at: Number
    """Evidence that a rollback needs."""
    candidate_bad: Events
    """Bad events of the candidate."""
    candidate_total: Events
    """All events of the candidate."""
    stable_bad: Events
    """Bad events of stable in the same blocks."""
    stable_total: Events
    """All events of stable in the same blocks."""
    markets: ArmMarkets = Field(default_factory=dict)
    """Bad events and all of the candidate, then those of stable, by market, of the blocks whose labels
    have come; left out for an SLO that isn't counted by market."""
    phi: Annotated[Number, Field(alias="dispersion")] = "1"
    """Dispersion, frozen before the first step."""


PATIENT_RETRIES: Final = 5
"""Retries, in about an hour and a half, in which a candidate without room may still be the remedy."""


class ApiComparison(StrEnum):
    """What a candidate's API was found to be, compared with stable's."""

    KEPT = "Kept"
    CHANGED = "Changed"
    UNKNOWN = "Unknown"


class DerivedRollout(StatusModel):
    """Fields of spec.rollout that the spec leaves out, as they apply to one rollout."""

    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=99)], ...], Field(max_length=20)] = ()
    """Shares of the traffic that the candidate has to pass, in percent; empty if the spec has them."""
    max_duration_seconds: int | None = None
    """Maximum duration of the rollout; left out if the spec has it."""
    message: str = ""
    """Measurements that they were derived from, in words."""


LONGEST_HOLD: Final = 1024
"""Characters of the message of a hold."""
LONGEST_REQUEST: Final = 320
"""Characters of the request that waits for a hold: the annotation's name and its value."""


class CandidateHold(StatusModel):
    """The check that holds a candidate at its share."""

    check: str
    """Name of the check in one word, e.g. ObjectiveNotMet; CollectingEvidence while evidence only
    has to grow."""
    start_time: Time
    """Time since which this check has held the candidate."""
    message: Annotated[str, Field(max_length=LONGEST_HOLD)] = ""
    """Explanation with the numbers: SLO, value, bound, sample size."""
    request: Annotated[str, Field(max_length=LONGEST_REQUEST)] = ""
    """Request of a person that waits for this check: annotation and value; empty without one."""


class Candidate(VersionBase):
    """A version that wants to become stable."""

    phase: CandidatePhase
    """Phase of the candidate's rollout."""
    step: Annotated[int, Field(ge=0)] = 0
    """Number of the step, from 1; 0 before the first."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the traffic that it has, in percent."""
    target: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the traffic that was decided, in percent. It applies once the pods for it are
    ready."""
    capacity: Annotated[int, Field(ge=0)] = 0
    """Number of pods that all of the traffic needs, if an autoscaler sets it; otherwise 0."""
    returning: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share of the traffic, in percent, that it keeps in a rollback until pods of the stable version are
    ready for it. Only with rollout.capacity Replace."""
    shares: Annotated[tuple[Share, ...], Field(max_length=MAX_SHARES)] = ()
    """Shares of the traffic that it has had, the oldest first. Evidence is counted from the first
    one on."""
    start_time: Time
    """Time at which it became a candidate."""
    first_traffic_time: Time | None = None
    """Time at which it first received traffic."""
    wait_start_time: Time | None = None
    """Time since which its phase waits for pods to become ready or for the traffic to follow."""
    suspend_time: Time | None = None
    """Time since which spec.suspend holds the rollout."""
    suspended_seconds: Annotated[int, Field(ge=0)] = 0
    """Total time for which spec.suspend has held the rollout; it counts against no deadline."""
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=MAX_EVIDENCE), Keyed("slo")] = ()
    """Evidence of the SLOs and of the share of client errors so far; then that of the consumers' SLOs, named
    NAMESPACE/NAME/SLO. Those beyond 64 count, too."""
    derived: DerivedRollout | None = None
    """Values for this rollout where spec.rollout has none, fixed when it starts."""
    hold: CandidateHold | None = None
    """Check that holds it at its share; left out before its first traffic, and once it is promoted
    or rolled back."""
    approvals: CandidateApprovals | None = None
    """Answers of the parties of spec.rollout.approvals, and the parties that are waited for."""
    expected_seconds: int | None = None
    """Estimated duration of the rollout for a candidate that equals the stable version, at this
    traffic."""
    data_end_time: Time | None = None
    """End of the data that it was trained on, as far as it is known; the shadow phase begins there."""
    shadow: ShadowStatus | None = None
    """Shadow phase: both versions on rows that were labelled after the training."""
    trigger: str = ""
    """Id of the trigger of the training that made it; empty for spec.model."""
    restoring: bool = False
    """Whether it is an earlier version that replaces the stable one in a rollback, without
    steps."""
    requested: bool = False
    """Whether a person asked for it while spec.suspend was set; spec.suspend then does not hold
    it."""
    decision_reason: str = ""
    """Reason of the rollback or promotion in progress."""
    decision_message: str = ""
    """Explanation of the rollback or promotion in progress, with its numbers."""
    api: ApiComparison | None = None
    """Whether its API keeps the operations of the stable version's API; compared before it takes
    traffic."""
    retry_time: Time | None = None
    """Time at which the operator retries its rollout after a fault of the cluster ended it."""
    retries: Annotated[int, Field(ge=0)] = 0
    """Number of times that a fault of the cluster has ended its rollout."""

    @property
    def has_part(self) -> bool:
        """Return whether it has a part of the share that was decided, as its pods come up in parts."""
        return self.weight < self.target

    @property
    def rollout_start_time(self) -> int:
        """Return when it got its first share of the traffic, in seconds; when it became a candidate before that."""
        return self.shares[0].start_time if self.shares else self.start_time

    @property
    def is_parked(self) -> bool:
        """Return whether its rollout ended without a verdict."""
        return self.phase is CandidatePhase.PARKED

    @property
    def is_on_trial(self) -> bool:
        """Return whether its rollout continues, or is retried soon.

        What finds no room for hours may be no remedy, so it holds up no training; one that came of
        a training is the remedy.
        """
        is_retried_soon = self.retries <= PATIENT_RETRIES or self.source is VersionSource.RETRAINING
        return not self.is_parked or (self.retry_time is not None and is_retried_soon)

    @property
    def changes_api(self) -> bool:
        """Return whether it received traffic although it changes stable's API, after a person's approval."""
        return self.api == ApiComparison.CHANGED


class PastVersion(VersionBase):
    """An earlier version. If it was ever stable, a rollback to it is possible."""

    outcome: Annotated[Outcome, PAST_VERSION_OUTCOMES]
    """Outcome of the version."""
    reason: str = ""
    """Reason of the outcome, in one word."""
    promotion_time: Time | None = None
    """Time at which it became stable; left out if it never did."""
    restored: bool = False
    """Whether it was stable because a later one was rolled back."""
    end_time: Time
    """Time at which it ceased to be stable or candidate."""
    baseline: Baselines = Field(default_factory=dict)
    """Performance of the version at its acceptance, by SLO name."""
    record: Annotated[dict[str, Counted], Field(max_length=17)] = Field(default_factory=dict)
    """Events beside the version that replaced it, by SLO name; only SLOs that were worse than at
    acceptance."""
    verdict: CanaryVerdict | None = None
    """Decision with which its canary ended, and the events of both versions until then."""
    degraded: Annotated[tuple[str, ...], Field(max_length=17)] = ()
    """Names of the SLOs that were degraded when it was replaced."""
    shares: Annotated[tuple[Share, ...], Field(max_length=MAX_SHARES)] = ()
    """Shares of the traffic that it had, the oldest first, the last one 0; only if another product
    depends on this one."""

    @property
    def rolled_back(self) -> bool:
        """Return whether it was rolled back, or failed to start again: it isn't restored automatically."""
        return self.outcome in {Outcome.ROLLED_BACK, Outcome.FAILED}


class SplitMode(StrEnum):
    """What splits the traffic."""

    GATEWAY = "Gateway"
    REPLICAS = "Replicas"


class SplitLevel(StrEnum):
    """How far a split is verified."""

    WRITTEN = "Written"
    ACCEPTED = "Accepted"
    OBSERVED = "Observed"


class Traffic(StatusModel):
    """Split of the requests between stable version and candidate, and its verification."""

    mode: SplitMode
    """Mechanism that splits the traffic: Gateway or Replicas."""
    weight: Annotated[int, Field(ge=0, le=100)]
    """Share of the candidate, in percent, as it was last written."""
    verification: SplitLevel
    """Verification of the split: written to the route, accepted by the Gateways, or observed in
    requests."""
    write_time: Time
    """Time at which this weight was written."""
    acceptance_time: Time | None = None
    """Time at which all Gateways had accepted the route."""
    observed_share: Number | None = None
    """Share of the candidate in the requests since writeTime."""
    requests: Events | None = None
    """Number of requests counted since writeTime."""
    route_removal_time: Time | None = None
    """Time at which the route was removed during a rollout; no version gives up pods in the minute
    after it, because requests may still come through the route."""


class Probation(StatusModel):
    """Trial of a promoted version against the version before it."""

    version: str
    """The version on probation."""
    against: str
    """Version before it, which returns if this one is worse."""
    start_time: Time
    """Time at which it was promoted."""
    shown_better: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Names of the SLOs in which it was shown to be better on the same rows as the version before."""
