"""What of a product's status transitions are derived from, small enough to be kept for thousands. Pure.

A `Cursor` is what is kept: what was sent of a product is what lies between two of them. A level (a state
that lasts) keeps its value while the status says Unknown; an event (a promotion, an attempt) is known
by its time, which only grows, so that a status that was lost and rebuilt sends nothing twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.status import Condition, DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.conditions import find_condition
from sluicegate.views.needs import (
    held_after_approval,
    request_name,
    unready,
    waiting_requests,
    waits_for_approval,
)

OWN_TYPE: Final = frozenset({ConditionReason.MODEL_REJECTED, ConditionReason.API_CHANGED})
"""Reasons of Stalled that transitions of the rollout report."""
LOSSES: Final = frozenset(
    {
        DecisionReason.PROMETHEUS_UNAVAILABLE,
        DecisionReason.PROMETHEUS_STALE,
        DecisionReason.UNREADABLE_SERIES,
        DecisionReason.LOW_COVERAGE,
        DecisionReason.NO_DATA,
        DecisionReason.INVALID_DATA,
    }
)
"""Reasons of MetricsAvailable that are faults; without traffic there is nothing to measure."""


class ReviewCursor(NamedTuple):
    """A sealed review as it was last seen."""

    state: str
    signatures: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """Times in seconds since 1970, 0 for never; words are empty for what doesn't hold.

    An alias is the name in the journal, as thousands of products share a ConfigMap.

    Attributes
    ----------
    uid : eight hex digits of the product; another product of the same name begins anew.
    stalled, unready, lost : reasons.
    candidate, weight : revision of the candidate and its share.
    approval : what the candidate waits for a person for.
    held : the check that holds a candidate whose approval is pending.
    requests : those of people that only an edit of the spec lets act, separated by spaces.
    retries : of the candidate's rollout.
    promoted : the newest promotion.
    ended : the newest end of a version in the history.
    attempt, result : number of the newest training attempt, and time of the newest result.
    count : how many transitions of the product were found; part of their ids.
    reviews : sealed reviews that aren't closed, by name.
    """

    uid: Annotated[str, Field(alias="u")] = ""
    degraded: Annotated[bool, Field(alias="d")] = False
    stalled: Annotated[str, Field(alias="s")] = ""
    unready: Annotated[str, Field(alias="i")] = ""
    lost: Annotated[str, Field(alias="l")] = ""
    upstream: Annotated[bool, Field(alias="y")] = False
    candidate: Annotated[str, Field(alias="c")] = ""
    weight: Annotated[int, Field(alias="w")] = 0
    approval: Annotated[str, Field(alias="a")] = ""
    held: Annotated[str, Field(alias="h")] = ""
    requests: Annotated[str, Field(alias="q")] = ""
    retries: Annotated[int, Field(alias="n")] = 0
    promoted: Annotated[int, Field(alias="p")] = 0
    ended: Annotated[int, Field(alias="e")] = 0
    attempt: Annotated[int, Field(alias="t")] = 0
    result: Annotated[int, Field(alias="r")] = 0
    refused: Annotated[bool, Field(alias="f")] = False
    suspended: Annotated[bool, Field(alias="x")] = False
    count: Annotated[int, Field(alias="k")] = 0
    reviews: Annotated[Mapping[str, ReviewCursor], Field(alias="v")] = field(default_factory=dict)

    @property
    def is_quiet(self) -> bool:
        """Whether no state lasts that somebody waits to see the end of."""
        return not (
            self.degraded or self.stalled or self.unready or self.lost or self.approval or self.held
            or self.requests or self.suspended or self.refused or self.reviews
        )  # fmt: skip

    def without_levels(self) -> "Cursor":
        """The same events, as if all were well: what a product is compared with at first sight."""
        return replace(
            self, degraded=False, stalled="", unready="", lost="", upstream=False, approval="",
            held="", requests="", retries=0, refused=False, suspended=False, reviews={},
        )  # fmt: skip


_JSON: Final = TypeAdapter(Cursor)


def encode(cursor: Cursor) -> str:
    """A cursor as short JSON; what is empty is left out."""
    empty = None if cursor.reviews else {"reviews"}
    return _JSON.dump_json(cursor, by_alias=True, exclude_defaults=True, exclude=empty).decode()


def decode(text: str) -> Cursor | None:
    """What `encode` wrote; None for anything else."""
    try:
        return _JSON.validate_json(text, strict=True)
    except ValidationError:
        return None


def cursor_of(
    status: DataProductStatus, reviews: Mapping[str, ReviewCursor], before: Cursor, uid: str
) -> Cursor:
    """The cursor after a status, from the one before it."""
    conditions, candidate, retraining = status.conditions, status.trial, status.retraining
    found = {ConditionType(one.type): one for one in conditions if one.type in set(ConditionType)}
    active = found.get(ConditionType.RETRAINING_ACTIVE)
    if not conditions:  # lost, or not written yet: nothing is known
        return replace(before, uid=uid, reviews=dict(reviews))
    return Cursor(
        uid=uid,
        degraded=_level(found.get(ConditionType.DEGRADED), before=before.degraded),
        stalled=_stalled(found.get(ConditionType.STALLED)),
        unready=ready.reason if (ready := unready(status)) is not None else "",
        lost=_lost(found.get(ConditionType.METRICS_AVAILABLE), before.lost),
        upstream=_upstream(found.get(ConditionType.DEPENDENCIES_HEALTHY), before=before.upstream),
        candidate=candidate.revision if candidate else "",
        weight=candidate.weight if candidate else 0,
        approval=_approval(candidate, found.get(ConditionType.ROLLOUT_PROGRESSING)),
        held=hold.check if candidate and (hold := held_after_approval(candidate)) else "",
        requests=" ".join(map(request_name, waiting_requests(status))),
        retries=candidate.retries if candidate else 0,
        promoted=max([before.promoted, *promotions(status)]),
        ended=max([before.ended, *(one.end_time for one in status.history)]),
        attempt=max(before.attempt, retraining.number if retraining else 0),
        result=max(
            before.result,
            retraining.last_result.completion_time if retraining and retraining.last_result else 0,
        ),
        refused=active is not None and active.reason == ConditionReason.JOB_REFUSED,
        suspended=retraining is not None and retraining.suspended,
        count=before.count,
        reviews=dict(reviews),
    )


def promotions(status: DataProductStatus) -> Iterable[int]:
    """Times of the promotions that the status still shows; a restored version isn't promoted."""
    known = (status.stable, *status.history)
    return (
        one.promotion_time
        for one in known
        if one is not None and one.promotion_time is not None and not one.restored
    )


def _level(condition: Condition | None, *, before: bool) -> bool:
    """Whether a condition holds; what it was while that is unknown."""
    if condition is None or condition.status == "Unknown":
        return before
    return condition.status == "True"


def _stalled(condition: Condition | None) -> str:
    if condition is None or condition.status != "True" or condition.reason in OWN_TYPE:
        return ""
    return condition.reason


def _lost(condition: Condition | None, before: str) -> str:
    if condition is None or condition.status == "Unknown":
        return before
    lost = condition.status == "False" and condition.reason in LOSSES
    return condition.reason if lost else ""


def _upstream(condition: Condition | None, *, before: bool) -> bool:
    if condition is None or condition.reason == ConditionReason.NO_DEPENDENCIES:
        return False
    return before if condition.status == "Unknown" else condition.status == "False"


def _approval(candidate: Candidate | None, rollout: Condition | None) -> str:
    return "" if candidate is None else waits_for_approval(candidate, rollout) or ""


def condition_of(status: DataProductStatus, kind: ConditionType) -> tuple[int, str, str]:
    """Since when a condition has its status, its reason and its message; empty without it."""
    found = find_condition(status.conditions, kind)
    return (found.last_transition_time, found.reason, found.message) if found else (0, "", "")
