"""The algebra of conditions, and which difference between two statuses is worth a write.

Pure: the moment is an argument. A condition's lastTransitionTime moves only when its status
flips; Reconciling and Stalled are there only while True, because kstatus (and so Flux, Helm and
`kubectl wait`) reads their mere presence, and so are ReviewDue and OperatorOverlap, which few products ever have;
all others are always there.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal, TypeVar

from sluicegate.api.base import StatusModel
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.api.status import Condition, DataProductStatus, Diagnosis
from sluicegate.api.versions import Candidate

Conditions = tuple[Condition, ...]
Truth = Literal["True", "False", "Unknown"]
AModel = TypeVar("AModel", bound=StatusModel)

ABNORMAL: Final = frozenset(
    {
        ConditionType.RECONCILING,
        ConditionType.STALLED,
        ConditionType.OPERATOR_OVERLAP,
        ConditionType.REVIEW_DUE,
    }
)
"""There only while True."""

_ORDER: Final = {str(kind): place for place, kind in enumerate(ConditionType)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one condition now; `reason` is a member of ConditionReason or DecisionReason."""

    type: ConditionType
    status: Truth
    reason: str
    message: str = ""


def find_condition(conditions: Conditions, kind: ConditionType) -> Condition | None:
    """The condition of this type; None when it isn't there."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Conditions, kind: ConditionType) -> bool:
    """Whether this condition is there and True."""
    condition = find_condition(conditions, kind)
    return condition is not None and condition.status == "True"


def _condition(
    before: Condition | None, finding: Finding, *, generation: int, now: int
) -> Condition | None:
    """What is found as a condition, `before` itself where that says it; None for one to remove."""
    if finding.type in ABNORMAL and finding.status != "True":
        return None
    reason, message = str(finding.reason), finding.message[:4096]
    since = now
    if before is not None and before.status == finding.status:
        since = before.last_transition_time
        known = (before.reason, before.message, before.observed_generation)
        if known == (reason, message, generation):
            return before  # most say in each look what they said before
    return Condition(
        type=str(finding.type),
        status=finding.status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )


def report_conditions(
    before: Conditions, findings: Iterable[Finding], *, generation: int, now: int
) -> Conditions:
    """All known conditions after one reconcile.

    What nothing was found about keeps its status; what was never observed is Unknown; an
    abnormal one that isn't confirmed is removed; conditions of other writers stay as they are.
    """
    found = {finding.type: finding for finding in findings}
    known = {condition.type: condition for condition in before}
    for kind in ConditionType:
        was = known.pop(kind, None)
        finding = found.get(kind) or _unfound(was, kind)
        if (after := _condition(was, finding, generation=generation, now=now)) is not None:
            known[kind] = after
    return _sorted(known.values())


def _unfound(condition: Condition | None, kind: ConditionType) -> Finding:
    if condition is None or kind in ABNORMAL:
        return Finding(kind, "Unknown", ConditionReason.NOT_YET_OBSERVED)
    return Finding(kind, condition.status, condition.reason, condition.message)


def _sorted(conditions: Iterable[Condition]) -> Conditions:
    return tuple(sorted(conditions, key=lambda item: (_ORDER.get(item.type, 99), item.type)))


# ---- what is worth a write ---------------------------------------------------------------
def _values(kind: type[StatusModel], *, but: Collection[str]) -> Callable[[StatusModel], Any]:
    """How to read the values of all fields of a model but some, as a tuple."""
    return attrgetter(*(name for name in kind.model_fields if name not in but))


_WORDING: Final = {"message": ""}
_NAMED: Final = frozenset({ConditionReason.APPLY_REFUSED, ConditionReason.NAME_CONFLICT})
"""Reasons whose message holds no numbers: another one is another cause."""
_SPOKEN_OF: Final = frozenset(
    {
        ConditionType.READY,
        ConditionType.RECONCILING,
        ConditionType.STALLED,
        ConditionType.ROLLOUT_PROGRESSING,
    }
)
"""Conditions to whose message the words of pods are added, once they are known."""
_NUMBERS_OF_SLO: Final = {
    "message": "", "ratio": None, "bad": None, "total": None, "objective": None,
    "budget_remaining": None, "baseline_ratio": None, "drop": None, "interval": (),
}  # fmt: skip
_NUMBERS_OF_MARKET: Final = {"ratio": None, "total": 0}
_CONDITION: Final = _values(Condition, but=_WORDING)
_SLO: Final = _values(SloStatus, but={*_NUMBERS_OF_SLO, "markets"})
_MARKET: Final = _values(MarketStatus, but=_NUMBERS_OF_MARKET)
_NUMBERS_OF_CANDIDATE: Final = {"evidence": (), "expected_seconds": None}
_NUMBERS_OF_TRAFFIC: Final = {"observed_share": None, "requests": None}


def same_meaning(one: DataProductStatus, other: DataProductStatus) -> bool:
    """Whether two statuses differ in numbers and wording only.

    Numbers are those of SLOs, evidence and traffic; wording is that of conditions, decision and
    diagnosis, whose messages hold numbers. States, reasons, memory and times of transitions
    all count, and so does it if a message goes on where the one before ended.
    """
    if any(_says_more(condition, other.conditions) for condition in one.conditions):
        return False
    moved = {name for name in type(one).model_fields if getattr(one, name) != getattr(other, name)}
    moved -= {name for name in moved & _MEANING.keys() if _mean_the_same(name, one, other)}
    first, second = _bare(one, moved), _bare(other, moved)
    differ = {name for name in moved if getattr(first, name) != getattr(second, name)}
    # What differs may still be written alike: a field that is empty, and one that is left out.
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
    """The status to report: `after`, or `before` when only numbers moved and aren't due yet.

    Parameters
    ----------
    refresh_seconds : how old the reported numbers may get; 0 lets them wait for the next
        decision or change of state.
    same : what `same_meaning` says of the two, where it was asked already.
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


def _mean_the_same(name: str, one: DataProductStatus, other: DataProductStatus) -> bool:
    """Whether each item of a list means what it meant: compared without a copy of any."""
    before, after, meaning = getattr(one, name), getattr(other, name), _MEANING[name]
    return len(before) == len(after) and all(
        was is now or meaning(was) == meaning(now) for was, now in zip(before, after, strict=True)
    )


def _meaning_of_condition(condition: Condition) -> tuple[object, ...]:
    worded = condition.message if condition.reason in _NAMED else ""
    return (*_CONDITION(condition), worded)


def _meaning_of_slo(slo: SloStatus) -> tuple[object, ...]:
    """Which markets are bad is news; which others come next to them isn't."""
    bad = sorted(_MARKET(one) for one in slo.markets if one.state is SloState.MISSED)
    return (*_SLO(slo), bad)


def _bare(status: DataProductStatus, names: Iterable[str]) -> DataProductStatus:
    """The status with these parts without numbers and wording."""
    parts = {name: _BARE[name](getattr(status, name)) for name in names if name in _BARE}
    return status.replace(**parts)


def _without(blank: Mapping[str, Any]) -> Callable[[StatusModel | None], StatusModel | None]:
    return lambda part: part and part.replace(**blank)


def _bare_conditions(conditions: Conditions) -> Conditions:
    return tuple(one if one.reason in _NAMED else one.replace(**_WORDING) for one in conditions)


def _bare_diagnosis(told: Diagnosis | None) -> Diagnosis | None:
    return told and told.replace(
        message="", diagnosis_time=0, evidence=_each(told.evidence, _WORDING)
    )


def _bare_candidate(candidate: Candidate | None) -> Candidate | None:
    """Which check holds it, and which request waits for it, is news; the numbers aren't."""
    if candidate is None:
        return None
    hold = candidate.hold and candidate.hold.replace(**_WORDING)
    return candidate.replace(**_NUMBERS_OF_CANDIDATE, hold=hold)


def _bare_slo(slo: SloStatus) -> SloStatus:
    """Which markets are bad is news; which others come next to them isn't."""
    bad = _each((one for one in slo.markets if one.state is SloState.MISSED), _NUMBERS_OF_MARKET)
    markets = tuple(sorted(bad, key=lambda one: one.market))
    return slo.replace(**_NUMBERS_OF_SLO, markets=markets)


def _nothing(_: object) -> None:
    """Of a part that means nothing."""


def _each(parts: Iterable[AModel], blank: Mapping[str, Any]) -> tuple[AModel, ...]:
    return tuple(part.replace(**blank) for part in parts)


_MEANING: Final[Mapping[str, Callable[[Any], tuple[object, ...]]]] = {
    "conditions": _meaning_of_condition,
    "slos": _meaning_of_slo,
}
_BARE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "last_refresh_time": _nothing,
    "written_by": _nothing,
    "conditions": _bare_conditions,
    "slos": lambda slos: tuple(map(_bare_slo, slos)),
    "candidate": _bare_candidate,
    "traffic": _without(_NUMBERS_OF_TRAFFIC),
    "decision": _without({"message": "", "decision_time": 0}),
    "diagnosis": _bare_diagnosis,
}
"""What is left of the parts of a status without numbers and wording, by field."""
