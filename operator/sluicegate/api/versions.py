"""Versions: the stable one, the candidate on its way, the ones before, and their traffic."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from sluicegate.api.base import Count, Number, StatusModel, Time
from sluicegate.api.baseline import Baselines
from sluicegate.api.list_types import Keyed
from sluicegate.api.model import Counts


class VersionSource(StrEnum):
    """Where a version comes from."""

    SPEC = "Spec"
    RETRAINING = "Retraining"


class VersionBase(StatusModel):
    """What names a version and suffices to render it anew."""

    version: str
    """The bento's version."""
    image: str
    """The bento's identity: image by digest, or `<url>#sha256:<hex>`."""
    service: str = ""
    """Name of the bento's entry service."""
    runtime_image: str
    """The runtime image, frozen when the version became a candidate."""
    revision: str
    """Ten hex digits of both."""
    source: VersionSource
    """Where it comes from."""
    inputs_hash: str = ""
    """Hash of what its pod template was last rendered from."""

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the bento."""
        return f"sha256:{self.image.rpartition('sha256:')[2]}"


class Version(VersionBase):
    """The accepted version."""

    promoted_at: Time
    """When it became stable."""
    returned: bool = False
    """Whether it is stable because a later one was taken back."""
    baseline: Baselines = Field(default_factory=dict)
    """Its performance at acceptance, by SLO name."""
    evaluation: Annotated[dict[str, Counts], Field(max_length=16)] = Field(default_factory=dict)
    """Its hold-out counts, by SLO name."""


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
    """It ended without a verdict: no traffic, no pods, until retryAt or until a person decides."""


class Share(StatusModel):
    """A share of the traffic, and since when."""

    weight: Annotated[int, Field(ge=0, le=100)]
    """In percent."""
    since: Time
    """When it was written to the route; the first two blocks after that carry no evidence."""


class Evidence(StatusModel):
    """What one SLO says of the candidate so far."""

    slo: str
    """Name of the SLO."""
    required: bool
    """Whether it must speak for the candidate."""
    promote: Number
    """ln of the e-value against "worse by maxRegression"; promotion needs promoteAt."""
    promote_at: Number
    """What promotion needs at the last step."""
    roll_back: Number
    """ln of the e-value against "not worse"; a rollback follows at rollBackAt."""
    roll_back_at: Number
    """What a rollback needs."""
    candidate_bad: Count
    """Bad events of the candidate."""
    candidate_total: Count
    """All events of the candidate."""
    stable_bad: Count
    """Bad events of stable in the same blocks."""
    stable_total: Count
    """All events of stable in the same blocks."""
    phi: Number = "1"
    """Dispersion, frozen before the first step."""


MOST_SHARES: Final = 22


class Candidate(VersionBase):
    """A version that wants to become stable."""

    phase: CandidatePhase
    """What it is doing."""
    step: Annotated[int, Field(ge=0)] = 0
    """Number of the step, from 1; 0 before the first."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the traffic that it has, in percent."""
    target: Annotated[int, Field(ge=0, le=100)] = 0
    """Share that was decided, in percent; it takes it once the pods for it are ready."""
    capacity: Annotated[int, Field(ge=0)] = 0
    """Pods that all of the traffic needs, where an autoscaler sets their number; else 0."""
    shares: Annotated[tuple[Share, ...], Field(max_length=MOST_SHARES)] = ()
    """Each share that it had, the oldest first; evidence is counted from the first on."""
    since: Time
    """When it became a candidate."""
    traffic_since: Time | None = None
    """When it first took traffic."""
    step_since: Time | None = None
    """Since when it waits for what its phase needs: pods for its next share, or the traffic to follow."""
    frozen_since: Time | None = None
    """Since when spec.suspend holds it."""
    frozen_seconds: Annotated[int, Field(ge=0)] = 0
    """How long spec.suspend has held it, which counts against no deadline."""
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=17), Keyed("slo")] = ()
    """What the SLOs and the share of client errors say so far."""
    correlation: Annotated[dict[str, Number], Field(max_length=17)] = Field(default_factory=dict)
    """How bursty stable's blocks were before the rollout, by SLO name; frozen."""
    expected_seconds: int | None = None
    """How long an equal candidate takes at this traffic; by planning, not a promise."""
    evaluation: Annotated[dict[str, Counts], Field(max_length=16)] = Field(default_factory=dict)
    """Its hold-out counts, by SLO name."""
    trigger: str = ""
    """Id of the retraining trigger that it answers."""
    returning: bool = False
    """Whether it is an earlier version that comes back for the stable one, without steps."""
    requested: bool = False
    """Whether a person asked for it while spec.suspend was set, which then doesn't hold it."""
    held_against: Baselines = Field(default_factory=dict)
    """What it is held against once it is stable; fixed when the promotion begins."""
    rollback_reason: str = ""
    """Why it goes back, while it does."""
    rollback_message: str = ""
    """The numbers behind it."""
    api: str = ""
    """Whether its API was compared with stable's before it took traffic: Kept, Changed or Unknown."""
    retry_at: Time | None = None
    """When its rollout begins again, after trouble of the cluster ended it."""
    retries: Annotated[int, Field(ge=0)] = 0
    """How often trouble of the cluster has ended its rollout."""


class Fate(StrEnum):
    """What became of a past version."""

    REPLACED = "Replaced"
    """It was stable until the next one was promoted."""
    ROLLED_BACK = "RolledBack"
    """It was worse, or asked to go."""
    INCONCLUSIVE = "Inconclusive"
    """It ran out of time; may be tried again."""
    SUPERSEDED = "Superseded"
    """A newer one came before its verdict."""
    FAILED = "Failed"
    """It didn't come up when it was to come back."""


class PastVersion(VersionBase):
    """A version that one can go back to, or that was refused."""

    fate: Fate
    """What became of it."""
    reason: str = ""
    """Why."""
    promoted_at: Time | None = None
    """When it became stable; never, when left out."""
    returned: bool = False
    """Whether it was stable because a later one was taken back."""
    until: Time
    """When it ceased to be stable or candidate."""
    baseline: Baselines = Field(default_factory=dict)
    """Its performance at acceptance, by SLO name."""
    record: Annotated[dict[str, Counts], Field(max_length=17)] = Field(default_factory=dict)
    """Its events beside the version that replaced it, by SLO name, where it did worse than at acceptance."""
    degraded: Annotated[tuple[str, ...], Field(max_length=17)] = ()
    """Names of the SLOs that were degraded when it was replaced."""


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
    """How requests are split, and how far that is verified."""

    mode: SplitMode
    """What splits them."""
    weight: Annotated[int, Field(ge=0, le=100)]
    """Share of the candidate, in percent, as it was last written."""
    level: SplitLevel
    """How far it is verified."""
    since: Time
    """When this weight was written."""
    accepted_at: Time | None = None
    """When each parent had accepted it."""
    observed_share: Number | None = None
    """Share of the candidate in the requests counted since then."""
    requests: Count | None = None
    """Requests counted since then."""
    real_share: Number | None = None
    """The share that pods can give, where replicas split."""


class Probation(StatusModel):
    """What a promoted version still has to show, against the version before it."""

    version: str
    """The version on probation."""
    against: str
    """The version before it, that it goes back to."""
    since: Time
    """When it was promoted."""
    until: Time | None = None
    """When it ends at the earliest; open while labels are still to come."""
    baselines: Baselines = Field(default_factory=dict)
    """Baselines of the version before, by SLO name."""
