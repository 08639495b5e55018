"""Updates of conditions, and the decision which changes of status are written.

The functions are pure: the time is an argument. A condition's lastTransitionTime changes only with
its status. Reconciling and Stalled exist only while True, because kstatus (and so Flux, Helm and
`kubectl wait`) reads their presence; ReviewDue, OperatorOverlap, DegradesDependents and
EvidenceOneSided, which few products have, likewise. MarketsMet exists only on products that count by market. All others
always exist.
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
        ConditionType.DEGRADES_DEPENDENTS,
        ConditionType.EVIDENCE_ONE_SIDED,
        ConditionType.REVIEW_DUE,
    }
)
"""Conditions that exist only while True."""
KNOWN: Final = frozenset({ConditionType.MARKETS_MET})
"""Conditions that exist only while True or False: not on products that they aren't about."""

_ORDER: Final = {str(kind): place for place, kind in enumerate(ConditionType)}


@dataclass(frozen=True, slots=True)
class Finding:
    """Value of one condition; `reason` is a member of ConditionReason or DecisionReason."""

    type: ConditionType
    status: Truth
    reason: str
    message: str = ""


def find_condition(conditions: Conditions, kind: ConditionType) -> Condition | None:
    """Return the condition of this type; None if there is none."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Conditions, kind: ConditionType) -> bool:
    """Return whether this condition exists and is True."""
    condition = find_condition(conditions, kind)
    return condition is not None and condition.status == "True"


def _condition(
    before: Condition | None, finding: Finding, *, generation: int, now: int
) -> Condition | None:
    """Return the condition for a finding, `before` itself if it is equal; None to remove it."""
    if finding.type in ABNORMAL and finding.status != "True":
        return None
    if finding.type in KNOWN and finding.status == "Unknown":
        return None
    reason, message = str(finding.reason), finding.message[:4096]
    since = now
    if before is not None and before.status == finding.status:
        since = before.last_transition_time
        current = (before.reason, before.message, before.observed_generation)
        if current == (reason, message, generation):
            return before  # most conditions don't change in a pass
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
    """Return all conditions after one reconcile.

    A condition without a finding keeps its status, or is Unknown if it is new; an abnormal one
    without a finding is removed; conditions of other writers are unchanged.
    """
    by_type = {finding.type: finding for finding in findings}
    conditions = {condition.type: condition for condition in before}
    for kind in ConditionType:
        condition_before = conditions.pop(kind, None)
        finding = by_type.get(kind) or _unfound(condition_before, kind)
        if (
            after := _condition(condition_before, finding, generation=generation, now=now)
        ) is not None:
            conditions[kind] = after
    return _sorted(conditions.values())


def _unfound(condition: Condition | None, kind: ConditionType) -> Finding:
    if condition is None or kind in ABNORMAL:
        return Finding(kind, "Unknown", ConditionReason.NOT_YET_OBSERVED)
    return Finding(kind, condition.status, condition.reason, condition.message)


def _sorted(conditions: Iterable[Condition]) -> Conditions:
    return tuple(sorted(conditions, key=lambda item: (_ORDER.get(item.type, 99), item.type)))


# ---- what is worth a write ---------------------------------------------------------------
def _values(kind: type[StatusModel], *, but: Collection[str]) -> Callable[[StatusModel], Any]:
    """Return a function that reads all fields of a model but some, as a tuple."""
    return attrgetter(*(name for name in kind.model_fields if name not in but))


_WORDING: Final = {"message": ""}
_NAMED: Final = frozenset(
    {
        ConditionReason.APPLY_REFUSED,
        ConditionReason.NAME_CONFLICT,
        ConditionReason.EVIDENCE_NOT_COUNTED,
    }
)
"""Reasons whose message contains no numbers: another message is another cause."""
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
    """Return whether all items of two lists have the same meaning, compared without copies."""
    before, after, meaning = getattr(first, name), getattr(second, name), _MEANING[name]
    return len(before) == len(after) and all(
        part_before is now or meaning(part_before) == meaning(now)
        for part_before, now in zip(before, after, strict=True)
    )


def _meaning_of_condition(condition: Condition) -> tuple[object, ...]:
    worded = condition.message if condition.reason in _NAMED else ""
    return (*_CONDITION(condition), worded)


def _meaning_of_slo(slo: SloStatus) -> tuple[object, ...]:
    """Return the parts of an SLO that matter: of its markets only which are bad."""
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
    """Return the candidate without numbers; the check that holds it, and the waiting request, remain."""
    if candidate is None:
        return None
    hold = candidate.hold and candidate.hold.replace(**_WORDING)
    return candidate.replace(**_NUMBERS_OF_CANDIDATE, hold=hold)


def _bare_slo(slo: SloStatus) -> SloStatus:
    """Return the SLO without numbers; its bad markets remain."""
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
