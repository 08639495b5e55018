"""What a product is, for people: who answers for it, where it is sold, what it depends on.

Field names follow the data-product standards where one has the notion (Bitol's ODPS for
description, team and support; the Linux Foundation's ODPS for priority and goals; Backstage
for owner and lifecycle).
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import DNS_LABEL, ApiModel, DecimalString, Line, Text, Url, Word
from sluicegate.api.list_types import Keyed
from sluicegate.api.patterns import described

PRODUCT_MANAGER = "DataProductManager"
"""The role of which a product in production needs a member."""

Market = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[A-Z]{2}$", "must be a country of two capitals (ISO 3166-1 alpha-2): write e.g. FR"
        ),
        max_length=2,
    ),
]
"""A country, as ISO 3166-1 alpha-2 writes it."""


class Lifecycle(StrEnum):
    """Where a product is in its life. Deprecated and Retired never retrain nor roll out."""

    DRAFT = "Draft"
    DEVELOPMENT = "Development"
    PRODUCTION = "Production"
    DEPRECATED = "Deprecated"
    RETIRED = "Retired"

    @property
    def has_ended(self) -> bool:
        """Whether the product only keeps serving, without retraining or rollouts."""
        return self in {Lifecycle.DEPRECATED, Lifecycle.RETIRED}


class Priority(StrEnum):
    """Priority of its retraining when training slots are scarce."""

    CRITICAL = "Critical"
    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"

    @property
    def rank(self) -> int:
        """0 for the most pressing one; sorts a queue."""
        return list(Priority).index(self)


class Direction(StrEnum):
    """How a business goal reads its target."""

    AT_LEAST = "AtLeast"
    AT_MOST = "AtMost"
    EQUALS = "Equals"
    INCREASE = "Increase"
    DECREASE = "Decrease"


class Description(ApiModel):
    """Purpose, limits and usage of the product."""

    purpose: Text | None = None
    """Purpose of the product, and its users."""
    limitations: Text | None = None
    """Cases in which users should not trust the model."""
    usage: Text | None = None
    """Instructions for users of the product."""


class TeamMember(ApiModel):
    """One person who works on the product."""

    username: Line
    """Account name; unique in the team."""
    name: Line | None = None
    """Full name of the member."""
    role: Word
    """Role in PascalCase, e.g. DataProductManager, DataScientist, PlatformEngineer."""


class Team(ApiModel):
    """The people behind the product."""

    members: Annotated[tuple[TeamMember, ...], Field(max_length=64), Keyed("username")] = ()
    """Members by user name."""


class ConsumerEvidence(StrEnum):
    """Whether SLOs of a consumer count in a canary of its upstream. Evidence against always counts, unless ignored."""

    REQUIRED = "Required"
    """At the last step, the candidate waits for evidence that no SLO of the consumer becomes worse."""
    IF_AVAILABLE = "IfAvailable"
    """The same, if an equal candidate can get an answer within rollout.maxDurationSeconds of the upstream."""
    IGNORE = "Ignore"
    """They don't count."""


class Dependency(ApiModel):
    """Another DataProduct that this one calls."""

    namespace: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
                "must be the name of a namespace: write lower-case letters, digits and -, e.g. catalog",
            ),
            max_length=63,
        ),
    ] = ""
    """Namespace of the other product; empty means this product's own."""
    name: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
                "must be the name of a DataProduct, without its namespace: write lower-case letters, digits and -, e.g. pricing",
            ),
            max_length=40,
        ),
    ]
    """Name of the other product."""
    evidence: ConsumerEvidence = ConsumerEvidence.IGNORE
    """Whether this product's SLOs of outcomes and events count in a canary of the other product, whose
    spec.rollout.consumers has to name this one: Required holds its candidate at the last step until
    they show that it isn't worse for this product, IfAvailable only if they can; with Ignore, the
    default, they don't count."""


JourneyName = Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=63)]
"""Name of a journey, as an address can hold it."""


class JourneyPlace(ApiModel):
    """A customer's journey in which the product is a step."""

    name: JourneyName
    """Name of the journey, the same in all its products, e.g. buy-a-car."""
    step: Annotated[int, Field(ge=1, le=64)]
    """Position in the journey, from 1; products that a customer meets together have the same."""


PERCENT: Final = "%"
"""Unit of a target that is a share in percent."""
_LARGEST_SHARES: Final = {None: 1, "ratio": 1, PERCENT: 100}
"""Largest target of a share of good events, by the unit of the target."""


class PointValue(ApiModel):
    """What one percentage point of an SLO is worth."""

    amount: DecimalString
    """Worth of one percentage point, as a decimal string."""
    unit: Line
    """Unit of the amount with its time, e.g. EUR a month."""


class BusinessGoal(ApiModel):
    """A number of the business that the product contributes to."""

    name: Line
    """Name of the goal."""
    target: DecimalString
    """The number to reach, as a decimal string."""
    direction: Direction = Direction.AT_LEAST
    """Direction in which the target is read."""
    unit: Line | None = None
    """Unit of the target, e.g. ratio, EUR, days. If slo has a share of good events, the target is a share
    too: "ratio" (from 0 to 1, also without a unit) or "%" (from 0 to 100). If slo is a gauge, it is the
    gauge's own unit."""
    slo: Line | None = None
    """Name of the SLO that measures the goal. Its share of good events, or the mean of a gauge, is
    compared with the target."""
    value_per_point: PointValue | None = None
    """Worth of one percentage point of that SLO, by which the gain of a version is also printed. With
    AtMost and Decrease a fall is the gain; a gauge and Equals have none."""

    @property
    def is_share(self) -> bool:
        """Whether target and unit are those of a share of good events."""
        largest_share = _LARGEST_SHARES.get(self.unit)
        return largest_share is not None and 0 <= Decimal(self.target) <= largest_share


class SupportChannel(ApiModel):
    """A channel on which users get help."""

    channel: Line
    """Name of the channel."""
    url: Url | None = None
    """Address of the support channel."""
    scope: Line | None = None
    """Purpose of the channel, e.g. interactive, issues, announcements."""


class Link(ApiModel):
    """A page about the product."""

    type: Word
    """Kind of page, e.g. ModelCard, Runbook, Dashboard, Contract."""
    url: Url
    """Address of the linked page."""
    title: Line | None = None
    """Title of the linked page."""
