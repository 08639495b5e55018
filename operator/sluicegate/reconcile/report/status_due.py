"""Which change of a status is written now, and which can wait. Pure.

Each write costs the API server, and each watch of the object. A change of meaning is written at once,
numbers when their refresh is due.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeVar

from sluicegate.api.base import StatusModel
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.api.status import Condition, DataProductStatus, Diagnosis
from sluicegate.api.versions import Candidate
from sluicegate.conditions import Conditions, find_condition
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.traffic.split_verification import VerificationLevel

AModel = TypeVar("AModel", bound=StatusModel)

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
    before: DataProductStatus,
    after: DataProductStatus,
    *,
    now: int,
    refresh_seconds: float,
    verified_seconds: float = VERIFIED_SECONDS,
) -> DataProductStatus:
    """Return the status to write: `after`, or `before` if the changes can wait.

    Numbers wait for `refresh_seconds`. That a share is verified waits a moment for the next act,
    which is written anyway: so each step of a rollout costs one write.

    Parameters
    ----------
    refresh_seconds : how old numbers may get; 0 for until the next decision.
    verified_seconds : for how long a verified share may wait.
    """
    means_the_same = same_meaning(before, after)
    if not means_the_same and after.candidate is not None and after.traffic is not None:
        is_young = now - after.traffic.write_time < verified_seconds
        if is_young and _only_verified(before, after):
            return before
    return with_fresh_numbers(
        before, after, now=now, refresh_seconds=refresh_seconds, same=means_the_same
    )


def verified_seconds(observation: Observation) -> float:
    """Return for how many seconds a verified share may stay unwritten."""
    return max(VERIFIED_SECONDS, VERIFIED_BLOCKS * observation.observed.canary_block_seconds)


def _only_verified(before: DataProductStatus, after: DataProductStatus) -> bool:
    if before.traffic is None or after.traffic is None:
        return False
    kind = ConditionType.TRAFFIC_SPLIT_VERIFIED
    other_conditions = [condition for condition in after.conditions if condition.type != kind]
    condition_before = find_condition(before.conditions, kind)
    conditions = {
        condition.type: condition
        for condition in (*other_conditions, *([condition_before] if condition_before else []))
    }
    unverified = after.replace(
        traffic=after.traffic.replace(
            verification=before.traffic.verification, acceptance_time=before.traffic.acceptance_time
        ),
        conditions=tuple(
            conditions[condition.type]
            for condition in after.conditions
            if condition.type in conditions
        ),
    )
    return same_meaning(before, unverified)


def _values(kind: type[StatusModel], *, but: Collection[str]) -> Callable[[StatusModel], Any]:
    """Return a function that reads all fields of a model but some, as a tuple."""
    return attrgetter(*(name for name in kind.model_fields if name not in but))


_WORDING: Final = {"message": ""}
_NAMED: Final = frozenset(
    {
        ConditionReason.APPLY_REFUSED,
        ConditionReason.NAME_CONFLICT,
        ConditionReason.EVIDENCE_NOT_COUNTED,
        ConditionReason.WAITING_TO_RETRY,
    }
)
"""Reasons whose message contains no numbers that grow: another message is another cause or end of a wait."""
_SPOKEN_OF: Final = frozenset(
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
_CONDITION: Final = _values(Condition, but=_WORDING)
_SLO: Final = _values(SloStatus, but={*_NUMBERS_OF_SLO, "markets"})
_MARKET: Final = _values(MarketStatus, but=_NUMBERS_OF_MARKET)
_NUMBERS_OF_CANDIDATE: Final = {"evidence": (), "expected_seconds": None}
_NUMBERS_OF_TRAFFIC: Final = {"observed_share": None, "requests": None}


def same_meaning(before: DataProductStatus, after: DataProductStatus) -> bool:
    """Return whether two statuses differ only in numbers and wording.

    Numbers are those of SLOs, evidence and traffic; wording is that of conditions, decision and
    diagnosis, whose messages contain numbers. A difference in states, reasons, the engine's state,
    or times of transitions counts, and so does an addition to a message.
    """
    if any(_says_more(condition, after.conditions) for condition in before.conditions):
        return False
    changed_fields = {
        name for name in type(before).model_fields if getattr(before, name) != getattr(after, name)
    }
    changed_fields -= {
        name for name in changed_fields & _MEANING.keys() if _mean_the_same(name, before, after)
    }
    first, second = _bare(before, changed_fields), _bare(after, changed_fields)
    differ = {name for name in changed_fields if getattr(first, name) != getattr(second, name)}
    # Different values may have the same JSON: an empty field, and a missing one.
    return not differ or first.to_dict(differ) == second.to_dict(differ)


def _says_more(before: Condition, after: Conditions) -> bool:
    now = find_condition(after, ConditionType(before.type)) if before.type in _SPOKEN_OF else None
    if now is None or not before.message:
        return False
    return now.message.startswith((f"{before.message} ", f"{before.message}. "))


def with_fresh_numbers(
    before: DataProductStatus,
    after: DataProductStatus,
    *,
    now: int,
    refresh_seconds: float,
    same: bool | None = None,
) -> DataProductStatus:
    """Return the status to write: `after`, or `before` if only numbers changed and aren't due yet.

    Parameters
    ----------
    refresh_seconds : greatest age of the reported numbers; with 0 they wait for the next decision or
        change of state.
    same : result of `same_meaning`, if it was computed already.
    """
    same = same_meaning(before, after) if same is None else same
    if same and not _is_due(before, now, refresh_seconds):
        return before
    if same and (before == after or before.to_dict() == after.to_dict()):
        return before
    return after.replace(last_refresh_time=now)


def _is_due(before: DataProductStatus, now: int, refresh_seconds: float) -> bool:
    if refresh_seconds == 0:
        return False
    return before.last_refresh_time is None or now - before.last_refresh_time >= refresh_seconds


def _mean_the_same(name: str, first: DataProductStatus, second: DataProductStatus) -> bool:
    """Return whether all items of two lists have the same meaning."""
    before, after, meaning = getattr(first, name), getattr(second, name), _MEANING[name]
    return len(before) == len(after) and all(
        part_before is now or meaning(part_before) == meaning(now)
        for part_before, now in zip(before, after, strict=True)
    )


def _meaning_of_condition(condition: Condition) -> tuple[object, ...]:
    worded = condition.message if condition.reason in _NAMED else ""
    return (*_CONDITION(condition), worded)


def _meaning_of_slo(slo: SloStatus) -> tuple[object, ...]:
    """Return the fields of an SLO status that matter; of its markets only the bad ones."""
    bad = sorted(_MARKET(market) for market in slo.markets if market.state is SloState.MISSED)
    return (*_SLO(slo), bad)


def _bare(status: DataProductStatus, names: Iterable[str]) -> DataProductStatus:
    """Return the status with these parts without numbers and wording."""
    parts = {name: _BARE[name](getattr(status, name)) for name in names if name in _BARE}
    return status.replace(**parts)


def _without(blank: Mapping[str, Any]) -> Callable[[StatusModel | None], StatusModel | None]:
    return lambda part: part and part.replace(**blank)


def _bare_conditions(conditions: Conditions) -> Conditions:
    return tuple(
        condition if condition.reason in _NAMED else condition.replace(**_WORDING)
        for condition in conditions
    )


def _bare_diagnosis(diagnosis: Diagnosis | None) -> Diagnosis | None:
    return diagnosis and diagnosis.replace(
        message="", diagnosis_time=0, evidence=_each_without(diagnosis.evidence, _WORDING)
    )


def _bare_candidate(candidate: Candidate | None) -> Candidate | None:
    """Return the candidate without numbers, but with its hold and the pending request."""
    if candidate is None:
        return None
    hold = candidate.hold and candidate.hold.replace(**_WORDING)
    return candidate.replace(**_NUMBERS_OF_CANDIDATE, hold=hold)


def _bare_slo(slo: SloStatus) -> SloStatus:
    """Return the SLO status without numbers, but with its bad markets."""
    bad = _each_without(
        (market for market in slo.markets if market.state is SloState.MISSED), _NUMBERS_OF_MARKET
    )
    markets = tuple(sorted(bad, key=lambda one: one.market))
    return slo.replace(**_NUMBERS_OF_SLO, markets=markets)


def _without_meaning(_: object) -> None:
    """Return None, for a part without meaning."""


def _each_without(parts: Iterable[AModel], blank: Mapping[str, Any]) -> tuple[AModel, ...]:
    return tuple(part.replace(**blank) for part in parts)


_MEANING: Final[Mapping[str, Callable[[Any], tuple[object, ...]]]] = {
    "conditions": _meaning_of_condition,
    "slos": _meaning_of_slo,
}
_BARE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "last_refresh_time": _without_meaning,
    "written_by": _without_meaning,
    "conditions": _bare_conditions,
    "slos": lambda slos: tuple(map(_bare_slo, slos)),
    "candidate": _bare_candidate,
    "traffic": _without(_NUMBERS_OF_TRAFFIC),
    "decision": _without({"message": "", "decision_time": 0}),
    "diagnosis": _bare_diagnosis,
}
"""Functions that remove numbers and wording from the parts of a status, by field."""
