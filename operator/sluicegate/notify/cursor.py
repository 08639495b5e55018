"""Cursors: the part of a product's status from which transitions are derived. Pure.

A `Cursor` is small, so that thousands can be stored: the transitions of a product are the
differences of two cursors. A level (a state that lasts) keeps its value while the status is
Unknown; an event (a promotion, an attempt) is identified by its time, which only grows, so that a
status that was lost and rebuilt sends nothing twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from sluicegate.api.approvals import ApprovalAnswer
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import Condition, DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.conditions import find_condition
from sluicegate.views.needs import (
    approval_wait_reason,
    missed_markets_by_slo,
    objecting_hold,
    request_name,
    unready_condition,
    waiting_requests,
)

REASONS_OF_OWN_TYPE: Final = frozenset(
    {ConditionReason.MODEL_REJECTED, ConditionReason.API_CHANGED}
)
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
STARTING_REASONS: Final = frozenset({DecisionReason.LOW_COVERAGE, DecisionReason.NO_DATA})
"""Those that a version has while it starts."""
START_SECONDS: Final = 3600
"""Seconds after its promotion for which a version without data is starting."""
LEVEL_KINDS: Final = {
    "stalled": ConditionType.STALLED,
    "unready": ConditionType.READY,
    "lost": ConditionType.METRICS_AVAILABLE,
    "secret": ConditionType.METRICS_AVAILABLE,
    "upstream": ConditionType.DEPENDENCIES_HEALTHY,
    "dependents": ConditionType.DEGRADES_DEPENDENTS,
    "markets": ConditionType.MARKETS_MET,
}
"""Levels whose end says how long they lasted, with their conditions."""
KEEPS_ITS_TIME: Final = frozenset({"lost", "secret"})
"""Those whose condition keeps its time when only its reason changes."""


class ReviewCursor(NamedTuple):
    """The last known state of a sealed review."""

    state: str
    signatures: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """Times in seconds since 1970, 0 for never; texts are empty if the state doesn't hold.

    Aliases are the short names in the journal, as thousands of products share a ConfigMap.

    Attributes
    ----------
    degraded : whether the product is degraded, or its recovery is still to be shown.
    fallen : SLOs that were missed in the degradation that holds, separated by spaces.
    since : begin of the degradation that holds; 0 without one.
    secret : whether pods report that the feedback Secret isn't usable.
    measured : whether MetricsAvailable was ever True for the stable version, or it serves for longer than a
        start takes; before that it is only starting.
    begun : time at which each level that holds began, by the name of its field.
    outage : the newest time at which a product could not be measured, or was not ready.
    uid : eight hex digits of the product; another product of the same name has another uid.
    markets : SLOs and markets that are missed, as `slo/market`, separated by spaces.
    stalled, unready, lost : reasons.
    candidate, weight : revision of the candidate and its share.
    approval : reason why the candidate waits for a person.
    held : the check that holds a candidate whose approval is pending.
    answers : answers of parties to the candidate, separated by spaces.
    paused : whether the product is suspended.
    requests : requests of people that need an edit of the spec first, separated by spaces.
    retries : of the candidate's rollout.
    promoted : the newest promotion.
    ended : the newest end of a version in the history.
    attempt, result : number of the newest training attempt, and time of the newest result.
    count : number of transitions of the product so far; part of their ids.
    late : whether actions that were agreed in reviews are late.
    reviews : sealed reviews that aren't closed, by name.
    """

    uid: Annotated[str, Field(alias="u")] = ""
    degraded: Annotated[bool, Field(alias="d")] = False
    fallen: Annotated[str, Field(alias="fa")] = ""
    since: Annotated[int, Field(alias="b")] = 0
    measured: Annotated[bool, Field(alias="g")] = False
    begun: Annotated[Mapping[str, int], Field(alias="bt")] = field(default_factory=dict)
    outage: Annotated[int, Field(alias="ou")] = 0
    secret: Annotated[bool, Field(alias="z")] = False
    markets: Annotated[str, Field(alias="m")] = ""
    stalled: Annotated[str, Field(alias="s")] = ""
    unready: Annotated[str, Field(alias="i")] = ""
    lost: Annotated[str, Field(alias="l")] = ""
    upstream: Annotated[bool, Field(alias="y")] = False
    dependents: Annotated[bool, Field(alias="o")] = False
    candidate: Annotated[str, Field(alias="c")] = ""
    weight: Annotated[int, Field(alias="w")] = 0
    approval: Annotated[str, Field(alias="a")] = ""
    held: Annotated[str, Field(alias="h")] = ""
    answers: Annotated[str, Field(alias="aa")] = ""
    paused: Annotated[bool, Field(alias="pa")] = False
    requests: Annotated[str, Field(alias="q")] = ""
    retries: Annotated[int, Field(alias="n")] = 0
    promoted: Annotated[int, Field(alias="p")] = 0
    ended: Annotated[int, Field(alias="e")] = 0
    attempt: Annotated[int, Field(alias="t")] = 0
    result: Annotated[int, Field(alias="r")] = 0
    refused: Annotated[bool, Field(alias="f")] = False
    suspended: Annotated[bool, Field(alias="x")] = False
    late: Annotated[bool, Field(alias="la")] = False
    count: Annotated[int, Field(alias="k")] = 0
    reviews: Annotated[Mapping[str, ReviewCursor], Field(alias="v")] = field(default_factory=dict)

    @property
    def is_quiet(self) -> bool:
        """Return whether the product has no open state whose end is reported."""
        return not (
            self.degraded or self.stalled or self.unready or self.lost or self.approval or self.held
            or self.dependents or self.requests or self.markets or self.secret or self.suspended or self.refused or self.late or self.reviews
        )  # fmt: skip

    def without_levels(self) -> "Cursor":
        """Return a cursor with the same events and no open state, as the start for a new product."""
        return replace(
            self, degraded=False, fallen="", since=0, markets="", secret=False, stalled="", unready="", lost="", upstream=False,
            dependents=False, approval="", held="", answers="", paused=False, requests="", retries=0, refused=False, suspended=False, late=False, reviews={},
            begun={},
        )  # fmt: skip


_JSON: Final = TypeAdapter(Cursor)


def encode_cursor(cursor: Cursor) -> str:
    """Encode a cursor as short JSON, without empty fields."""
    empty_fields = {name for name in ("reviews", "begun") if not getattr(cursor, name)}
    return _JSON.dump_json(
        cursor, by_alias=True, exclude_defaults=True, exclude=empty_fields
    ).decode()


def decode_cursor(text: str) -> Cursor | None:
    """Decode what `encode` wrote; None for any other text."""
    try:
        return _JSON.validate_json(text, strict=True)
    except ValidationError:
        return None


def cursor_of(
    status: DataProductStatus,
    reviews: Mapping[str, ReviewCursor],
    previous_cursor: Cursor,
    uid: str,
) -> Cursor:
    """Return the cursor after a status, from the previous cursor."""
    conditions, candidate, retraining = status.conditions, status.trial, status.retraining
    by_type = {
        ConditionType(condition.type): condition
        for condition in conditions
        if condition.type in set(ConditionType)
    }
    active_condition = by_type.get(ConditionType.RETRAINING_ACTIVE)
    if not conditions:  # the status was lost, or isn't written yet
        return replace(previous_cursor, uid=uid, reviews=dict(reviews))
    previous_cursor = replace(previous_cursor, measured=_has_measurements(status, previous_cursor))
    degraded_condition = by_type.get(ConditionType.DEGRADED)
    is_unproved = _is_recovery_unproved(status, degraded_condition, previous_cursor)
    is_degraded = is_unproved or _level_of(degraded_condition, was_set=previous_cursor.degraded)
    new_cursor = Cursor(
        uid=uid,
        degraded=is_degraded,
        fallen=_fallen_slos(status, previous_cursor) if is_degraded else "",
        since=previous_cursor.since
        if is_unproved
        else _since_time(degraded_condition, previous_cursor.since),
        measured=previous_cursor.measured,
        secret=_secret(by_type.get(ConditionType.METRICS_AVAILABLE)),
        markets=_missed_markets(status, previous_cursor, by_type.get(ConditionType.MARKETS_MET)),
        stalled=_stalled_reason(by_type.get(ConditionType.STALLED)),
        unready=_unready_reason(status, by_type.get(ConditionType.READY), previous_cursor.unready),
        lost=_loss_reason(by_type.get(ConditionType.METRICS_AVAILABLE), previous_cursor),
        upstream=_has_degraded_upstream(
            by_type.get(ConditionType.DEPENDENCIES_HEALTHY), was_degraded=previous_cursor.upstream
        ),
        dependents=ConditionType.DEGRADES_DEPENDENTS in by_type,
        late=ConditionType.ACTIONS_LATE in by_type,
        candidate=candidate.revision if candidate else "",
        weight=candidate.weight if candidate else 0,
        approval=_approval(candidate, by_type.get(ConditionType.ROLLOUT_PROGRESSING)),
        answers=" ".join(map(answer_mark, answers_to(candidate))),
        paused=_is_paused(by_type.get(ConditionType.ROLLOUT_PROGRESSING)),
        held=approval_hold.check
        if candidate and (approval_hold := objecting_hold(candidate))
        else "",
        requests=" ".join(map(request_name, waiting_requests(status))),
        retries=candidate.retries if candidate else 0,
        promoted=max([previous_cursor.promoted, *promotions(status)]),
        ended=max(
            [previous_cursor.ended, *(past_version.end_time for past_version in status.history)]
        ),
        attempt=max(previous_cursor.attempt, retraining.number if retraining else 0),
        result=max(
            previous_cursor.result,
            retraining.last_result.completion_time if retraining and retraining.last_result else 0,
        ),
        refused=active_condition is not None
        and active_condition.reason == ConditionReason.JOB_REFUSED,
        suspended=retraining is not None and retraining.suspended,
        count=previous_cursor.count,
        reviews=dict(reviews),
    )
    level_times = dict(_begin_times(new_cursor, previous_cursor, status))
    outage = max(previous_cursor.outage, level_times.get("lost", 0), level_times.get("unready", 0))
    return replace(new_cursor, begun=level_times, outage=outage)


def _begin_times(
    new_cursor: Cursor, previous_cursor: Cursor, status: DataProductStatus
) -> Iterable[tuple[str, int]]:
    """Yield the levels that hold, each with the time at which it began."""
    for level_condition, kind in LEVEL_KINDS.items():
        if getattr(new_cursor, level_condition):
            yield (
                level_condition,
                previous_cursor.begun.get(level_condition)
                or begin_of(status, kind, level_condition),
            )


def begin_of(status: DataProductStatus, kind: ConditionType, level_condition: str) -> int:
    """Return the time at which a lasting state of the status began, if it began now."""
    time, _, _ = condition_of(status, kind)
    return max(time, status.last_refresh_time or 0) if level_condition in KEEPS_ITS_TIME else time


def _has_measurements(status: DataProductStatus, previous_cursor: Cursor) -> bool:
    """Return whether MetricsAvailable was True for the stable version, or its start is over.

    With the write that changes the version, the condition is still that of the version before.
    """
    condition = find_condition(status.conditions, ConditionType.METRICS_AVAILABLE)
    start = _start(status)
    if start > max(previous_cursor.promoted, previous_cursor.ended) > 0:
        return False
    if condition is not None and condition.status == "True":
        return True
    return previous_cursor.measured or 0 < start < (status.last_refresh_time or 0) - START_SECONDS


def _start(status: DataProductStatus) -> int:
    """Return the time at which the stable version was promoted or restored; 0 if unknown."""
    stable = status.stable
    if stable is None:
        return 0
    end_times = [version.end_time for version in status.history] if stable.restored else []
    return max([stable.promotion_time or 0, *end_times])


def promotions(status: DataProductStatus) -> Iterable[int]:
    """Return the times of the promotions in the status; a restored version isn't promoted."""
    versions = (status.stable, *status.history)
    return (
        version.promotion_time
        for version in versions
        if version is not None and version.promotion_time is not None and not version.restored
    )


def _level_of(condition: Condition | None, *, was_set: bool) -> bool:
    """Return whether a condition holds; its earlier value while it is unknown."""
    if condition is None or condition.status == "Unknown":
        return was_set
    return condition.status == "True"


def _is_recovery_unproved(
    status: DataProductStatus, condition: Condition | None, previous_cursor: Cursor
) -> bool:
    """Return whether the end of a degradation is still to be shown: an SLO that was missed is unknown.

    After a rollback, the version that serves is measured again.
    """
    if not previous_cursor.degraded or condition is None or condition.status != "False":
        return False
    fallen = previous_cursor.fallen.split()
    return any(slo.name in fallen and slo.state is SloState.UNKNOWN for slo in status.slos)


def _fallen_slos(status: DataProductStatus, previous_cursor: Cursor) -> str:
    """Return the SLOs that are missed in a degradation, separated by spaces; those of before if none is now.

    An SLO that was missed and is unknown now remains among them.
    """
    before = previous_cursor.fallen.split()
    missed = [
        slo.name
        for slo in status.slos
        if slo.state is SloState.MISSED or (slo.state is SloState.UNKNOWN and slo.name in before)
    ]
    return " ".join(missed) or previous_cursor.fallen


def _stalled_reason(condition: Condition | None) -> str:
    if condition is None or condition.status != "True" or condition.reason in REASONS_OF_OWN_TYPE:
        return ""
    return condition.reason


def _unready_reason(
    status: DataProductStatus, condition: Condition | None, previous_cursor: str
) -> str:
    """Return the reason for which a product isn't ready; a product that is also stalled keeps it."""
    unready_reason = unready_condition(status)
    if unready_reason is not None:
        return unready_reason.reason
    has_same_reason = (
        condition is not None
        and condition.status == "False"
        and condition.reason == previous_cursor
    )
    return previous_cursor if has_same_reason else ""


def _since_time(condition: Condition | None, previous_time: int) -> int:
    """Return the begin of a degradation; the earlier one while it is unknown whether it lasts."""
    if condition is None or condition.status == "Unknown":
        return previous_time
    return condition.last_transition_time if condition.status == "True" else 0


def _secret(condition: Condition | None) -> bool:
    return condition is not None and condition.reason == ConditionReason.FEEDBACK_SECRET_UNUSABLE


def _loss_reason(condition: Condition | None, previous_cursor: Cursor) -> str:
    """Return the reason for which nothing can be measured; it lasts until MetricsAvailable is True.

    While a product starts, its series are still to come.
    """
    if condition is None or condition.status == "Unknown":
        return previous_cursor.lost
    if condition.status == "True":
        return ""
    if condition.reason not in LOSSES or (
        condition.reason in STARTING_REASONS and not previous_cursor.measured
    ):
        return previous_cursor.lost
    return condition.reason


def _has_degraded_upstream(condition: Condition | None, *, was_degraded: bool) -> bool:
    if condition is None or condition.reason == ConditionReason.NO_DEPENDENCIES:
        return False
    return was_degraded if condition.status == "Unknown" else condition.status == "False"


def answers_to(candidate: Candidate | None) -> tuple[ApprovalAnswer, ...]:
    """Return the answers of parties to a candidate; none where none are needed."""
    approvals = candidate.approvals if candidate is not None else None
    return approvals.answers if approvals is not None else ()


def answer_mark(answer: ApprovalAnswer) -> str:
    """Return a key that distinguishes an answer from other answers to the candidate."""
    return f"{answer.party}={answer.verdict}@{answer.answer_time}"


def _is_paused(rollout: Condition | None) -> bool:
    return rollout is not None and rollout.reason == ConditionReason.SUSPENDED


def _missed_markets(
    status: DataProductStatus, previous_cursor: Cursor, met_markets: Condition | None
) -> str:
    """Return the missed SLOs by market, completed by the previous ones while none is judged."""
    missed_now = {
        f"{slo}/{market}"
        for slo, missed_markets in missed_markets_by_slo(status).items()
        for market in missed_markets
    }
    if met_markets is None:
        missed_now |= set(previous_cursor.markets.split())
    return " ".join(sorted(missed_now))


def _approval(candidate: Candidate | None, rollout: Condition | None) -> str:
    return "" if candidate is None else approval_wait_reason(candidate, rollout) or ""


def condition_of(status: DataProductStatus, kind: ConditionType) -> tuple[int, str, str]:
    """Return last transition time, reason and message of a condition; empty if it is absent."""
    condition = find_condition(status.conditions, kind)
    return (
        (condition.last_transition_time, condition.reason, condition.message)
        if condition
        else (0, "", "")
    )
