"""Updates of conditions.

The functions are pure: the time is an argument. A condition's lastTransitionTime changes only with
its status. Reconciling and Stalled exist only while True, because kstatus (and so Flux, Helm and
`kubectl wait`) reads their presence; ReviewDue, ActionsLate, OperatorOverlap, DegradesDependents,
EvidenceOneSided and PreviewRefused, which few products have, likewise. MarketsMet exists only on products that count by market. All others
always exist.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.status import Condition

Conditions = tuple[Condition, ...]
Truth = Literal["True", "False", "Unknown"]

ABNORMAL: Final = frozenset(
    {
        ConditionType.RECONCILING,
        ConditionType.STALLED,
        ConditionType.OPERATOR_OVERLAP,
        ConditionType.DEGRADES_DEPENDENTS,
        ConditionType.EVIDENCE_ONE_SIDED,
        ConditionType.PREVIEW_REFUSED,
        ConditionType.REVIEW_DUE,
        ConditionType.ACTIONS_LATE,
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
