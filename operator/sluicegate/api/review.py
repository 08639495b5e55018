"""The regular review of a product: how often, who signs, and the record that it is held on.

A `DataProductReview` is the ledger of one period: exact counts a day, every decision, every version,
sealed with a digest when the period is over. It has no owner, so it outlives its product.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from sluicegate.api.base import (
    ApiModel,
    Date,
    DecimalString,
    Events,
    Line,
    Number,
    RatioString,
    Rule,
    StatusModel,
    Text,
    Time,
    Url,
    Word,
)
from sluicegate.api.list_types import Keyed, Unique
from sluicegate.api.product_info import PRODUCT_MANAGER, TeamMember

MOST_DAYS = 92
MOST_DECISIONS = 200
MOST_VERSIONS = 64


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
    OUTCOME_SLO = "OutcomeSLO"
    """An SLO judges whether the model is right."""
    FEEDBACK_KEY = "FeedbackKey"
    """The truth about predictions is taken."""
    RUNTIME_BY_DIGEST = "RuntimeByDigest"
    """The runtime image is named by its digest."""
    RETENTION = "Retention"
    """Reviews of six months are kept."""
    RISK_ASSESSED = "RiskAssessed"
    """Somebody has judged the product's risk."""


class Exemption(ApiModel):
    """A check that a product needn't meet for some time."""

    check: ReadinessCheck
    """Name of the check that may be missing."""
    reason: Line
    """Reason for which it may be missing."""
    until: Date
    """The last day on which it holds."""


class ReviewCycle(ApiModel):
    """How often the product is reviewed, and by whom."""

    every: Cycle = Cycle.MONTH
    """Length of a period. Weeks and four weeks are counted from startsOn; months and quarters begin
    with their first day."""
    starts_on: Date
    """First day of the first period."""
    time_zone: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z][-A-Za-z0-9_+/]*$", max_length=64)
    ] = "UTC"
    """Whose days these are, as the IANA database names it, e.g. Europe/Paris."""
    grace_days: Annotated[int, Field(ge=0, le=60)] = 7
    """Days from the seal until a review that isn't signed is overdue."""
    signed_by: Annotated[tuple[Word, ...], Field(max_length=8), Unique()] = (PRODUCT_MANAGER,)
    """Roles of spec.team of which somebody has to sign."""
    keep: Annotated[int, Field(ge=2, le=60)] = 13
    """Sealed reviews that are kept; older ones are deleted."""
    exemptions: Annotated[tuple[Exemption, ...], Field(max_length=16), Keyed("check")] = ()
    """Checks that the product needn't meet for some time."""


class ProductRef(ApiModel):
    """The product that was reviewed; it may be gone."""

    name: Line
    """Its name."""
    uid: Annotated[str, StringConstraints(max_length=64)] = ""
    """Its uid: another product of the name has another."""


class ReviewPeriod(ApiModel):
    """From when up to when."""

    start: Annotated[Time, Field(alias="from")]
    """Its first moment."""
    end: Annotated[Time, Field(alias="to")]
    """Its end, which isn't part of it."""


class SignVerdict(StrEnum):
    """What somebody says who signs."""

    AGREE = "Agree"
    OBJECT = "Object"
    SKIP = "Skip"


class SignOff(ApiModel):
    """One person's signature; only that person can write it."""

    username: Line
    """Who signs, as the API server calls them."""
    role: Word
    """In which role of the product's team."""
    verdict: SignVerdict
    """What they say."""
    note: Annotated[str, StringConstraints(max_length=500)] = ""
    """Why."""
    at: Time
    """When."""


class ReviewAction(ApiModel):
    """What somebody will do until when."""

    title: Line
    """What."""
    owner: Line
    """Who."""
    due: Date
    """Until when."""
    link: Url | None = None
    """Where it is tracked."""
    done: bool = False
    """Whether it is done."""


class DataProductReviewSpec(ApiModel):
    """What people write, but for the period and the product."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.productRef == oldSelf.productRef && self.period == oldSelf.period",
            holds=lambda _: True,  # of one object by itself nothing can be said
            message="productRef and period stay as they are: the ledger is about them",
        ),
    )

    product_ref: ProductRef
    """The product."""
    period: ReviewPeriod
    """What is reviewed."""
    sign_offs: Annotated[tuple[SignOff, ...], Field(max_length=32), Keyed("username", "role")] = ()
    """Who signed, in which role."""
    actions: Annotated[tuple[ReviewAction, ...], Field(max_length=32)] = ()
    """What is to be done."""
    decisions: Annotated[tuple[Line, ...], Field(max_length=32)] = ()
    """What was decided in the review."""
    attendees: Annotated[tuple[Line, ...], Field(max_length=64), Unique()] = ()
    """Who was there."""
    notes: Text = ""
    """Other things that were said."""


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


Pair = Annotated[tuple[Events, ...], Field(min_length=2, max_length=2)]
"""Bad events, and all."""


class DaySlo(StatusModel):
    """One SLO's events of a day."""

    name: str
    """Its name."""
    bad: Events
    """Bad events."""
    total: Events
    """All events."""
    markets: Annotated[dict[str, Pair], Field(max_length=65)] = Field(default_factory=dict)
    """Both by market."""


class ReviewDay(StatusModel):
    """One day's events, all versions together."""

    date: str
    """Which, in the review's time zone."""
    final: bool = False
    """Whether it was read so late that nothing comes any more."""
    measured: Number = "0"
    """Share of its blocks in which the product was measured well."""
    slos: Annotated[tuple[DaySlo, ...], Field(max_length=17), Keyed("name")] = ()
    """Counts by SLO."""
    answers: Annotated[dict[str, Events], Field(max_length=40)] = Field(default_factory=dict)
    """Successful answers within each bound of the request histogram, in seconds; +Inf is all."""
    versions: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Versions that had events."""


class ReviewDecision(StatusModel):
    """What the operator decided, as it was in the product's status."""

    at: Time
    """When."""
    type: str
    """What."""
    reason: str
    """Why, in one word."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, with the numbers."""
    version: str = ""
    """The version that was stable."""


class ReviewVersion(StatusModel):
    """A version that served in the period."""

    version: str
    """Its name."""
    digest: str = ""
    """Of the bento."""
    source: str = ""
    """Spec or Retraining."""
    promoted_at: Time
    """When it became stable."""
    until: Time | None = None
    """When it ceased to be."""
    fate: str = ""
    """What became of it."""
    reason: str = ""
    """Why."""


class CheckState(StrEnum):
    """What is to be said of a check."""

    MET = "Met"
    MISSING = "Missing"
    EXEMPT = "Exempt"


class ReviewCheck(StatusModel):
    """Whether the product had what a product in production needs."""

    name: str
    """The check."""
    state: CheckState
    """Met, Missing or Exempt."""
    message: Annotated[str, Field(max_length=512)] = ""
    """What is missing, or why it may be."""


class ReviewSlo(StatusModel):
    """What one SLO was held against."""

    name: str
    """Its name."""
    indicator: str
    """Its kind of indicator."""
    objective: RatioString | None = None
    """Share of good events that is owed."""
    max_drop: DecimalString | None = None
    """How far it may fall below its baseline."""
    threshold_milliseconds: int | None = None
    """Of a latency."""
    accepted: Annotated[tuple[Events, ...], Field(max_length=2)] = ()
    """Bad events and all of the stable version's baseline."""
    original: Annotated[tuple[Events, ...], Field(max_length=2)] = ()
    """The same of the first version that was ever accepted."""


class DataProductReviewStatus(StatusModel):
    """The ledger; written by the operator, and never again once it is sealed, but for `state`."""

    state: ReviewState = ReviewState.NOT_STARTED
    """Where it is."""
    due_at: Time | None = None
    """Until when it is to be signed."""
    sealed_at: Time | None = None
    """When it was sealed."""
    sealed_because: str = ""
    """PeriodOver, or ProductGone."""
    digest: str = ""
    """sha256 of what is sealed, as `sluicegate report` recomputes it."""
    reviewed_at: Time | None = None
    """When the last role signed."""
    reviewed_by: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    """Who signed."""
    time_zone: str = ""
    """Whose days these are."""
    signed_by: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Roles of which somebody has to sign."""
    grace_days: int = 0
    """Days from the seal until it is overdue."""
    team: Annotated[tuple[TeamMember, ...], Field(max_length=64), Keyed("username")] = ()
    """Who has which role, as it was when the review was opened."""
    slos: Annotated[tuple[ReviewSlo, ...], Field(max_length=17), Keyed("name")] = ()
    """What the SLOs were held against."""
    # Atomic: with keys the API server would record the owner of each number, which takes more room
    # than the numbers, and nobody else writes them.
    days: Annotated[tuple[ReviewDay, ...], Field(max_length=MOST_DAYS)] = ()
    """The counts, the oldest day first."""
    decisions: Annotated[tuple[ReviewDecision, ...], Field(max_length=MOST_DECISIONS)] = ()
    """The newest decisions, the oldest first."""
    earlier: Annotated[dict[str, Events], Field(max_length=64)] = Field(default_factory=dict)
    """How many more there were, by type and reason (Type/Reason)."""
    versions: Annotated[tuple[ReviewVersion, ...], Field(max_length=MOST_VERSIONS)] = ()
    """Versions that were stable, the oldest first."""
    readiness: Annotated[tuple[ReviewCheck, ...], Field(max_length=16), Keyed("name")] = ()
    """What a product in production needs, as it was on the last day that was recorded."""


class ReviewMeta(StatusModel):
    """The part of metadata that matters here."""

    name: str
    """Its name."""
    namespace: str = "default"
    """Its namespace."""
    resource_version: str = ""
    """Changes with every write."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Its annotations; what the archive has of it among them."""


class DataProductReview(ApiModel):
    """What one product did in one period, and what people say to it."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.spec.period.from < self.spec.period.to",
            holds=lambda self: self.spec.period.start < self.spec.period.end,
            message="spec.period.from must be before spec.period.to",
            field="spec",
        ),
    )

    api_version: Literal["sluicegate.dev/v1alpha1"] = "sluicegate.dev/v1alpha1"
    kind: Literal["DataProductReview"] = "DataProductReview"
    metadata: ReviewMeta
    """Name; the API server checks it."""
    spec: DataProductReviewSpec
    """What people write."""
    status: DataProductReviewStatus = Field(
        default_factory=DataProductReviewStatus, json_schema_extra={"default": {}}
    )
    """What the operator recorded."""
