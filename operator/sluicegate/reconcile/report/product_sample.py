"""The metrics of one product, from its status; small, as there is one for each product."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluicegate.api.base import Number
from sluicegate.api.engine import ProductState
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import Priority
from sluicegate.api.slo_status import SloStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.conditions import find_condition
from sluicegate.policy import rollout_end
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import share_in_force
from sluicegate.views.needs import missed_markets_by_slo


class RemedyState(StrEnum):
    """The remedy for a degraded product."""

    RETRAINING = "Retraining"
    CANARY = "Canary"
    """A candidate is on its way."""
    WAITING = "Waiting"
    """It will be retrained: after a cooldown, or when there is a slot."""
    NONE = "None"
    """Nothing that the operator may do: a person has to look."""


class RetrainingState(StrEnum):
    """The state of a product's retraining."""

    RUNNING = "Running"
    WAITING = "Waiting"
    """For a slot, or for its Job, which was refused."""
    SUSPENDED = "Suspended"
    """Three attempts in a row led to no promotion: a person has to look."""


WAITING_REASONS: Final = frozenset(
    {
        DecisionReason.RECOVERED,
        DecisionReason.UPSTREAM_DEGRADING,
        DecisionReason.UPSTREAM_UNDECIDED,
        DecisionReason.ALREADY_RETRAINING,
        DecisionReason.CANARY_IN_PROGRESS,
        DecisionReason.VERSION_TOO_YOUNG,
        DecisionReason.COOLING_DOWN,
        DecisionReason.NO_SLOT,
        DecisionReason.SCORE_UNDECIDED,
        DecisionReason.INFRASTRUCTURE,
    }
)
"""Reasons not to retrain that go away by themselves."""


@dataclass(frozen=True, slots=True)
class SloFigures:
    """One SLO: remaining error budget, share of good events, objective.

    `missed`: markets that miss it.
    """

    name: str
    budget: float | None = None
    ratio: float | None = None
    objective: float | None = None
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFigures:
    """The figures of a product for its metrics.

    Attributes
    ----------
    stalled : reason of the condition; empty while it isn't stalled.
    due : deadline of the candidate's phase; None without one.
    degraded_since, promotion_time, due : seconds since 1970.
    owner : as the spec has it. stable_version : its name; empty before the first.
    slos : those that count events.
    """

    state: ProductState = ProductState.UNKNOWN
    priority: Priority = Priority.MEDIUM
    ready: bool = False
    stalled: str = ""
    retraining: RetrainingState | None = None
    phase: CandidatePhase | None = None
    weight: int = 0
    versions: int = 0
    due: float | None = None
    degraded_since: float | None = None
    remedy: RemedyState | None = None
    promotion_time: float | None = None
    owner: str = ""
    stable_version: str = ""
    slos: tuple[SloFigures, ...] = ()

    @property
    def rank(self) -> int:
        """Return the rank for metrics by name; lower values are exported first."""
        return self.priority.rank

    def overdue(self, now: float) -> float:
        """Return the seconds by which the candidate's present step is overdue."""
        return 0.0 if self.due is None else max(now - self.due, 0.0)


INVALID_PRODUCT: Final = ProductFigures(stalled=ConditionReason.INVALID_SPEC)
"""A product whose spec can't be read, so neither can its priority."""


def observed_figures(
    observation: Observation, status: DataProductStatus, reason: DecisionReason | None
) -> ProductFigures:
    """Return the figures of a product that was observed; `status` and `reason` as for `figures_of`."""
    end = rollout_end(observation.terms, status, observation.observed, observation.now)
    return figures_of(observation.product, status, reason, rollout_end=end)


def figures_of(
    product: DataProduct,
    status: DataProductStatus,
    reason: DecisionReason | None,
    *,
    rollout_end: int | None = None,
) -> ProductFigures:
    """Return the figures of a product.

    Parameters
    ----------
    product : for its spec.
    status : as it is reported, also where it isn't written.
    reason : of the newest decision; None when nothing was judged.
    rollout_end : when the candidate's rollout ends without a verdict, in seconds; None without one.
    """
    stable, candidate = status.stable, status.candidate
    ready = find_condition(status.conditions, ConditionType.READY)
    stalled_condition = find_condition(status.conditions, ConditionType.STALLED)
    since, missed_markets = _degraded_since(status), missed_markets_by_slo(status)
    return ProductFigures(
        state=status.state or ProductState.UNKNOWN,
        priority=product.spec.priority,
        ready=ready is not None and ready.status == "True",
        stalled=stalled_condition.reason
        if stalled_condition is not None and stalled_condition.status == "True"
        else "",
        retraining=_retraining(status, reason),
        phase=candidate.phase if candidate else None,
        weight=_weight(product, candidate) if candidate else 0,
        versions=(stable is not None) + (candidate is not None),
        due=_due(product, status, rollout_end),
        degraded_since=since,
        remedy=None if since is None else _remedy(status, reason),
        promotion_time=None if stable is None else stable.promotion_time,
        owner=product.spec.owner,
        stable_version="" if stable is None else stable.version,
        slos=tuple(
            _slo(slo, missed_markets.get(slo.name, ()))
            for slo in status.slos
            if slo.total is not None
        ),
    )


def _weight(product: DataProduct, candidate: Candidate) -> int:
    """Return the share of a candidate, in percent.

    Without a route its pods answer until they are gone, so a version that is rolled back keeps its share so long.
    """
    is_leaving = candidate.phase is CandidatePhase.ROLLING_BACK and candidate.returning is None
    return (
        candidate.weight if is_leaving and product.spec.route is None else share_in_force(candidate)
    )


def _slo(slo: SloStatus, missed_markets: tuple[str, ...]) -> SloFigures:
    return SloFigures(
        slo.name,
        _number(slo.budget_remaining),
        _number(slo.ratio),
        _number(slo.objective),
        missed_markets,
    )


def _number(value: Number | None) -> float | None:
    return None if value is None else float(value)


def _degraded_since(status: DataProductStatus) -> float | None:
    condition = find_condition(status.conditions, ConditionType.DEGRADED)
    if condition is None or condition.status != "True":
        return None
    return condition.last_transition_time


def _retraining(status: DataProductStatus, reason: DecisionReason | None) -> RetrainingState | None:
    retraining = status.retraining
    if retraining is not None and retraining.trigger is not None:
        active = find_condition(status.conditions, ConditionType.RETRAINING_ACTIVE)
        is_suspended = active is not None and active.status == "False"
        return RetrainingState.WAITING if is_suspended else RetrainingState.RUNNING
    if retraining is not None and retraining.suspended:
        return RetrainingState.SUSPENDED
    is_suspended = retraining is not None and retraining.waiting_for == DecisionReason.NO_SLOT
    return RetrainingState.WAITING if is_suspended or reason is DecisionReason.NO_SLOT else None


def _remedy(status: DataProductStatus, reason: DecisionReason | None) -> RemedyState:
    if _retraining(status, reason) is RetrainingState.RUNNING:
        return RemedyState.RETRAINING
    if status.candidate is not None and status.candidate.phase is not CandidatePhase.PARKED:
        return RemedyState.CANARY
    if status.blocked_training is not None:
        return RemedyState.NONE
    return RemedyState.WAITING if reason in WAITING_REASONS else RemedyState.NONE


def _waits_for_a_person(status: DataProductStatus) -> bool:
    """Return whether the candidate's API change waits for a person."""
    rollout = find_condition(status.conditions, ConditionType.ROLLOUT_PROGRESSING)
    return rollout is not None and rollout.reason == ConditionReason.API_CHANGED


def _due(product: DataProduct, status: DataProductStatus, rollout_end: int | None) -> float | None:
    """Return when the candidate's present step is due, in seconds; the operator acts then.

    A first version that doesn't become ready is stalled, which has its own metric.
    """
    candidate = status.candidate
    if candidate is None or status.stable is None or product.spec.suspend:
        return None
    changed = candidate.shares[-1].start_time if candidate.shares else candidate.start_time
    changed = max(changed, candidate.wait_start_time or changed)
    match candidate.phase:
        case CandidatePhase.STARTING if _waits_for_a_person(status):
            return None
        case CandidatePhase.STARTING | CandidatePhase.PROMOTING | CandidatePhase.ROLLING_BACK:
            return changed + product.spec.serving.progress_deadline_seconds
        case CandidatePhase.STEPPING:
            return rollout_end
        case CandidatePhase.AWAITING_APPROVAL | CandidatePhase.PARKED:
            return None
