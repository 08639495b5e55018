"""What a person can answer to a candidate: for which party, on which object, with which annotation. Pure.

An object is read as the API server sends it; for page and plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluicegate.errors import invalid
from sluicegate.views import product as facts
from sluicegate.views.approval_notes import (
    AGREE,
    ApprovalNote,
    answer_of_consumer,
    answer_of_role,
)
from sluicegate.views.person_actions import promotion_details, require_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """The answer that a person may give.

    Attributes
    ----------
    verdict : Agree or Refuse. party : a role, or NAMESPACE/NAME of a consumer.
    version, rollout : what it is about. target : namespace and name of the object that it is written to.
    annotation : its name there. sentence : what happens. details : the evidence, a line each.
    """

    verdict: str
    party: str
    version: str
    rollout: str
    target: tuple[str, str]
    annotation: str
    sentence: str
    details: Sequence[str]

    def value(self, user: str, reason: str) -> str:
        """Return the value of the annotation, in the name of a user of the API server."""
        note = ApprovalNote(self.verdict, self.version, self.rollout, user, reason)
        return note.annotation


def approvals_of(product: facts.Body) -> facts.Body:
    """Return the approvals of the candidate; empty where none are needed."""
    return facts.part(facts.candidate(product), "approvals")


def parties(product: facts.Body) -> list[str]:
    """Return the parties of the candidate: those that are waited for, then those that have answered."""
    answers = facts.entries(approvals_of(product), "answers")
    answered = [str(one.get("party")) for one in answers]
    return list(dict.fromkeys([*waited_for(product), *answered]))


def waited_for(product: facts.Body) -> list[str]:
    """Return the parties whose answer to the candidate is missing."""
    waiting = approvals_of(product).get("waitingFor")
    return [str(one) for one in waiting] if isinstance(waiting, list) else []


def roles_of(product: facts.Body, user: str) -> list[str]:
    """Return the roles of a user in the team."""
    members = facts.entries(product, "spec", "team", "members")
    return [str(one.get("role")) for one in members if one.get("username") == user]


def party_for(product: facts.Body, user: str, named: str) -> str:
    """Return the party that a user answers for: the one that is named, or a role of the user.

    Raises
    ------
    InvalidInput
        The candidate needs no answer, none of this party, or the user has no role that has to agree.
    """
    namespace, name = product["metadata"]["namespace"], product["metadata"]["name"]
    names = parties(product)
    if not facts.candidate(product):
        raise invalid("NAME", f"{namespace}/{name} has no candidate: there is nothing to answer")
    if not names:
        text = (
            f"{namespace}/{name} names no party in spec.rollout.approvals: `kubectl sluicegate promote`"
            " approves its candidate"
        )
        raise invalid("NAME", text)
    is_consumer = named[:1].islower() or "/" in named
    party = f"{namespace}/{named}" if is_consumer and "/" not in named else named
    if not party:
        party = next((role for role in roles_of(product, user) if role in names), "")
    more = approvals_of(product).get("moreWaiting")
    if party in names or (more and "/" in party):
        return party
    listed = ", ".join(names) + (f", or NAMESPACE/NAME of one of {more} more" if more else "")
    if named:
        raise invalid("--for", f"{named} doesn't have to agree: name one of {listed}")
    raise invalid(
        "--for", f"{user} has no role in spec.team that has to agree: name one of {listed}"
    )


def answer_request(
    product: facts.Body, party: str, verdict: str, version: str = ""
) -> AnswerRequest:
    """Return the answer of a party to the candidate; Stale if `version` is another one."""
    trial, meta = facts.candidate(product), product["metadata"]
    candidate = str(trial.get("version"))
    require_candidate(product, candidate, version)
    own, consumer = (str(meta["namespace"]), str(meta["name"])), tuple(party.split("/", 1))
    is_role = len(consumer) == 1
    verb = "agree to" if verdict == AGREE else "refuse"
    return AnswerRequest(
        verdict,
        party,
        candidate,
        rollout=str(approvals_of(product).get("id", "")),
        target=own if is_role else (consumer[0], consumer[-1]),
        annotation=answer_of_role(party) if is_role else answer_of_consumer(*own),
        sentence=f"{verb} {candidate} as {party}",
        details=[*facts.approval_lines(trial), *promotion_details(product, trial)],
    )
