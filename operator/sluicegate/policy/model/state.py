"""What must survive from one evaluation to the next: exactly what status keeps, and no more.

Evidence isn't in here. It is computed from the blocks each time, so that a restart changes no
decision. What is here changes only with a decision or when a state changes, so that a healthy
product costs no write.

Times are whole seconds since the epoch; status can't hold finer ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from typing_extensions import override

from sluicegate.api.baseline import BaselineSource
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import ProductState, SpecModelOutcome
from sluicegate.api.versions import VersionSource
from sluicegate.stats.counts import Count


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A version by name, and what makes it that version: two that differ only in name are equal.

    Attributes
    ----------
    version : the bento's version: label of everything that it serves.
    image : the bento by content.
    runtime_image : what it runs in, frozen when it became a candidate.
    """

    version: str
    image: str = ""
    runtime_image: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What the version really is, wherever its bento lies: its digest, and its runtime.

        A release that is known by its name alone, as in a replay, is what it is called.
        """
        return self.image.rpartition("sha256:")[2] or self.version, self.runtime_image

    def is_renewal_of(self, other: "Release") -> bool:
        """Whether it is the same bento in another runtime."""
        mine, theirs = self.identity, other.identity
        return mine[0] == theirs[0] and mine != theirs

    @override
    def __eq__(self, other: object) -> bool:
        """Whether both are the same bento in the same runtime."""
        return self.identity == other.identity if isinstance(other, Release) else NotImplemented

    @override
    def __hash__(self) -> int:
        """A hash of the identity."""
        return hash(self.identity)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The performance that a version was accepted with.

    Attributes
    ----------
    count : bad events of all events.
    start, end : when they were counted, in seconds; equal for an evaluation.
    source : production, or the hold-out of the training.
    phi : how much the blocks of the baseline scatter more than independent events.
    daily : whether the bad ratio swings with the hour, so that only whole days are compared.
    weekdays : seven counts when each weekday is compared with itself; else empty.
    mean, deviation : of a gauge's blocks; its count is empty.
    indicator_hash : what was counted; a baseline of another indicator isn't one.
    """

    count: Count
    start: int
    end: int
    source: BaselineSource
    phi: float = 1.0
    daily: bool = False
    weekdays: tuple[Count, ...] = ()
    mean: float = 0.0
    deviation: float = 0.0
    indicator_hash: str = ""


PATIENT_RETRIES: Final = 5
"""Retries, in about an hour and a half, in which a candidate without room may still be a cure."""
Baselines = Mapping[str, Baseline]
"""By SLO name."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A version that is or was stable.

    Attributes
    ----------
    release : which one.
    promoted_at : since when (last time).
    source : where it came from.
    baselines : what it was accepted with, by SLO.
    returned : it is stable because a later one was taken back, not because it was released.
    withdrawn : it was taken back itself, or didn't come up again; nobody returns to it by choice
        of ours.
    record : events by SLO beside the version that replaced it, where it did worse than accepted.
    degraded : SLOs that were degraded when it was replaced.
    """

    release: Release
    promoted_at: int
    source: VersionSource = VersionSource.SPEC
    baselines: Baselines = field(default_factory=dict)
    returned: bool = False
    withdrawn: bool = False
    record: Mapping[str, Count] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightChange:
    """When the candidate got which share, in percent."""

    at: int
    weight: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that wants to become stable.

    Attributes
    ----------
    release : which one.
    source : where it came from.
    since : when its rollout began.
    weights : each share that it had, oldest first; the last is what it has. Empty while its pods
        start or its route isn't written.
    evaluation : its hold-out counts by SLO.
    correlation : ρ of stable's blocks before the rollout, by SLO; frozen at the first decision.
    trigger : name of the training that made it; empty for one that comes from the spec.
    parked : the rollout ended without a verdict; it has no traffic and waits for a person.
    requested : a person asked for it while the product was suspended, which doesn't hold it then.
    retry_at : when it begins again by itself, in seconds; None unless trouble of the cluster parked it.
    retries : how often trouble of the cluster has ended its rollout.
    changes_api : it took traffic although it changes stable's API, as a person has let it.
    frozen : seconds for which spec.suspend has held it; they count against no deadline.
    """

    release: Release
    source: VersionSource
    since: int
    weights: tuple[WeightChange, ...]
    evaluation: Mapping[str, Count] = field(default_factory=dict)
    correlation: Mapping[str, float] = field(default_factory=dict)
    trigger: str = ""
    parked: bool = False
    requested: bool = False
    retry_at: int | None = None
    retries: int = 0
    changes_api: bool = False
    frozen: int = 0

    @property
    def tried(self) -> bool:
        """Whether its rollout goes on, or will by itself and before long.

        What finds no room for hours may be no cure, so it holds up no training; one that came of
        a training is the cure.
        """
        soon = self.retries <= PATIENT_RETRIES or self.source is VersionSource.RETRAINING
        return not self.parked or (self.retry_at is not None and soon)

    @property
    def weight(self) -> int:
        """Share of the traffic in percent."""
        return self.weights[-1].weight if self.weights and not self.parked else 0

    def step(self, steps: Sequence[int]) -> int:
        """Number of the step of the spec, from 1, whose share it has or is beyond.

        The spec may have been edited since: what it has is its share, not a number of steps.
        """
        return max(sum(share <= self.weight for share in steps), 1)


@dataclass(frozen=True, slots=True)
class Streak:
    """Bad evaluations in a row, one a block.

    Attributes
    ----------
    first : index of the block that began it.
    last : index of the block that was counted last.
    evaluations : how many.
    fresh : how many of them came with new events.
    """

    first: int
    last: int
    evaluations: int
    fresh: int


class Interval(NamedTuple):
    """A stretch of time, in seconds: begin < t ≤ end."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SloMemory:
    """What is remembered of one SLO of the stable version.

    Attributes
    ----------
    streak : bad evaluations that aren't confirmed yet, or that confirmed it.
    degraded : confirmed, and not yet left.
    calm : evaluations in a row that looked well, while degraded.
    steady_since : since when it hasn't been WARN or BAD; a baseline is learnt after that only.
    since : blocks that ended before are no evidence: the SLO was another one then, or what was
        measured had a cause outside the model.
    disturbed_since : since when something outside the model disturbs what is measured.
    left_out : when something did; what was measured then is no evidence either.
    terms_hash : indicator and margins that the evidence was gathered with.
    """

    streak: Streak | None = None
    degraded: bool = False
    calm: Streak | None = None
    steady_since: int = 0
    since: int = 0
    terms_hash: str = ""
    disturbed_since: int | None = None
    left_out: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """A training that is under way.

    Attributes
    ----------
    trigger : its name.
    slo : the service level that asked for it; empty when a person did.
    parent : version that it started from.
    attempt : 1 for the first since the last promotion, or since a person asked for one.
    started_at : when.
    """

    trigger: str
    slo: str
    parent: Release
    attempt: int
    started_at: int


@dataclass(frozen=True, slots=True)
class RetrainingMemory:
    """Trainings so far.

    Attributes
    ----------
    under_way : the one that runs.
    failures : attempts in a row that didn't end in a promotion.
    next_allowed_at : no training before.
    last_seconds : how long the last one took.
    last_reason : how the last one ended.
    started : all attempts that were ever started. An attempt that isn't counted as a failure, or
        the first of a new count, has the same `attempt` as one before; this number has no other.
    """

    under_way: Training | None = None
    failures: int = 0
    next_allowed_at: int = 0
    last_seconds: int = 0
    last_reason: DecisionReason | None = None
    started: int = 0


@dataclass(frozen=True, slots=True)
class Probation:
    """The time after a promotion in which the version before can come back at the first sign.

    Attributes
    ----------
    previous : the version before.
    baselines : what that one was accepted with.
    """

    previous: Release
    baselines: Baselines = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HandledModel:
    """The spec.model that was taken up last, and what became of it."""

    release: Release
    outcome: SpecModelOutcome
    at: int


@dataclass(frozen=True, slots=True)
class Memory:
    """All that one evaluation leaves for the next.

    Attributes
    ----------
    stable : the accepted version; None before the first one served.
    candidate : the version that wants to become stable.
    history : versions that were stable, newest first.
    original : the first baseline ever accepted, by SLO.
    slos : by SLO name.
    retraining : trainings so far.
    probation : after a promotion, until the version has proved itself.
    model : the spec.model that was taken up last.
    last_known : the state when it was last known.
    outage_since : since when nothing could be measured.
    alerted : what people were told of the present trouble, so that they are told once.
    handled : tokens of one-shot requests, by annotation.
    """

    stable: Accepted | None = None
    candidate: Candidate | None = None
    history: tuple[Accepted, ...] = ()
    original: Baselines = field(default_factory=dict)
    slos: Mapping[str, SloMemory] = field(default_factory=dict)
    retraining: RetrainingMemory = field(default_factory=RetrainingMemory)
    probation: Probation | None = None
    model: HandledModel | None = None
    last_known: ProductState = ProductState.UNKNOWN
    outage_since: int | None = None
    alerted: tuple[str, ...] = ()
    handled: Mapping[str, str] = field(default_factory=dict)

    def slo(self, name: str) -> SloMemory:
        """What is remembered of an SLO; a fresh memory for one never seen."""
        return self.slos.get(name) or SloMemory()


def alert_key(reason: DecisionReason, about: str) -> str:
    """What is remembered of an alert, so that people are told once."""
    return f"{reason}/{about}"


MOST_FAILURES: Final = 3
"""Attempts in a row without a promotion after which a person has to look."""
