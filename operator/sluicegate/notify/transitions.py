"""Transitions: the differences between the cursor of a product and its status now. Pure.

Nothing but the cursor is stored, so that a restart at any time gives the same transitions. They are
in causal order: a cause comes before its effects.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from typing import Any, Final

from sluicegate.api.approvals import AnswerVerdict, ApprovalAnswer, CandidateApprovals
from sluicegate.api.base import rfc3339
from sluicegate.api.markets import OTHER_MARKET
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason, DecisionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.review import ReviewState
from sluicegate.api.status import DataProductStatus
from sluicegate.api.verdict import CanaryVerdict
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.conditions import find_condition, is_true
from sluicegate.notify.catalogue import Kind, Urgency
from sluicegate.notify.cursor import (
    KEEPS_ITS_TIME,
    LEVEL_KINDS,
    Cursor,
    ReviewCursor,
    answer_mark,
    begin_of,
    condition_of,
)
from sluicegate.views.needs import (
    REVIEWS,
    Need,
    NeedKind,
    approval_since,
    missed_markets_text,
    needs_of_status,
    objecting_hold,
    plugin_command,
    request_name,
    request_text,
    waiting_requests,
)
from sluicegate.views.numbers import counted_events, duration

PROGRESSING_CONDITION: Final = ConditionType.ROLLOUT_PROGRESSING
LONGEST_TEXT: Final = 700
"""Characters of a message that are kept: the outbox holds hundreds; status has the whole text."""
KIND_BY_OUTCOME: Final = {
    Outcome.ROLLED_BACK: Kind.ROLLED_BACK,
    Outcome.INCONCLUSIVE: Kind.ROLLOUT_INCONCLUSIVE,
    Outcome.FAILED: Kind.ROLLBACK_FAILED,
}
"""Outcomes of a version that are sent; a version that replaced another is reported as its promotion."""
RESULTS: Final = {
    Outcome.FAILED: Kind.RETRAINING_FAILED,
    Outcome.REJECTED: Kind.RETRAINING_REJECTED,
    Outcome.IN_PROGRESS: Kind.RETRAINING_FINISHED,
}
_WAIT_TEXTS: Final[Mapping[str, str]] = {
    DecisionReason.UPSTREAM_DEGRADED: "the operator retrains nothing, and waits until the product that it"
    " calls has recovered",
    DecisionReason.UPSTREAM_DEGRADING: "the operator retrains nothing until the state of the product that it"
    " calls is confirmed, for an hour of blocks at most",
    DecisionReason.UPSTREAM_UNDECIDED: "the operator retrains nothing until more blocks show whether the cause"
    " is a release of another product",
    DecisionReason.RECOVERED: "the operator retrains nothing, as the newest answers are good",
    DecisionReason.UPSTREAM_RELEASED: "the operator retrains nothing, as the cause is a release of another"
    " product",
    DecisionReason.INPUT_STALE: "the operator retrains nothing until the input data are fresh",
    DecisionReason.INPUT_CHANGED: "the operator retrains nothing until the input data keep their contract",
}
"""What the operator does about causes that no training removes."""
_LEVEL_BY_KIND: Final = {Kind.METRICS_LOST: "lost", Kind.SECRET_UNUSABLE: "secret"}
"""Transitions at which a level begins whose condition keeps its time."""
DECISIONS: Final = {
    Kind.PROMOTED: DecisionType.PROMOTE,
    Kind.ROLLED_BACK: DecisionType.ROLLBACK,
    Kind.ROLLOUT_INCONCLUSIVE: DecisionType.INCONCLUSIVE,
    Kind.ROLLOUT_ADVANCED: DecisionType.ADVANCE,
    Kind.ROLLOUT_STARTED: DecisionType.START_ROLLOUT,
    Kind.RETRAINING_STARTED: DecisionType.RETRAIN,
}
"""Decisions whose numbers are added to a transition."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Product of a transition, with the fields for routes and receivers; `owner` is spec.owner."""

    namespace: str
    name: str
    uid: str = ""
    owner: str = ""
    priority: str = ""
    markets: tuple[str, ...] = ()
    title: str = ""

    @property
    def path(self) -> str:
        """Return `namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Transition:
    """A reportable change of one product's state.

    Attributes
    ----------
    id : 16 hex digits, the same whenever the transition is derived from the same cursor.
    time : of the transition itself, in seconds since 1970.
    decision : status.decision, if it is that of the transition.
    folded : number of transitions of the same topic that this one replaces.
    needs_person : whether the status has a need that the transition reports.
    now : what the operator does about it, where the catalogue doesn't say it.
    command : that answers the need, for a shell; empty if the need has none.
    upstream : `namespace/name` of the product whose transition it is, which `origin` depends on; empty for an
        own one.
    review : name of the review that it is about; empty for the product itself.
    """

    id: str
    kind: Kind
    origin: Origin
    time: int
    reason: str = ""
    message: str = ""
    version: str = ""
    decision: Mapping[str, Any] | None = None
    folded: int = 0
    needs_person: bool = False
    now: str = ""
    command: str = ""
    upstream: str = ""
    review: str = ""

    @property
    def urgency(self) -> Urgency:
        """Return the urgency of the transition's message."""
        return Urgency.NEEDS_PERSON if self.needs_person else self.kind.entry.urgency


def transitions_between(
    previous_cursor: Cursor, new_cursor: Cursor, status: DataProductStatus, origin: Origin
) -> tuple[Transition, ...]:
    """Return the transitions between two cursors; their texts are those of `status`."""
    comparison = _Comparison(previous_cursor, new_cursor, status, origin)
    changes = tuple(
        chain(
            comparison.measurements(),
            comparison.secret(),
            comparison.dependencies(),
            comparison.dependents(),
            comparison.health(),
            comparison.markets(),
            comparison.results(),
            comparison.attempts(),
            comparison.endings(),
            comparison.rollout(),
            comparison.blocked(),
            comparison.requests(),
            comparison.actions(),
        )
    )
    open_needs = needs_of_status(status, (origin.namespace, origin.name)) if changes else ()
    return tuple(_with_need(change, open_needs) for change in changes)


def _answer_commands(party_needs: Iterable[Need]) -> str:
    """Return a line with the command of each party whose answer is missing; empty for a single one."""
    lines = [f"\nAs {need.party}: {need.command}" for need in party_needs if need.command]
    return "".join(lines) if len(lines) > 1 else ""


def _with_need(transition: Transition, open_needs: Sequence[Need]) -> Transition:
    """Return a transition with the need for a person that it reports, and the command that fulfils it."""
    entry = transition.kind.entry
    open_need = next((open_need for open_need in open_needs if entry.reports(open_need)), None)
    if open_need is None:
        return transition
    message = transition.message or _shortened_text(open_need.message)
    if open_need.party:
        message += _answer_commands(need for need in open_needs if entry.reports(need))
    return replace(transition, needs_person=True, command=open_need.command, message=message)


def numbered_transitions(
    changes: Iterable[Transition], previous_cursor: Cursor
) -> list[Transition]:
    """Return the transitions with ids that are unique for the product."""
    return [
        replace(transition, id=_digest(f"{transition.id}|{number}"))
        for number, transition in enumerate(changes, start=previous_cursor.count + 1)
    ]


def deletion(origin: Origin, now: int) -> Transition:
    """Return the transition of a deleted product."""
    return _identified_transition(Kind.DELETED, origin, time=now)


def review_transition(
    name: str,
    previous_cursor: ReviewCursor | None,
    new_cursor: ReviewCursor,
    origin: Origin,
    *,
    time: int,
    sign_time: int = 0,
    text: str = "",
    is_signed: bool = False,
) -> Transition | None:
    """Return the transition of a sealed review; None if it has no message.

    Parameters
    ----------
    time : of its state. sign_time : of its newest signature; 0 without one.
    text : what it is about, and its signatures; empty for its name.
    is_signed : whether each role has signed, so that its end follows.
    """
    kinds: Mapping[str, Kind] = {
        ReviewState.TO_REVIEW: Kind.REVIEW_DUE,
        ReviewState.OVERDUE: Kind.REVIEW_OVERDUE,
        ReviewState.REVIEWED: Kind.REVIEW_CLOSED,
        ReviewState.SKIPPED: Kind.REVIEW_CLOSED,
    }
    if previous_cursor is None or previous_cursor.state != new_cursor.state:
        kind = kinds.get(new_cursor.state)
    elif new_cursor.signatures > previous_cursor.signatures and not is_signed:
        kind, time = Kind.REVIEW_SIGNED, sign_time or time
    else:
        return None
    if kind is None:
        return None
    identity_mark = (
        f"{name} {new_cursor.state} {new_cursor.signatures if kind is Kind.REVIEW_SIGNED else ''}"
    )
    transition = _identified_transition(
        kind,
        origin,
        time=time,
        reason=new_cursor.state,
        message=text or name,
        identity_mark=identity_mark,
    )
    return replace(
        transition, needs_person=REVIEWS.get(new_cursor.state) in kind.entry.needs, review=name,
        command=plugin_command((origin.namespace, name), "review sign"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two cursors of one product with its status; each method yields the transitions of one subject."""

    before: Cursor
    after: Cursor
    status: DataProductStatus
    origin: Origin

    def measurements(self) -> Iterator[Transition]:
        """Yield failures of Prometheus or its data, and their ends."""
        loss_before, now = self.before.lost, self.after.lost
        if now and not loss_before:
            yield self._condition(Kind.METRICS_LOST, ConditionType.METRICS_AVAILABLE)
        elif loss_before and not now:
            yield self._end_of_level(
                Kind.METRICS_RESTORED, ConditionType.METRICS_AVAILABLE, "lost",
                f"It could not be measured ({self.before.lost}){{}}",
            )  # fmt: skip

    def secret(self) -> Iterator[Transition]:
        """Yield that the feedback Secret isn't usable, or is usable again."""
        if self.before.secret != self.after.secret:
            condition_type = ConditionType.METRICS_AVAILABLE
            if self.after.secret:
                yield self._condition(Kind.SECRET_UNUSABLE, condition_type)
            else:
                yield self._end_of_level(
                    Kind.SECRET_USABLE, condition_type, "secret", "Labels were not counted{}"
                )

    def dependencies(self) -> Iterator[Transition]:
        """Yield degradations of products that this one calls, and their ends."""
        if self.before.upstream != self.after.upstream:
            condition_type = ConditionType.DEPENDENCIES_HEALTHY
            if self.after.upstream:
                yield self._condition(Kind.DEPENDENCY_DEGRADED, condition_type)
            else:
                text = "A dependency was degraded{}"
                yield self._end_of_level(
                    Kind.DEPENDENCY_RECOVERED, condition_type, "upstream", text
                )

    def dependents(self) -> Iterator[Transition]:
        """Yield that a release of the product degrades another product, and its end."""
        if self.after.dependents and not self.before.dependents:
            yield self._condition(Kind.DEPENDENT_DEGRADED, ConditionType.DEGRADES_DEPENDENTS)
        elif self.before.dependents and not self.after.dependents:
            time = self.status.last_refresh_time or 0
            yield self._transition(
                Kind.DEPENDENT_RECOVERED, time, message=self._duration_text("dependents", time, "It lasted{}"),
                identity_mark=str(self.after.promoted),
            )  # fmt: skip

    def actions(self) -> Iterator[Transition]:
        """Yield that actions that were agreed in reviews are late."""
        if self.after.late and not self.before.late:
            yield self._condition(Kind.ACTIONS_LATE, ConditionType.ACTIONS_LATE)

    def health(self) -> Iterator[Transition]:
        """Yield degradations and recoveries of the product; also that a restored version is degraded, too."""
        if self.before.degraded != self.after.degraded or self._has_restored_in_vain():
            kind = Kind.DEGRADED if self.after.degraded else Kind.RECOVERED
            yield self._condition(kind, ConditionType.DEGRADED)

    def _has_restored_in_vain(self) -> bool:
        """Return whether the version that a rollback restored during a degradation is degraded now."""
        stable = self.status.stable
        if (
            stable is None
            or not stable.restored
            or not (self.before.degraded and self.after.degraded)
        ):
            return False
        return self.before.since <= stable.promotion_time < self.after.since

    def markets(self) -> Iterator[Transition]:
        """Yield markets that miss an SLO, and that none does any more."""
        markets_before, now = set(self.before.markets.split()), set(self.after.markets.split())
        time = self.status.last_refresh_time or 0
        if now - markets_before:
            yield self._transition(
                Kind.MARKET_MISSED, time, reason=str(NeedKind.MARKET),
                message=missed_markets_text(self.status), identity_mark=self.after.markets,
            )  # fmt: skip
        elif (
            markets_before
            and not now
            and (
                met_places := [
                    market_place
                    for market_place in sorted(markets_before)
                    if self._is_met(market_place)
                ]
            )
        ):
            place_text = ", ".join(market_place.replace("/", " in ") for market_place in met_places)
            yield self._transition(
                Kind.MARKET_MET, time, identity_mark=self.before.markets,
                message=self._duration_text("markets", time, f"{place_text} was missed{{}}"),
            )  # fmt: skip

    def _is_met(self, market_place: str) -> bool:
        """Return whether an SLO that a market missed is now met, with unchanged version and SLO.

        The evidence of an SLO whose spec is edited begins again; that of another version too, which is
        then measured.
        """
        name, _, market = market_place.partition("/")
        status, slo_record = self.status, self.status.engine.slo(name)
        promotion_time = status.stable.promotion_time if status.stable is not None else 0
        begin_time = max(self.before.begun.get("markets", 0), promotion_time)
        return (
            name in {slo.name for slo in status.slos}
            and market in {*self.origin.markets, OTHER_MARKET}
            and market not in slo_record.missed_markets
            and slo_record.since <= begin_time
        )

    def results(self) -> Iterator[Transition]:
        """Yield the results of training attempts, and that no other attempt follows."""
        retraining = self.status.retraining
        last_result = retraining.last_result if retraining else None
        if last_result is not None and last_result.completion_time > self.before.result:
            kind = RESULTS.get(last_result.outcome)
            if kind is not None:
                yield self._transition(
                    kind, last_result.completion_time, reason=last_result.reason, message=last_result.message,
                    version=last_result.version, now=next_training_text(self.status, last_result.completion_time),
                )  # fmt: skip
        if self.after.suspended and not self.before.suspended:
            since_time, reason, message = condition_of(self.status, ConditionType.RETRAINING_ACTIVE)
            time = last_result.completion_time if last_result else since_time
            yield self._transition(Kind.RETRAINING_SUSPENDED, time, reason=reason, message=message)

    def attempts(self) -> Iterator[Transition]:
        """Yield trainings that begin, or can't begin."""
        retraining = self.status.retraining
        if retraining and retraining.trigger and self.after.attempt > self.before.attempt:
            retraining_trigger = retraining.trigger
            yield self._transition(
                Kind.RETRAINING_STARTED,
                retraining.start_time or retraining_trigger.trigger_time,
                reason=retraining_trigger.cause,
                message=retraining_trigger.message,
                version=retraining_trigger.version,
                identity_mark=str(self.after.attempt),
            )
        if self.after.refused and not self.before.refused:
            yield self._condition(Kind.RETRAINING_REFUSED, ConditionType.RETRAINING_ACTIVE)

    def endings(self) -> Iterator[Transition]:
        """Yield promotions and ends of versions, in the order of their times."""
        endings = [*self._promoted(), *self._ended()]
        yield from sorted(
            endings, key=lambda ending_transition: (ending_transition.time, ending_transition.id)
        )

    def _promoted(self) -> Iterator[Transition]:
        status = self.status
        for version in (status.stable, *status.history):
            if version is None or version.promotion_time is None or version.restored:
                continue
            is_first_version = self.before.promoted == 0 and version.verdict is None
            if version.promotion_time > self.before.promoted and not is_first_version:
                is_newest = version is status.stable
                yield self._with_decision(
                    Kind.PROMOTED, version.promotion_time, version=version.version, newest=is_newest,
                    verdict=version.verdict,
                )  # fmt: skip

    def _ended(self) -> Iterator[Transition]:
        for version_index, version in enumerate(self.status.history):
            kind = KIND_BY_OUTCOME.get(version.outcome)
            if kind is not None and version.end_time > self.before.ended:
                yield self._with_decision(
                    kind,
                    version.end_time,
                    version=version.version,
                    newest=version_index == 0,
                    reason=version.reason,
                    verdict=version.verdict if version.promotion_time is None else None,
                )

    def rollout(self) -> Iterator[Transition]:
        """Yield the changes of a candidate: begin, weight, wait for a person, wait for a retry."""
        candidate, before, after = self.status.trial, self.before, self.after
        if candidate is None:
            return
        is_same_candidate = before.candidate == after.candidate
        version = candidate.version
        if not is_same_candidate:
            yield self._with_decision(
                Kind.ROLLOUT_STARTED, candidate.start_time, version=version, newest=True
            )
        elif after.weight > before.weight > 0 and candidate.shares and not candidate.has_part:
            traffic_share = candidate.shares[-1]
            yield self._with_decision(
                Kind.ROLLOUT_ADVANCED, traffic_share.start_time, version=version, newest=True,
                message=f"{version} receives {after.weight} % of the traffic", identity_mark=str(after.weight),
            )  # fmt: skip
        since_time, reason, message = condition_of(self.status, ConditionType.ROLLOUT_PROGRESSING)
        # A rollout may be retried for days: its first, second, fourth, eighth … retry is sent.
        if after.retries.bit_length() > (before.retries.bit_length() if is_same_candidate else 0):
            yield self._transition(
                Kind.ROLLOUT_WAITS, since_time, reason=reason, message=message, version=version,
                identity_mark=str(after.retries),
            )  # fmt: skip
        if after.approval and not (is_same_candidate and after.approval == before.approval):
            yield self._transition(
                Kind.APPROVAL_REQUESTED,
                approval_since(candidate, find_condition(self.status.conditions, PROGRESSING_CONDITION)),
                reason=after.approval, message=self._numbers(message), version=version,
                now=(
                    f"{version} receives no traffic until a person decides"
                    if after.approval == ConditionReason.API_CHANGED and not after.weight else ""
                ),
            )  # fmt: skip

        new_marks = set(after.answers.split()) - set(
            before.answers.split() if is_same_candidate else ()
        )
        if new_marks and candidate.approvals is not None:
            new_answers = [
                approval_answer
                for approval_answer in candidate.approvals.answers
                if answer_mark(approval_answer) in new_marks
            ]
            yield self._transition(
                Kind.APPROVAL_ANSWERED, max(approval_answer.answer_time for approval_answer in new_answers), version=version,
                reason=str(new_answers[-1].verdict), message=answer_text(candidate.approvals, new_answers),
                identity_mark=after.answers,
                now=_after_answers(candidate, new_answers),
            )  # fmt: skip

        approval_hold = objecting_hold(candidate)
        if approval_hold is not None and not (is_same_candidate and after.held == before.held):
            yield self._transition(
                Kind.ROLLOUT_HELD, approval_hold.start_time, reason=approval_hold.check,
                message=f"{approval_hold.message}; {approval_hold.request} is pending until then", version=version,
            )  # fmt: skip

    def blocked(self) -> Iterator[Transition]:
        """Yield the product is stalled, or isn't ready, until a person acts; or that is over."""
        before, after = self.before, self.after
        is_ready = is_true(self.status.conditions, ConditionType.READY)
        for level_name, kinds, end_text in (
            ("stalled", (Kind.STALLED, Kind.UNSTALLED), True),
            ("unready", (Kind.UNREADY, Kind.READY), is_ready),
        ):
            level_before, now, condition_type = (
                getattr(before, level_name),
                getattr(after, level_name),
                LEVEL_KINDS[level_name],
            )
            if now and now != level_before:
                yield self._condition(kinds[0], condition_type)
            elif level_before and not now and end_text:
                time, _, message = condition_of(self.status, ConditionType.READY)
                if level_name == "stalled":  # Ready keeps its time
                    time = max(time, self.status.last_refresh_time or 0)
                word = "stalled" if level_name == "stalled" else "not ready"
                duration_text = self._duration_text(
                    level_name, time, f"It was {word} ({level_before}){{}}"
                )
                text = "; ".join(filter(None, [duration_text, message]))
                yield self._transition(kinds[1], time, message=text, identity_mark=level_before)

    def requests(self) -> Iterator[Transition]:
        """Yield requests of people that can't be carried out before the spec is edited."""
        requests_before = self.before.requests.split()
        for request in waiting_requests(self.status):
            name = request_name(request)
            if name not in requests_before:
                yield self._transition(
                    Kind.REQUEST_WAITS, request.wait_start_time, reason=request.reason,
                    message=request_text(request), identity_mark=name,
                )  # fmt: skip

    def _condition(self, kind: Kind, condition_type: ConditionType) -> Transition:
        since_time, reason, message = condition_of(self.status, condition_type)
        if kind in {Kind.DEGRADED, Kind.RETRAINING_REFUSED}:
            diagnosis = self.status.diagnosis
            message = "; ".join(filter(None, [message, diagnosis.message if diagnosis else ""]))
        now = ""
        if kind is Kind.DEGRADED:
            now = remedy_of(self.status)
            message = "; ".join(filter(None, [message, missed_markets_text(self.status)]))
        elif kind is Kind.RECOVERED:
            message = self._recovery(since_time)
        elif kind in _LEVEL_BY_KIND:  # the condition keeps its time if only its reason changes
            since_time = begin_of(self.status, condition_type, _LEVEL_BY_KIND[kind])
        return self._transition(
            kind, since_time, reason=reason, message=message, identity_mark=reason, now=now
        )

    def _end_of_level(
        self, kind: Kind, condition_type: ConditionType, level_name: str, text: str
    ) -> Transition:
        """Return the transition that ends a lasting state; `{}` in the text is replaced by the duration."""
        time, reason, _ = condition_of(self.status, condition_type)
        if level_name in KEEPS_ITS_TIME:
            time = begin_of(self.status, condition_type, level_name)
        message = self._duration_text(level_name, time, text)
        return self._transition(kind, time, reason=reason, message=message, identity_mark=reason)

    def _duration_text(self, level_name: str, end_time: int, text: str) -> str:
        """Return a sentence with the duration of an ended state; without it if its begin is unknown."""
        seconds = end_time - self.before.begun.get(level_name, end_time)
        return text.format(f" for {duration(seconds)}" if seconds > 0 else "")

    def _recovery(self, now: int) -> str:
        """Return how long a degradation lasted, and the service levels now."""
        lasted_seconds = now - self.before.since if self.before.since else 0
        text_parts = (
            [f"It was degraded for {duration(lasted_seconds)}"] if lasted_seconds > 0 else []
        )
        return "; ".join([*text_parts, *(slo.message for slo in self.status.slos if slo.message)])

    def _with_decision(
        self, kind: Kind, time: int, *, version: str, newest: bool, reason: str = "",
        message: str = "", identity_mark: str = "", verdict: CanaryVerdict | None = None,
    ) -> Transition:  # fmt: skip
        """Return a transition with the numbers of its decision: the last one of status, or the version's."""
        decision = self.status.decision
        if not newest or decision is None or decision.type != DECISIONS.get(kind):
            decision = None
        decision_text = decision.message if decision else verdict.message if verdict else ""
        rollout_cost = cost_of(verdict) if kind is not Kind.PROMOTED and verdict is not None else ""
        text = ". ".join(filter(None, [message, decision_text, rollout_cost]))
        return self._transition(
            kind, time, reason=reason or (decision.reason if decision else ""), message=text,
            version=version, identity_mark=identity_mark, decision=decision and decision.to_dict(),
        )  # fmt: skip

    def _numbers(self, message: str) -> str:
        """Return the message with the last decision's numbers, unless the condition has the numbers to approve."""
        decision = self.status.decision
        if self.after.approval == ConditionReason.API_CHANGED or decision is None:
            return message
        return decision.message or message

    def _transition(self, kind: Kind, time: int, **more_fields: Any) -> Transition:
        return _identified_transition(kind, self.origin, time=time, **more_fields)


def remedy_of(status: DataProductStatus) -> str:
    """Return the present remedy of a degradation, as a sentence."""
    retraining, trial_version = status.retraining, status.trial
    if trial_version is not None and not trial_version.is_parked:
        if trial_version.phase is CandidatePhase.ROLLING_BACK:
            return f"{trial_version.version} is rolled back"
        return f"{trial_version.version} is in a rollout at {trial_version.weight} % of the traffic"
    if retraining is not None and retraining.trigger is not None:
        retraining_trigger = retraining.trigger
        unless = ", unless its training first scores it as accepted"
        condition_text = "" if retraining_trigger.accepted_share is None else unless
        return f"{retraining_trigger.version} is retrained{condition_text} (attempt {retraining.attempt})"
    if retraining is not None and retraining.pending is not None:
        return f"a training waits ({retraining.waiting_for})"
    cause = status.diagnosis.cause if status.diagnosis is not None else ""
    return _WAIT_TEXTS.get(cause, "no remedy is under way")


def _after_answers(candidate: Candidate, new_answers: Iterable[ApprovalAnswer]) -> str:
    """Return the consequence of the answers; empty while answers are missing."""
    if candidate.phase is CandidatePhase.ROLLING_BACK:
        return f"{candidate.version} is rolled back: all traffic goes to the stable version"
    if any(answer.verdict is AnswerVerdict.REFUSE and not answer.problem for answer in new_answers):
        return f"{candidate.version} isn't rolled back: the agreement of one consumer suffices"
    if candidate.approvals is not None and not candidate.approvals.waiting_for:
        return "each party has answered"
    return ""


def answer_text(approvals: CandidateApprovals, approval_answers: Iterable[ApprovalAnswer]) -> str:
    """Return who answered on what evidence, and which parties are awaited, in sentences."""
    text_parts = []
    for approval_answer in approval_answers:
        reason = f" ({approval_answer.reason})" if approval_answer.reason else ""
        problem = (
            f", which doesn't count: {approval_answer.problem}" if approval_answer.problem else ""
        )
        answer_words = (
            f"{approval_answer.verdict} of {approval_answer.user} as {approval_answer.party}"
        )
        text_parts.append(f"{answer_words}{reason}, {approval_answer.evidence}{problem}")
    if approvals.waiting_for:
        more_waiting = f" and {approvals.more_waiting} more" if approvals.more_waiting else ""
        text_parts.append(f"Waits for {', '.join(approvals.waiting_for)}{more_waiting}")
    return ". ".join(text_parts)


def next_training_text(status: DataProductStatus, now: int) -> str:
    """Return the latest end of the pause after an ended attempt, or when its Job follows; empty without one.

    Parameters
    ----------
    now : end of the attempt, in seconds since 1970.
    """
    retraining = status.retraining
    if retraining is None or retraining.trigger is not None:
        return ""
    keeps_serving = "the stable version keeps serving"
    if retraining.suspended:
        return f"{keeps_serving}, and no training starts by itself"
    if retraining.retry_time is not None and retraining.retry_time > now:
        return f"{keeps_serving}, and the next Job is created at {rfc3339(retraining.retry_time)}"
    pause_end = retraining.next_allowed_time
    if pause_end is not None and pause_end > now:
        return (
            f"{keeps_serving}, and the pause before the next training ends by {rfc3339(pause_end)}"
        )
    return ""


def cost_of(verdict: CanaryVerdict) -> str:
    """Return which share of the traffic a rejected version had, and for how long; empty without any."""
    if not verdict.weight:
        return ""
    largest_total = max(
        (slo.candidate.total for slo in verdict.slos if not slo.hold_out), default=0
    )
    counted = "was" if largest_total == 1 else "were"
    requests = f"; {counted_events(largest_total)} of it {counted} counted" if largest_total else ""
    return f"It had up to {verdict.weight} % of the traffic, for {duration(verdict.traffic_seconds)}{requests}"


def _identified_transition(
    kind: Kind, origin: Origin, *, time: int, reason: str = "", message: str = "",
    version: str = "", identity_mark: str = "", decision: Mapping[str, Any] | None = None, now: str = "",
) -> Transition:  # fmt: skip
    """Return a transition whose id depends on its content, not on the time of its detection."""
    content = "|".join([origin.uid or origin.path, kind, str(time), version, identity_mark])
    return Transition(
        id=_digest(content),
        kind=kind,
        origin=origin,
        time=time,
        reason=reason,
        message=_shortened_text(message),
        version=version,
        decision=decision,
        now=now,
    )


def _shortened_text(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
