"""Which change of a status is written now, and which can wait. Pure.

Each write costs the API server, and each watch of the object. A change of meaning is written at once,
numbers when their refresh is due.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeVar

from sluicegate.api.base import StatusModel
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.review import ReviewState
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.api.status import Condition, DataProductStatus, Diagnosis
from sluicegate.api.versions import Candidate
from sluicegate.conditions import Conditions, find_condition
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.traffic.split_verification import VerificationLevel

ModelType = TypeVar("ModelType", bound=StatusModel)

VERIFIED_BLOCKS: Final = 10
"""Canary blocks for which the news that a share is verified may wait for the next write: a step
that goes as fast as it can takes less, so each costs one write."""
VERIFIED_SECONDS: Final = 30
"""It may wait for so long at least."""


def can_wait(observation: Observation, plan: Plan) -> bool:
    """Return whether the status write can wait until the Gateway accepts a first version.

    Nothing is lost with a first version, and a write for each of thousands would delay all of them.
    A first version whose pods are refused, can't be scheduled or fail is reported at once.
    """
    has_obstacle = (
        observation.conflict
        or observation.stalled
        or observation.write_refusal
        or _pods_fail(observation)
    )
    if observation.product.status.stable is not None or has_obstacle:
        return False
    first_start = observation.first_start
    if first_start is None or observation.now - first_start >= observation.quiet_seconds:
        return False
    if plan.status.stable is None:
        conditions = report(observation, plan).conditions
        stalled = any(condition.type == ConditionType.STALLED for condition in conditions)
        return plan.status.candidate is not None and not stalled
    return observation.split is not None and observation.split.level < VerificationLevel.ACCEPTED


def _pods_fail(observation: Observation) -> bool:
    """Return whether the API server refuses pods or a pod has a problem, other than an unmounted volume."""
    refused = any(deployment.refusal for deployment in observation.live.values())
    return refused or any(pod.problem and not pod.unmounted for pod in observation.pods)


def status_due(
    previous_status: DataProductStatus,
    next_status: DataProductStatus,
    *,
    now: int,
    refresh_seconds: float,
    verified_seconds: float = VERIFIED_SECONDS,
) -> DataProductStatus:
    """Return the status to write: `next_status`, or `previous_status` if the changes can wait.

    Numbers wait for `refresh_seconds`. That a share is verified waits a moment for the next act,
    which is written anyway: so each step of a rollout costs one write.

    Parameters
    ----------
    refresh_seconds : how old numbers may get; 0 for until the next decision.
    verified_seconds : for how long a verified share may wait.
    """
    has_same_meaning = same_meaning(previous_status, next_status)
    if (
        not has_same_meaning
        and next_status.candidate is not None
        and next_status.traffic is not None
    ):
        is_young = now - next_status.traffic.write_time < verified_seconds
        if is_young and _is_only_verified(previous_status, next_status):
            return previous_status
    return with_fresh_numbers(
        previous_status,
        next_status,
        now=now,
        refresh_seconds=refresh_seconds,
        is_same=has_same_meaning,
    )


def verified_seconds(observation: Observation) -> float:
    """Return for how many seconds a verified share may stay unwritten."""
    return max(VERIFIED_SECONDS, VERIFIED_BLOCKS * observation.observed.canary_block_seconds)


def _is_only_verified(previous_status: DataProductStatus, next_status: DataProductStatus) -> bool:
    if previous_status.traffic is None or next_status.traffic is None:
        return False
    kind = ConditionType.TRAFFIC_SPLIT_VERIFIED
    other_conditions = [condition for condition in next_status.conditions if condition.type != kind]
    condition_before = find_condition(previous_status.conditions, kind)
    conditions = {
        condition.type: condition
        for condition in (*other_conditions, *([condition_before] if condition_before else []))
    }
    without_verification = next_status.replace(
        traffic=next_status.traffic.replace(
            verification=previous_status.traffic.verification,
            acceptance_time=previous_status.traffic.acceptance_time,
        ),
        conditions=tuple(
            conditions[condition.type]
            for condition in next_status.conditions
            if condition.type in conditions
        ),
    )
    return same_meaning(previous_status, without_verification)


def _values(kind: type[StatusModel], *, excluded: Collection[str]) -> Callable[[StatusModel], Any]:
    """Return a function that reads all fields of a model but some, as a tuple."""
    return attrgetter(*(name for name in kind.model_fields if name not in excluded))


_NO_MESSAGE: Final = {"message": ""}
_NAMED_REASONS: Final = frozenset(
    {
        ConditionReason.APPLY_REFUSED,
        ConditionReason.NAME_CONFLICT,
        ConditionReason.EVIDENCE_NOT_COUNTED,
        ConditionReason.WAITING_TO_RETRY,
        ReviewState.TO_REVIEW,
        ReviewState.OVERDUE,
    }
)
"""Reasons whose message contains no numbers that grow: another message is another cause, end of a wait or
review."""
_MENTIONED_KINDS: Final = frozenset(
    {
        ConditionType.READY,
        ConditionType.RECONCILING,
        ConditionType.STALLED,
        ConditionType.ROLLOUT_PROGRESSING,
    }
)
"""Conditions to whose message details about pods may be added."""
_NUMBERS_OF_SLO: Final = {
    "message": "", "ratio": None, "bad": None, "total": None, "objective": None,
    "budget_remaining": None, "baseline_ratio": None, "drop": None, "interval": (),
}  # fmt: skip
_NUMBERS_OF_MARKET: Final = {
    "ratio": None, "total": 0, "interval": (), "limit": None, "budget_remaining": None,
}  # fmt: skip
_CONDITION: Final = _values(Condition, excluded=_NO_MESSAGE)
_SLO: Final = _values(SloStatus, excluded={*_NUMBERS_OF_SLO, "markets"})
_MARKET: Final = _values(MarketStatus, excluded=_NUMBERS_OF_MARKET)
_NUMBERS_OF_CANDIDATE: Final = {"evidence": (), "expected_seconds": None}
_NUMBERS_OF_TRAFFIC: Final = {"observed_share": None, "requests": None}


def same_meaning(previous_status: DataProductStatus, next_status: DataProductStatus) -> bool:
    """Return whether two statuses differ only in numbers and wording.

    Numbers are those of SLOs, evidence and traffic; wording is that of conditions, decision and
    diagnosis, whose messages contain numbers. A difference in states, reasons, the engine's state,
    or times of transitions counts, and so does an addition to a message.
    """
    if any(
        _has_new_message(condition, next_status.conditions)
        for condition in previous_status.conditions
    ):
        return False
    changed_fields = {
        name
        for name in type(previous_status).model_fields
        if getattr(previous_status, name) != getattr(next_status, name)
    }
    changed_fields -= {
        name
        for name in changed_fields & _MEANING_BY_FIELD.keys()
        if _have_same_meaning(name, previous_status, next_status)
    }
    previous_bare, next_bare = (
        _without_numbers(previous_status, changed_fields),
        _without_numbers(next_status, changed_fields),
    )
    differing_fields = {
        name for name in changed_fields if getattr(previous_bare, name) != getattr(next_bare, name)
    }
    # Different values may have the same JSON: an empty field, and a missing one.
    return not differing_fields or previous_bare.to_dict(differing_fields) == next_bare.to_dict(
        differing_fields
    )


def _has_new_message(previous: Condition, next_status: Conditions) -> bool:
    now = (
        find_condition(next_status, ConditionType(previous.type))
        if previous.type in _MENTIONED_KINDS
        else None
    )
    if now is None or not previous.message:
        return False
    return now.message.startswith((f"{previous.message} ", f"{previous.message}. "))


def with_fresh_numbers(
    previous_status: DataProductStatus,
    next_status: DataProductStatus,
    *,
    now: int,
    refresh_seconds: float,
    is_same: bool | None = None,
) -> DataProductStatus:
    """Return the status to write: `next_status`, or `previous_status` if only numbers changed and aren't due yet.

    Parameters
    ----------
    refresh_seconds : greatest age of the reported numbers; with 0 they wait for the next decision or
        change of state.
    is_same : result of `same_meaning`, if it was computed already.
    """
    is_same = same_meaning(previous_status, next_status) if is_same is None else is_same
    if is_same and not _is_due(previous_status, now, refresh_seconds):
        return previous_status
    if is_same and (
        previous_status == next_status or previous_status.to_dict() == next_status.to_dict()
    ):
        return previous_status
    return next_status.replace(last_refresh_time=now)


def _is_due(previous_status: DataProductStatus, now: int, refresh_seconds: float) -> bool:
    if refresh_seconds == 0:
        return False
    return (
        previous_status.last_refresh_time is None
        or now - previous_status.last_refresh_time >= refresh_seconds
    )


def _have_same_meaning(
    name: str, previous_status: DataProductStatus, next_status: DataProductStatus
) -> bool:
    """Return whether all items of two lists have the same meaning."""
    items_before, items_after, meaning_of = (
        getattr(previous_status, name),
        getattr(next_status, name),
        _MEANING_BY_FIELD[name],
    )
    return len(items_before) == len(items_after) and all(
        part_before is now or meaning_of(part_before) == meaning_of(now)
        for part_before, now in zip(items_before, items_after, strict=True)
    )


def _meaning_of_condition(condition: Condition) -> tuple[object, ...]:
    message = condition.message if condition.reason in _NAMED_REASONS else ""
    return (*_CONDITION(condition), message)


def _meaning_of_slo(slo: SloStatus) -> tuple[object, ...]:
    """Return the fields of an SLO status that matter; of its markets only the bad ones."""
    bad = sorted(_MARKET(market) for market in slo.markets if market.state is SloState.MISSED)
    return (*_SLO(slo), bad)


def _without_numbers(status: DataProductStatus, names: Iterable[str]) -> DataProductStatus:
    """Return the status with these parts without numbers and wording."""
    parts = {
        name: _NUMBER_REMOVERS_BY_FIELD[name](getattr(status, name))
        for name in names
        if name in _NUMBER_REMOVERS_BY_FIELD
    }
    return status.replace(**parts)


def _replacing(
    empty_fields: Mapping[str, Any],
) -> Callable[[StatusModel | None], StatusModel | None]:
    return lambda part: part and part.replace(**empty_fields)


def _bare_conditions(conditions: Conditions) -> Conditions:
    return tuple(
        condition if condition.reason in _NAMED_REASONS else condition.replace(**_NO_MESSAGE)
        for condition in conditions
    )


def _bare_diagnosis(diagnosis: Diagnosis | None) -> Diagnosis | None:
    return diagnosis and diagnosis.replace(
        message="", diagnosis_time=0, evidence=_each_replaced(diagnosis.evidence, _NO_MESSAGE)
    )


def _candidate_without_numbers(candidate: Candidate | None) -> Candidate | None:
    """Return the candidate without numbers, but with its hold and the pending request."""
    if candidate is None:
        return None
    hold = candidate.hold and candidate.hold.replace(**_NO_MESSAGE)
    return candidate.replace(**_NUMBERS_OF_CANDIDATE, hold=hold)


def _slo_without_numbers(slo: SloStatus) -> SloStatus:
    """Return the SLO status without numbers, but with its bad markets."""
    bad = _each_replaced(
        (market for market in slo.markets if market.state is SloState.MISSED), _NUMBERS_OF_MARKET
    )
    markets = tuple(sorted(bad, key=lambda market: market.market))
    return slo.replace(**_NUMBERS_OF_SLO, markets=markets)


def _without_meaning(_: object) -> None:
    """Return None, for a part without meaning."""


def _each_replaced(
    parts: Iterable[ModelType], empty_fields: Mapping[str, Any]
) -> tuple[ModelType, ...]:
    return tuple(part.replace(**empty_fields) for part in parts)


_MEANING_BY_FIELD: Final[Mapping[str, Callable[[Any], tuple[object, ...]]]] = {
    "conditions": _meaning_of_condition,
    "slos": _meaning_of_slo,
}
_NUMBER_REMOVERS_BY_FIELD: Final[Mapping[str, Callable[[Any], Any]]] = {
    "last_refresh_time": _without_meaning,
    "written_by": _without_meaning,
    "conditions": _bare_conditions,
    "slos": lambda slos: tuple(map(_slo_without_numbers, slos)),
    "candidate": _candidate_without_numbers,
    "traffic": _replacing(_NUMBERS_OF_TRAFFIC),
    "decision": _replacing({"message": "", "decision_time": 0}),
    "diagnosis": _bare_diagnosis,
}
"""Functions that remove numbers and wording from the parts of a status, by field."""
