"""The regular review of a product: how often, who signs, and the record that it is held on.

A `DataProductReview` is the ledger of one period: exact counts a day, every decision, every version,
sealed with a digest when the period is over. It has no owner, so it outlives its product.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.base import (
    ApiModel,
    Counted,
    Date,
    DecimalString,
    Events,
    Line,
    Number,
    ObjectName,
    RatioString,
    Rule,
    StatusModel,
    Text,
    Time,
    Url,
    Word,
)
from sluicegate.api.consumers import MAX_CONSUMER_NAMES
from sluicegate.api.containers import Quantity
from sluicegate.api.iteration import Iteration
from sluicegate.api.list_types import Keyed, Unique
from sluicegate.api.patterns import described
from sluicegate.api.product_info import PRODUCT_MANAGER, TeamMember
from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.verdict import ArmCounts, ArmMarkets

MAX_DAYS = 92
MAX_DECISIONS = 200
MAX_VERSIONS = 64
MAX_TRAININGS = 200
MAX_MISSED_MARKETS = 64
MAX_OPERATIONS = 8
LONGEST_OPERATION = 120
OTHER_OPERATIONS = "other operations"


class Cycle(StrEnum):
    """How often a product is reviewed."""

    WEEK = "Week"
    FOUR_WEEKS = "FourWeeks"
    MONTH = "Month"
    QUARTER = "Quarter"


class ReadinessCheck(StrEnum):
    """What a product in production needs."""

    PRODUCT_MANAGER = "ProductManager"
    """spec.team lists a DataProductManager."""
    MODEL_CARD = "ModelCard"
    """spec.description has purpose, limitations and usage, or a ModelCard is linked."""
    RUNBOOK = "Runbook"
    """A Runbook is linked."""
    OUTCOME_SLO = "OutcomeSlo"
    """An SLO judges whether the model is right."""
    FEEDBACK_KEY = "FeedbackKey"
    """The truth about predictions is taken."""
    RUNTIME_BY_DIGEST = "RuntimeByDigest"
    """The runtime image is named by its digest."""
    RETENTION = "Retention"
    """Reviews of six months are kept."""
    RISK_ASSESSED = "RiskAssessed"
    """A person has assessed the product's risk."""
    RENEWED = "Renewed"
    """A new version or a challenger was tried in the last months."""
    RECENT_DATA = "RecentData"
    """The stable version was trained in the last months."""


class Exemption(ApiModel):
    """A check that a product needn't meet for some time."""

    check: ReadinessCheck
    """Name of the check that may be missing."""
    reason: Line
    """Reason for which it may be missing."""
    end_date: Date
    """Last day of the exemption."""


class ReviewCycle(ApiModel):
    """Regular reviews of the product: their period and who signs them."""

    every: Cycle = Cycle.MONTH
    """Length of a period. Weeks and four weeks are counted from startDate; months and quarters begin
    with their first day."""
    start_date: Date
    """First day of the first period."""
    time_zone: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[A-Za-z][-A-Za-z0-9_+/]*$",
                "must be a time zone of the IANA database: write e.g. Europe/Paris",
            ),
            max_length=64,
        ),
    ] = "UTC"
    """Time zone of the days, by its name in the IANA database, e.g. Europe/Paris."""
    grace_days: Annotated[int, Field(ge=0, le=60)] = 7
    """Days after the seal in which a review must be signed before it is overdue."""
    signed_by: Annotated[tuple[Word, ...], Field(min_length=1, max_length=8), Unique()] = (
        PRODUCT_MANAGER,
    )
    """Roles in spec.team that must sign the review."""
    keep: Annotated[int, Field(ge=2, le=60)] = 13
    """Number of sealed reviews to keep; older ones are deleted."""
    renewal_months: Annotated[int, Field(ge=1, le=60)] = 6
    """Months within which a new version or a challenger is expected; without one the check Renewed is
    missing."""
    data_months: Annotated[int, Field(ge=1, le=60)] = 12
    """Months after which training data is old: the check RecentData is missing if the stable version
    was trained before."""
    exemptions: Annotated[tuple[Exemption, ...], Field(max_length=16), Keyed("check")] = ()
    """Checks that the product needs not meet for some time."""


class ProductRef(ApiModel):
    """The product that is reviewed; it may be deleted already."""

    name: ObjectName
    """Name of the product."""
    uid: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[-A-Za-z0-9]*$", "must be the uid of an object: copy its metadata.uid"
            ),
            max_length=64,
        ),
    ] = ""
    """Uid of the product; another product with the same name has another uid."""


class ReviewPeriod(ApiModel):
    """Period of a review: startTime ≤ t < endTime."""

    start: Annotated[Time, Field(alias="startTime")]
    """Time at which the period begins."""
    end: Annotated[Time, Field(alias="endTime")]
    """Time at which the period ends; it does not belong to the period."""


class SignVerdict(StrEnum):
    """Verdict of a signer."""

    AGREE = "Agree"
    OBJECT = "Object"
    SKIP = "Skip"


class SignOff(ApiModel):
    """One person's signature; only that person can write it."""

    username: Line
    """User name of the signer, as the API server reports it."""
    role: Word
    """Role of the signer in the product's team."""
    verdict: SignVerdict
    """Verdict of the signer on the period."""
    note: Annotated[str, StringConstraints(max_length=500)] = ""
    """Note of the signer on the verdict."""
    sign_time: Time
    """Time of the signature."""


class ReviewAction(ApiModel):
    """An action with its owner and due date."""

    title: Line
    """Title of the action."""
    owner: Line
    """Person or team that is responsible for it."""
    due_date: Date
    """Day by which the action is due."""
    link: Url | None = None
    """Address at which the action is tracked."""
    done: bool = False
    """Whether the action is done."""


class DataProductReviewSpec(ApiModel):
    """Product, period and signatures of the review."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.productRef == oldSelf.productRef && self.period == oldSelf.period",
            holds=lambda _: True,  # of one object by itself nothing can be said
            message="productRef and period stay as they are: the ledger is about them",
        ),
    )

    product_ref: ProductRef
    """The product that is reviewed."""
    period: ReviewPeriod
    """Period that is reviewed."""
    sign_offs: Annotated[tuple[SignOff, ...], Field(max_length=32), Keyed("username", "role")] = ()
    """Signatures by user and role."""
    actions: Annotated[tuple[ReviewAction, ...], Field(max_length=32)] = ()
    """Actions that were agreed in the review."""
    decisions: Annotated[tuple[Line, ...], Field(max_length=32)] = ()
    """Decisions that were made in the review."""
    attendees: Annotated[tuple[Line, ...], Field(max_length=64), Unique()] = ()
    """People who attended the review."""
    notes: Text = ""
    """Further notes of the review."""


class ReviewState(StrEnum):
    """Where a review is."""

    NOT_STARTED = "NotStarted"
    """Its period isn't over, or labels are still coming."""
    TO_REVIEW = "ToReview"
    """It is sealed and waits for signatures."""
    REVIEWED = "Reviewed"
    """Each role has signed."""
    SKIPPED = "Skipped"
    """Each role has signed, and all of them to skip it."""
    OVERDUE = "Overdue"
    """It wasn't signed in time."""


CountPair = Annotated[tuple[Events, ...], Field(min_length=2, max_length=2)]
"""Bad events, and all."""


class DaySlo(StatusModel):
    """Events of one SLO on one day."""

    name: str
    """Name of the SLO."""
    bad: Events
    """Number of bad events."""
    total: Events
    """Number of all events."""
    markets: Annotated[dict[str, CountPair], Field(max_length=65)] = Field(default_factory=dict)
    """Bad events and all events by market."""


class DayOperation(StatusModel):
    """Requests of one operation on one day, all versions together."""

    name: Annotated[str, Field(max_length=LONGEST_OPERATION)]
    """Path of the operation; the smallest ones are added up as `other operations`."""
    responses: Annotated[dict[str, Events], Field(max_length=40)] = Field(default_factory=dict)
    """Successful responses between each bound of the request histogram and the one before, in seconds."""
    refused: Events = 0
    """Responses 4xx without 404 and 405."""
    failed: Events = 0
    """Responses with a status of 500 or above."""

    @property
    def requests(self) -> int:
        """Return the number of all requests."""
        return sum(self.responses.values()) + self.refused + self.failed


class ReviewDay(StatusModel):
    """Events of one day, all versions together."""

    date: str
    """Day in the review's time zone."""
    final: bool = False
    """Whether the counts are final: they were read after the last late event."""
    coverage: Number = "0"
    """Share of the day's blocks with complete measurements."""
    slos: Annotated[tuple[DaySlo, ...], Field(max_length=17), Keyed("name")] = ()
    """Counts of the day by SLO."""
    responses: Annotated[dict[str, Events], Field(max_length=40)] = Field(default_factory=dict)
    """Successful responses by upper bound of the request histogram in seconds; +Inf counts all of
    them."""
    operations: Annotated[tuple[DayOperation, ...], Field(max_length=MAX_OPERATIONS + 1)] = ()
    """Requests by operation; left out for a product with a single one."""
    callers: Annotated[dict[str, CountPair], Field(max_length=MAX_CONSUMER_NAMES + 1)] = Field(
        default_factory=dict
    )
    """Failed requests and all requests by the name that callers send, of a product with
    rollout.consumers; the name is not authenticated. `other` has all requests beside them."""
    versions: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Versions that had events on that day."""
    # None, not 0: a day of an older version has no such part, and its digest must still hold.
    pod_seconds: Events | None = None
    """Seconds for which the product's pods answered scrapes, summed over the pods."""
    pod_requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Resources that one pod requested when the day was first read, by resource."""


class ReviewDecision(StatusModel):
    """A decision of the operator, as it was in the product's status."""

    decision_time: Time
    """Time at which the decision was made."""
    type: str
    """Type of the decision, e.g. Promote."""
    reason: str
    """Reason of the decision, in one word."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Explanation of the decision with its numbers."""
    version: str = ""
    """Version that was stable at that time."""


class VersionCounts(StatusModel):
    """Events of one SLO of a version, and of the version before it on other days."""

    name: str
    """Name of the SLO."""
    indicator: str = ""
    """Kind of the SLO's indicator."""
    counts: Counted
    """Events of the version."""
    before: Counted
    """Events of the version before it; 0 if that served no whole day of the period alone."""
    markets: ArmMarkets = Field(default_factory=dict)
    """Bad events and all of the version, then those of the version before it, by market; left out for
    an SLO that isn't counted by market."""
    phi: Annotated[Number, Field(alias="dispersion")] = "1"
    """Dispersion of the days; an interval is as wide as that of so many times fewer events."""


class FirstPeriod(StatusModel):
    """Events of a version until the end of the period in which it became stable."""

    start_date: str
    """First whole day on which it alone was stable."""
    end_date: str
    """Last such day of the period."""
    slos: Annotated[tuple[VersionCounts, ...], Field(max_length=16), Keyed("name")] = ()
    """Events of these days by SLO, beside those of the version before it."""


class ReviewVersion(StatusModel):
    """A version that was stable in the period."""

    version: str
    """Name of the version."""
    digest: str = ""
    """Digest of the bento."""
    source: str = ""
    """Origin of the version: Spec or Retraining."""
    cause: str = ""
    """Cause of its training: ModelDecay, ModelTooSlow or Requested; Scheduled or FollowUp for a challenger."""
    iteration: Iteration | None = None
    """Statement of the author about what was tried with the version."""
    api_changes: ApiChanges | None = None
    """Differences of its API from that of the version before it."""
    promotion_time: Time
    """Time at which the version became stable."""
    end_time: Time | None = None
    """Time at which the version ceased to be stable."""
    outcome: str = ""
    """Outcome of the version; left out while it is stable."""
    reason: str = ""
    """Reason of the outcome, in one word."""
    first_period: FirstPeriod | None = None
    """Events until the end of the period, written by the seal; left out for a version that became stable
    in an earlier period, or served no whole day alone."""


class ReviewCandidate(StatusModel):
    """A version whose canary ended in the period, and what it showed beside stable."""

    version: str
    """Name of the version."""
    digest: str = ""
    """Digest of the bento."""
    source: str = ""
    """Origin of the version: Spec or Retraining."""
    cause: str = ""
    """Cause of its training."""
    cause_slo: str = ""
    """The SLO whose degradation caused its training; empty without one."""
    iteration: Iteration | None = None
    """Statement of the author about what was tried with the version."""
    api_changes: ApiChanges | None = None
    """Differences of its API from that of the stable version."""
    outcome: str
    """Outcome of the canary: Promoted, RolledBack, Inconclusive or Superseded."""
    reason: str = ""
    """Reason of the outcome, in one word."""
    end_time: Time
    """Time at which the version became stable, or its canary ended without a promotion."""
    slos: Annotated[tuple[ArmCounts, ...], Field(max_length=16)] = ()
    """Events of the version and of stable in the same blocks, by SLO."""


class MissedMarket(StatusModel):
    """A time in which a market missed an SLO."""

    slo: str
    """Name of the SLO."""
    market: str
    """Market that missed it."""
    start_time: Time
    """Time at which the evidence of it begins; it may lie before the period."""
    end_time: Time | None = None
    """Time at which the operator no longer found it missed; left out while it is, and at the end of the
    period."""


class CheckState(StrEnum):
    """What is to be said of a check."""

    MET = "Met"
    MISSING = "Missing"
    EXEMPT = "Exempt"


class ReviewCheck(StatusModel):
    """Whether the product had what a product in production needs."""

    name: str
    """Name of the check."""
    state: CheckState
    """Result: Met, Missing or Exempt."""
    message: Annotated[str, Field(max_length=512)] = ""
    """Part that is missing, or reason for which it may be."""


class ReviewSlo(StatusModel):
    """Terms of one SLO."""

    name: str
    """Name of the SLO."""
    indicator: str
    """Kind of the SLO's indicator."""
    objective: RatioString | None = None
    """Objective: the least share of good events."""
    max_drop: DecimalString | None = None
    """Maximum drop below the baseline."""
    threshold_milliseconds: int | None = None
    """Threshold of a latency in milliseconds."""
    accepted: Annotated[tuple[Events, ...], Field(max_length=2)] = ()
    """Bad events and all events of the stable version's baseline."""
    original: Annotated[tuple[Events, ...], Field(max_length=2)] = ()
    """Bad events and all events of the first baseline that was accepted."""


class DataProductReviewStatus(StatusModel):
    """The ledger; written by the operator, and never again once it is sealed, but for `state`."""

    state: ReviewState = ReviewState.NOT_STARTED
    """State of the review."""
    due_time: Time | None = None
    """Time by which the review must be signed; none if the product was deleted before its end."""
    seal_time: Time | None = None
    """Time at which the ledger was sealed."""
    seal_reason: str = ""
    """Reason of the seal: PeriodOver, ProductGone or CycleChanged."""
    digest: str = ""
    """Digest (sha256) of the sealed ledger; `sluicegate report` verifies it."""
    review_time: Time | None = None
    """Time at which the last role signed."""
    reviewed_by: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    """User names of the people who signed."""
    time_zone: str = ""
    """Time zone of the days."""
    signed_by: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Roles that must sign the review."""
    grace_days: int = 0
    """Days after the seal in which the review must be signed."""
    expiry_time: Time | None = None
    """Time after which the review is deleted if the product is deleted or no longer reviewed."""
    team: Annotated[tuple[TeamMember, ...], Field(max_length=64), Keyed("username")] = ()
    """Members of the team and their roles when the review was opened."""
    slos: Annotated[tuple[ReviewSlo, ...], Field(max_length=17), Keyed("name")] = ()
    """Terms of the SLOs in the period."""
    # Atomic: with keys the API server would record the owner of each number, which takes more room
    # than the numbers, and no other client writes them.
    days: Annotated[tuple[ReviewDay, ...], Field(max_length=MAX_DAYS)] = ()
    """Counts by day, the oldest first."""
    decisions: Annotated[tuple[ReviewDecision, ...], Field(max_length=MAX_DECISIONS)] = ()
    """Last decisions of the period, the oldest first."""
    earlier_decisions: Annotated[dict[str, Events], Field(max_length=64)] = Field(
        default_factory=dict
    )
    """Number of earlier decisions by type and reason (Type/Reason)."""
    versions: Annotated[tuple[ReviewVersion, ...], Field(max_length=MAX_VERSIONS)] = ()
    """Versions that were stable in the period, the oldest first."""
    candidates: Annotated[tuple[ReviewCandidate, ...], Field(max_length=MAX_VERSIONS)] = ()
    """Versions whose canary ended in the period, the oldest first."""
    trainings: Annotated[tuple[EndedTraining, ...], Field(max_length=MAX_TRAININGS)] = ()
    """Last trainings that ended in the period, the oldest first."""
    missed_markets: Annotated[tuple[MissedMarket, ...], Field(max_length=MAX_MISSED_MARKETS)] = ()
    """Last times in which a market missed an SLO, the oldest first."""
    readiness: Annotated[tuple[ReviewCheck, ...], Field(max_length=16), Keyed("name")] = ()
    """Checks of what a product in production needs, on the last recorded day."""


class ReviewMeta(StatusModel):
    """Metadata of the object."""

    name: str
    """Name of the review."""
    namespace: str = "default"
    """Namespace of the review."""
    resource_version: str = ""
    """Changes with every write."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the review; the digest of its archived file among them."""


class DataProductReview(ApiModel):
    """Record of one product in one period, with the signatures of the people who review it."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.spec.period.startTime < self.spec.period.endTime",
            holds=lambda self: self.spec.period.start < self.spec.period.end,
            message="spec.period.startTime must be before spec.period.endTime",
            field="spec",
        ),
    )

    api_version: Literal["sluicegate.dev/v1alpha1"] = "sluicegate.dev/v1alpha1"
    kind: Literal["DataProductReview"] = "DataProductReview"
    metadata: ReviewMeta
    """Standard metadata of the object."""
    spec: DataProductReviewSpec
    """Product, period and signatures of the review."""
    status: DataProductReviewStatus = Field(
        default_factory=DataProductReviewStatus, json_schema_extra={"default": {}}
    )
    """Record of the period by the operator."""
