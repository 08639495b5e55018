"""What one evaluation may decide: a closed union, one type an outcome.

Callers match a decision exhaustively, so that a new outcome fails the type checker wherever it
isn't handled. Done and blocked are different values: a retraining that waits for its
cooldown is a `Hold` whose reason says so, never a `Retrain` with a flag.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from sluicegate.api.baseline import Baselines
from sluicegate.api.iteration import Iteration
from sluicegate.api.names import DecisionReason, DecisionType
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import DerivedRollout, Release, VersionSource
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs


def alert_key(reason: DecisionReason, subject: str) -> str:
    """Return the key by which a repeated alert is recognized."""
    return f"{reason}/{subject}"


ENDED_BY_FAULTS: Final = frozenset(
    {
        DecisionReason.INFRASTRUCTURE,
        DecisionReason.METRICS_LOST,
        DecisionReason.NODE_BUSY,
        DecisionReason.NO_TRAFFIC,
    }
)
"""Ends of a rollout that say nothing of its candidate: it is tried again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    """A decision with its reason, a message and its numbers.

    Attributes
    ----------
    reason : one word of a closed list.
    message : a sentence for a data product manager, with the numbers in it.
    numbers : the numbers of the sentence by name.
    """

    reason: DecisionReason
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(_Explained):
    """Change nothing; the reason names the awaited condition, or that all SLOs are met."""

    type: ClassVar = DecisionType.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(_Explained):
    """An alert that is emitted once, without other effects.

    Attributes
    ----------
    about : its subject: the trigger of a degradation, a version, the measurements. Each pair of
        reason and subject is emitted once; empty for an alert that can't recur.
    """

    type: ClassVar = DecisionType.ALERT
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain(_Explained):
    """Start a training of the stable version.

    Attributes
    ----------
    trigger : eight hex digits that name this need; the same need has the same name after a restart.
    slo : the service level that asks for it; empty when a person does.
    parent : the version to start from.
    changed : estimated begin of the degradation, in seconds; None if unknown.
    attempt : 1 for the first; counts what came after the last promotion.
    iteration : what the request of a person says of it.
    market : the market in which the evidence is; empty where it isn't in one alone.
    accepted_share : share of wrong rows at or below which the training ends before its fit; None
        where it has to fit. It is above what was accepted by half of the allowed drop, or by a fifth of the
        live fall.
    """

    type: ClassVar = DecisionType.RETRAIN
    trigger: str
    slo: str
    parent: Release
    attempt: int
    changed: int | None = None
    iteration: Iteration | None = None
    market: str = ""
    accepted_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRollout(_Explained):
    """Start a candidate with the traffic share of the first step.

    Attributes
    ----------
    candidate : what to start.
    source : where it came from.
    weight : share in percent.
    evaluation, stable_evaluation : hold-out counts by SLO, its own and those of the version that it
        was trained from. pairs : the same rows by which of both was right.
    data_end : when the data ended that it was trained on, in seconds; None if unknown.
    trigger : name of the training that made it; empty for one that the spec names.
    handles : the spec.model that is handled by it, where that isn't the candidate.
    derived : what spec.rollout leaves out, as it applies to this rollout; None where it has all.
    """

    type: ClassVar = DecisionType.START_ROLLOUT
    candidate: Release
    source: VersionSource
    weight: int
    evaluation: Mapping[str, Count] = field(default_factory=dict)
    stable_evaluation: Mapping[str, Count] = field(default_factory=dict)
    pairs: Mapping[str, Pairs] = field(default_factory=dict)
    data_end: int | None = None
    trigger: str = ""
    handles: Release | None = None
    derived: DerivedRollout | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance(_Explained):
    """Give the candidate the share of the next step.

    Attributes
    ----------
    step : number of the step that begins, from 1.
    weight : its share in percent.
    """

    type: ClassVar = DecisionType.ADVANCE
    step: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote(_Explained):
    """Give the candidate all of the traffic and make it stable.

    Attributes
    ----------
    candidate : the new stable version.
    candidate_baselines : baselines of its probation; those of the version before when left empty.
    """

    type: ClassVar = DecisionType.PROMOTE
    candidate: Release
    candidate_baselines: Baselines = field(default_factory=dict)

    @property
    def on_evidence(self) -> bool:
        """Return whether the evidence favours the candidate, so that no person forced the promotion."""
        return self.reason is DecisionReason.CANARY_NOT_WORSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback(_Explained):
    """Remove all traffic from a version.

    Attributes
    ----------
    leaving : the candidate, or a stable version that turned out bad.
    to : the version that takes all traffic: stable, or the one before it.
    cause : the message without what follows from it; empty where it is the same.
    """

    type: ClassVar = DecisionType.ROLLBACK
    leaving: Release
    to: Release
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconclusive(_Explained):
    """Remove the candidate's traffic without a verdict on it; keep it for another rollout."""

    type: ClassVar = DecisionType.INCONCLUSIVE


Decision = Rollback | Promote | Inconclusive | Advance | StartRollout | Retrain | Alert | Hold
"""In the order of precedence: one evaluation makes one decision, the first that applies."""


PRECEDENCE: Final = tuple(DecisionType)
"""Of several decisions that apply, the one whose type comes first is made."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision that a rule proposes.

    Attributes
    ----------
    decision : what to do.
    status : what is remembered if that is decided.
    takes_up_training : whether the result of a training is over with that; one that has to wait
        comes again.
    """

    decision: Decision
    status: DataProductStatus
    takes_up_training: bool = False


def highest_precedence(proposals: Iterable[Proposal]) -> Proposal:
    """Return the proposal of the highest precedence, the first of equal ones. ValueError without any."""
    return min(proposals, key=lambda proposal: PRECEDENCE.index(proposal.decision.type))
