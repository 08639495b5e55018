"""Who must agree before a candidate is promoted, who has, and what silence means.

The state follows from the spec, the status and the annotations in every pass; status keeps when an answer
was first read, and what was shown then. An answer names the version and the rollout of the candidate, so it
counts for no other one. The answer of a person counts for one party. Only what status and sentences list is
bounded, never which parties count.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sluicegate.api.approvals import (
    ALL_CONSUMERS,
    ANY_CONSUMER,
    LONGEST_ANSWER_EVIDENCE,
    LONGEST_ANSWER_REASON,
    LONGEST_ANSWER_USER,
    LONGEST_REASON_IN_DECISION,
    MAX_ANSWERS,
    MAX_REASONS,
    AnswerVerdict,
    ApprovalAnswer,
    Approvals,
    CandidateApprovals,
    SilenceMeaning,
)
from sluicegate.api.base import rfc3339
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.policy.model.decision import Alert, Rollback
from sluicegate.policy.model.observed import Observed, PartyAnswer
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.rollbacks import roll_back_candidate
from sluicegate.views.approval_texts import (
    MAX_NAMED_PARTIES,
    absent_consumer_text,
    held_silence_text,
    parties_text,
    silence_text,
)
from sluicegate.views.numbers import duration, events


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """The approvals of a candidate at a point in time.

    Attributes
    ----------
    answers : to this rollout, also those that don't count. waiting : parties whose answer is missing.
    refusals : answers that end the rollout. silent : parties whose silence counts as agreement.
    overdue : silence counts as a refusal now.
    since : since when the candidate has passed and waits, in seconds; None before that.
    until : from when on silence counts, in seconds; None where it never does, or nothing waits yet.
    meaning : what silence counts as. choice : with consumers `Any`, how many may agree; 0 otherwise.
    silence_seconds : from the begin of the wait until silence counts; 0 where it never does.
    held : silence counts now, and spec.suspend holds what follows. absent : parties that don't exist.
    degraded : consumers that the candidate degrades by its release.
    """

    answers: tuple[ApprovalAnswer, ...]
    waiting: tuple[str, ...]
    refusals: tuple[ApprovalAnswer, ...] = ()
    silent: tuple[str, ...] = ()
    overdue: bool = False
    since: int | None = None
    until: int | None = None
    meaning: SilenceMeaning | None = None
    choice: int = 0
    silence_seconds: int = 0
    held: bool = False
    absent: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()

    @property
    def agreed(self) -> bool:
        """Return whether each party has agreed, or its silence counts as agreement."""
        return not (self.waiting or self.refusals)

    @property
    def requested(self) -> bool:
        """Return whether persons, not silence, have agreed, so that spec.suspend doesn't hold their request."""
        return self.agreed and not self.silent

    @property
    def agreement(self) -> str:
        """Return a clause with the parties that agreed and their reasons, also by silence; empty without any."""
        parts = [f"agreed: {', '.join(self._agreeing)}"] if self._agreeing else []
        # The persons come first, as a ledger and an event keep a bounded text.
        agreements = [answer for answer in self.answers if _counts(answer, AnswerVerdict.AGREE)]
        parts += [
            f"{answer.user}: {_shortened(answer.reason)}"
            for answer in agreements[:MAX_REASONS]
            if answer.reason
        ]
        if self.silent:
            parts.append(f"silence counts as agreement of {parties_text(self.silent)}")
        return "; ".join(parts)

    @property
    def wait(self) -> str:
        """Return the awaited parties, those that agreed, invalid answers, and the meaning of silence."""
        parts = [f"waits for the agreement of {self._missing}"]
        parts += [f"its release degrades {parties_text(self.degraded)}"] if self.degraded else []
        parts += [absent_consumer_text(party) for party in self.absent[:MAX_NAMED_PARTIES]]
        if self.held and self.until is not None and self.meaning is not None:
            time, parties = rfc3339(self.until), parties_text(self.waiting)
            parts.append(held_silence_text(time, meaning=self.meaning, parties=parties))
        parts += [f"agreed: {parties_text(self._agreeing)}"] if self._agreeing else []
        parts += [answer.problem for answer in self.answers if answer.problem]
        if not self.held and self.until is not None and self.meaning is not None:
            parts.append(silence_text(rfc3339(self.until), meaning=self.meaning))
        if self.since is None and self.meaning is not None and self.silence_seconds:
            wait_text = duration(self.silence_seconds)
            parts.append(f"silence counts as {self.meaning.lower()} {wait_text} after that")
        return "; ".join(parts)

    @property
    def _missing(self) -> str:
        own_parties = self.waiting[: len(self.waiting) - self.choice]
        consumers = self.waiting[len(own_parties) :]
        any_of = f"one of {parties_text(consumers)}" if len(consumers) > 1 else ", ".join(consumers)
        return " and ".join(filter(None, [parties_text(own_parties), any_of]))

    @property
    def _agreeing(self) -> tuple[str, ...]:
        return tuple(
            _person(answer) for answer in self.answers if _counts(answer, AnswerVerdict.AGREE)
        )


def rollout_id(candidate: Candidate) -> str:
    """Return the id of a candidate's rollout; it changes with the runtime image and for each new rollout."""
    return f"{candidate.revision}-{candidate.start_time}"


def approval_state(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> ApprovalState | None:
    """Return the approvals of the candidate under trial; None without a candidate or required approvals.

    `now` is in seconds.
    """
    candidate, approvals = status.trial, terms.approvals
    if candidate is None or candidate.is_parked or status.stable is None or approvals is None:
        return None
    parties = _Parties.of(terms, approvals, observed)
    degraded = tuple(
        consumer.consumer
        for consumer in observed.facts.degraded_consumers
        if consumer.version == candidate.version
    )
    evidence = evidence_of(candidate, degraded)
    recorded = _recorded(candidate, observed.answers, parties.all, evidence=evidence, now=now)
    answers = tuple(_judged(recorded, _represented(candidate, recorded)))
    agreed_parties = {answer.party for answer in answers if _counts(answer, AnswerVerdict.AGREE)}
    refused = tuple(answer for answer in answers if _counts(answer, AnswerVerdict.REFUSE))
    missing, refusals = parties.missing(agreed_parties, refused)
    since, silence = _since(candidate), approvals.silence
    until = None if since is None or silence is None else since + silence.after_seconds
    state = ApprovalState(
        answers,
        missing,
        refusals,
        since=since,
        until=until if missing else None,
        meaning=silence.counts_as if silence is not None else None,
        silence_seconds=silence.after_seconds if silence is not None else 0,
        choice=len(frozenset(parties.choice) & frozenset(missing)),
        absent=tuple(party for party in missing if party in observed.absent_consumers),
        degraded=degraded,
    )
    if until is None or silence is None or now < until or not missing:
        return state
    if terms.suspend:
        return replace(state, held=True)
    if silence.counts_as is SilenceMeaning.REFUSAL:
        return replace(state, overdue=True)
    return replace(state, waiting=(), silent=missing, choice=0, until=None)


def with_approvals(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> DataProductStatus:
    """Return the status with the approvals of its candidate; unchanged while a decision is carried out.

    A candidate that needs none has no such field. `now` is in seconds.
    """
    candidate = status.candidate
    if candidate is None or status.carried_out:
        return status
    if terms.approvals is not None and candidate.phase is CandidatePhase.AWAITING_APPROVAL:
        approvals = candidate.approvals or CandidateApprovals(id=rollout_id(candidate))
        if approvals.wait_start_time is None:
            status = status.with_candidate(approvals=approvals.replace(wait_start_time=now))
    state = approval_state(terms, status, observed, now)
    waiting = None if state is None else _shown(candidate, state)
    return status if waiting == candidate.approvals else status.with_candidate(approvals=waiting)


def objection(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Rollback | None:
    """Return the rollback of a candidate that a party refuses, or that a party's silence ends.

    `now` is in seconds. While spec.suspend is set, the answer of a person acts, and silence doesn't.
    """
    state = approval_state(terms, status, observed, now)
    if state is None or status.stable is None or status.trial is None:
        return None
    name, return_text = status.trial.version, f"all traffic returns to {status.stable.version}"
    if state.refusals:
        words = "; ".join(_with_reason(refusal) for refusal in state.refusals)
        text = f"{name} is refused by {words}; {return_text}"
        return roll_back_candidate(status, Reason.APPROVAL_REFUSED, text)
    if not state.overdue or state.since is None:
        return None
    text = f"{name} {state.wait}; nothing was answered for {duration(now - state.since)}; {return_text}"
    return roll_back_candidate(status, Reason.APPROVAL_MISSING, text)


def withdrawal(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Alert | None:
    """Return the alert about recorded answers that were removed; an answer that replaces another is none.

    `now` is in seconds. The object doesn't have who removes an annotation.
    """
    state, candidate = approval_state(terms, status, observed, now), status.trial
    if state is None or candidate is None or candidate.approvals is None:
        return None
    answering_parties = {answer.party for answer in state.answers}
    removed_answers = [
        answer
        for answer in candidate.approvals.answers
        if not answer.problem
        and answer.party in set(state.waiting) - answering_parties - set(state.absent)
    ]
    if not removed_answers or candidate.approvals.id != rollout_id(candidate):
        return None
    words = ", ".join(
        f"{answer.verdict} of {_person(answer)}, read at {rfc3339(answer.answer_time)}"
        for answer in removed_answers
    )
    text = (
        f"an answer to {candidate.version} was removed and counts no longer: {words}; the audit log of the"
        f" API server has who removed it; {candidate.version} {state.wait}"
    )
    return Alert(reason=Reason.ANSWER_REMOVED, message=text)


# ---- parties ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Parties:
    """The required parties: all of `required`, and any of `choice`."""

    required: tuple[str, ...]
    choice: tuple[str, ...]

    @classmethod
    def of(cls, terms: Terms, approvals: Approvals, observed: Observed) -> "_Parties":
        """Return the parties of a spec."""
        match approvals.consumers:
            case ("Any",):
                return cls(approvals.roles, observed.consumers)
            case ("All",):
                return cls((*approvals.roles, *observed.consumers), ())
            case names:
                return cls((*approvals.roles, *consumers_named(terms.namespace, names)), ())

    @property
    def all(self) -> tuple[str, ...]:
        """Return all parties."""
        return (*self.required, *self.choice)

    def missing(
        self, agreed_parties: set[str], refused: tuple[ApprovalAnswer, ...]
    ) -> tuple[tuple[str, ...], tuple[ApprovalAnswer, ...]]:
        """Return the parties without an answer, and the refusals that end the rollout."""
        refusing_parties = {answer.party for answer in refused}
        answering_parties = agreed_parties | refusing_parties
        required = tuple(party for party in self.required if party not in answering_parties)
        refusals = tuple(answer for answer in refused if answer.party in self.required)
        if not self.choice or agreed_parties & set(self.choice):
            return required, refusals
        open_choice = tuple(party for party in self.choice if party not in refusing_parties)
        return (*required, *open_choice), refusals if open_choice else refused


def consumers_named(namespace: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return `namespace/name` of the products that approvals.consumers names; none of Any and All."""
    return tuple(
        name if "/" in name else f"{namespace}/{name}"
        for name in names
        if name not in {ANY_CONSUMER, ALL_CONSUMERS}
    )


# ---- answers ----------------------------------------------------------------------------------
def _recorded(
    candidate: Candidate,
    party_answers: Iterable[PartyAnswer],
    parties: tuple[str, ...],
    *,
    evidence: str,
    now: int,
) -> list[ApprovalAnswer]:
    """Return the parties' answers to this rollout: those recorded in status, then new ones."""
    answers_before = candidate.approvals.answers if candidate.approvals is not None else ()
    known_by_content = {_content(answer): answer for answer in answers_before}
    order = (*(answer.party for answer in answers_before), *parties)
    rank_by_party = {party: -number for number, party in enumerate(reversed(order))}
    answers = []
    for answer in party_answers:
        note = answer.note
        names_this_rollout = (note.version, note.rollout) == (
            candidate.version,
            rollout_id(candidate),
        )
        if answer.party not in rank_by_party or not names_this_rollout:
            continue
        new_answer = ApprovalAnswer(
            party=answer.party,
            verdict=AnswerVerdict(note.verdict),
            user=note.user[:LONGEST_ANSWER_USER],
            reason=note.reason[:LONGEST_ANSWER_REASON],
            answer_time=now,
            evidence=evidence,
        )
        answers.append(known_by_content.get(_content(new_answer), new_answer))
    return sorted(answers, key=lambda answer: (answer.answer_time, rank_by_party[answer.party]))


def _content(answer: ApprovalAnswer) -> tuple[str, str, str, str]:
    return answer.party, answer.verdict, answer.user, answer.reason


def _represented(candidate: Candidate, answers: Iterable[ApprovalAnswer]) -> dict[str, str]:
    """Return the party of each person by user name: the recorded one, else the first.

    An edit of an answer, e.g. of its reason, doesn't move its person to another party.
    """
    answers_before = candidate.approvals.answers if candidate.approvals is not None else ()
    known_pairs = {(answer.user, answer.party) for answer in answers}
    kept_answers = [
        answer
        for answer in answers_before
        if not answer.problem and (answer.user, answer.party) in known_pairs
    ]
    kept_answers.sort(key=lambda answer: answer.verdict is not AnswerVerdict.AGREE)
    parties: dict[str, str] = {}
    for answer in (*kept_answers, *answers):
        parties.setdefault(answer.user, answer.party)
    return parties


def _judged(
    answers: Iterable[ApprovalAnswer], parties: Mapping[str, str]
) -> Iterator[ApprovalAnswer]:
    """Yield the answers with their validity; a person's agreement counts for one party, by user name."""
    for answer in answers:
        other = parties[answer.user]
        second = other != answer.party and answer.verdict is AnswerVerdict.AGREE
        text = (
            f"{answer.user} has answered as {other} already, so another person has to agree as {answer.party}"
            if second
            else ""
        )
        yield answer if answer.problem == text else answer.replace(problem=text)


def _counts(answer: ApprovalAnswer, verdict: AnswerVerdict) -> bool:
    return not answer.problem and answer.verdict is verdict


def evidence_of(candidate: Candidate, degraded: tuple[str, ...]) -> str:
    """Return the present evidence on a candidate, in a sentence; `degraded` are consumers that it degrades."""
    if not candidate.weight:
        return "it has had no traffic"
    parts = [
        f"{evidence.slo}: evidence {float(evidence.promote):,.1f} of the {float(evidence.promote_at):,.1f} that a"
        f" promotion needs, {events(evidence.candidate_total)}"
        for evidence in candidate.evidence
    ]
    text = f"at {candidate.weight} % of the traffic: {'; '.join(parts) or 'no evidence yet'}"
    if degraded:
        text = f"its release degrades {parties_text(degraded)}; {text}"
    return text[:LONGEST_ANSWER_EVIDENCE]


def _person(answer: ApprovalAnswer) -> str:
    return f"{answer.user} ({answer.party})"


def _with_reason(answer: ApprovalAnswer) -> str:
    return f"{_person(answer)}: {answer.reason}" if answer.reason else _person(answer)


def _shortened(reason: str) -> str:
    """Return a reason as the decision of a promotion has it."""
    is_cut = len(reason) > LONGEST_REASON_IN_DECISION
    return f"{reason[:LONGEST_REASON_IN_DECISION]}{'…' if is_cut else ''}"


# ---- status -----------------------------------------------------------------------------------
def _since(candidate: Candidate) -> int | None:
    """Return the time since which a candidate awaits its approvals, in seconds; None if it doesn't."""
    is_waiting = candidate.phase is CandidatePhase.AWAITING_APPROVAL
    return candidate.approvals.wait_start_time if is_waiting and candidate.approvals else None


def _shown(candidate: Candidate, state: ApprovalState) -> CandidateApprovals:
    return CandidateApprovals(
        id=rollout_id(candidate),
        answers=state.answers[:MAX_ANSWERS],
        more_answers=max(len(state.answers) - MAX_ANSWERS, 0),
        waiting_for=state.waiting[:MAX_ANSWERS],
        more_waiting=max(len(state.waiting) - MAX_ANSWERS, 0),
        absent=state.absent,
        wait_start_time=state.since,
        silence_time=state.until,
        silence_counts_as=state.meaning if state.until is not None else None,
        held_silence=state.meaning if state.held else None,
    )
