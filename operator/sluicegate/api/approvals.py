"""Approvals of a candidate: who must agree before it is promoted, and who has answered."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, Rule, StatusModel, Time, Word
from sluicegate.api.list_types import Keyed, Unique
from sluicegate.api.patterns import described

ANY_CONSUMER: Final = "Any"
ALL_CONSUMERS: Final = "All"
MAX_CONSUMERS: Final = 32
"""Consumers that spec.rollout.approvals.consumers may name."""
MAX_ANSWERS: Final = 64
"""Answers, and parties without one, that status lists; those beyond it count, too."""
LONGEST_ANSWER_EVIDENCE: Final = 500
"""Characters of the evidence that an answer was given on."""
LONGEST_ANSWER_USER: Final = 320
"""Characters of the user name of an answer."""
LONGEST_ANSWER_REASON: Final = 500
"""Characters of the reason of an answer."""
MAX_REASONS: Final = 8
"""Agreements whose reason the decision of a promotion keeps; it names the persons of all."""
LONGEST_REASON_IN_DECISION: Final = 200
"""Characters of such a reason."""

ConsumerChoice = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^(Any|All|([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z]([-a-z0-9]*[a-z0-9])?)$",
            "must be Any, All or a DataProduct: write its NAME, or NAMESPACE/NAME",
        ),
        max_length=104,
    ),
]
"""`Any`, `All`, NAME in the own namespace, or NAMESPACE/NAME."""


class SilenceMeaning(StrEnum):
    """What silence counts as once its time is over."""

    AGREEMENT = "Agreement"
    REFUSAL = "Refusal"


class SilenceRule(ApiModel):
    """Consequence if a party doesn't answer."""

    after_seconds: Annotated[int, Field(ge=60, le=2_678_400)]
    """Seconds from the time at which the candidate begins to wait for its approvals."""
    counts_as: SilenceMeaning
    """Agreement promotes the candidate without the missing answers; Refusal rolls it back."""


class Approvals(ApiModel):
    """Parties that must agree before a candidate is promoted."""

    cel_rules: ClassVar = (
        Rule(
            cel="(has(self.roles) && size(self.roles) > 0) ||"
            " (has(self.consumers) && size(self.consumers) > 0)",
            holds=lambda self: bool(self.roles or self.consumers),
            message="approvals names no party: list a role in roles, or Any, All or products in"
            " consumers, or remove approvals",
            field="roles",
        ),
        Rule(
            cel="!has(self.consumers) || size(self.consumers) <= 1 ||"
            " !self.consumers.exists(one, one in ['Any', 'All'])",
            holds=lambda self: (
                len(self.consumers) <= 1 or {ANY_CONSUMER, ALL_CONSUMERS}.isdisjoint(self.consumers)
            ),
            message="consumers has Any or All beside other entries: list it alone, or only products",
            field="consumers",
        ),
    )

    roles: Annotated[tuple[Word, ...], Field(max_length=8), Unique()] = ()
    """Roles of spec.team of which one member each must agree, e.g. DataProductManager."""
    consumers: Annotated[tuple[ConsumerChoice, ...], Field(max_length=MAX_CONSUMERS), Unique()] = ()
    """Products that depend on this one and must agree: `Any` for one of them, `All` for each, or
    names (`NAME`, `NAMESPACE/NAME`). A manager of the consumer agrees for it."""
    silence: SilenceRule | None = None
    """Consequence if a party doesn't answer. Without it the candidate waits until each has."""


class AnswerVerdict(StrEnum):
    """What a party answers."""

    AGREE = "Agree"
    REFUSE = "Refuse"


class ApprovalAnswer(StatusModel):
    """The answer of a party."""

    party: Annotated[str, Field(max_length=104)]
    """Role of the team, or NAMESPACE/NAME of a consumer."""
    verdict: AnswerVerdict
    """Answer of the party: Agree or Refuse."""
    user: Annotated[str, Field(max_length=LONGEST_ANSWER_USER)]
    """User name of the person who answered."""
    reason: Annotated[str, Field(max_length=LONGEST_ANSWER_REASON)] = ""
    """Reason in the words of the person."""
    answer_time: Time
    """Time at which the operator first read the answer."""
    evidence: Annotated[str, Field(max_length=LONGEST_ANSWER_EVIDENCE)] = ""
    """Evidence about the candidate at that time."""
    problem: Annotated[str, Field(max_length=512)] = ""
    """Reason why the answer doesn't count; empty for one that counts."""


class CandidateApprovals(StatusModel):
    """State of the approvals of a candidate."""

    id: str
    """Id of this rollout of the candidate, which each answer names: revision and start of the rollout."""
    answers: Annotated[
        tuple[ApprovalAnswer, ...], Field(max_length=MAX_ANSWERS), Keyed("party")
    ] = ()
    """Answers to this rollout, in the order in which the operator read them."""
    more_answers: Annotated[int, Field(ge=0)] = 0
    """Number of answers that count and have no room in answers."""
    waiting_for: Annotated[tuple[str, ...], Field(max_length=MAX_ANSWERS)] = ()
    """Roles and consumers whose answer is missing. With consumers `Any`, one of the consumers suffices."""
    more_waiting: Annotated[int, Field(ge=0)] = 0
    """Number of consumers whose answer is missing and that have no room in waitingFor."""
    absent: Annotated[tuple[str, ...], Field(max_length=MAX_CONSUMERS)] = ()
    """Consumers in waitingFor that spec.rollout.approvals.consumers names and that don't exist."""
    wait_start_time: Time | None = None
    """Time since which the candidate has passed and waits for approvals."""
    silence_time: Time | None = None
    """Time from which silence counts as spec.rollout.approvals.silence sets."""
    silence_counts_as: SilenceMeaning | None = None
    """Meaning of silence from silenceTime on."""
    held_silence: SilenceMeaning | None = None
    """Meaning of the silence since silenceTime, while spec.suspend holds what follows from it."""
