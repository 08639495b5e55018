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
    consumer_annotation,
    role_annotation,
)
from sluicegate.views.person_actions import promotion_details, require_candidate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """The answer that a person may give to a candidate.

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
    """Return the approvals of the candidate; empty if none are required."""
    return facts.section(facts.candidate(product), "approvals")


def parties(product: facts.Body) -> list[str]:
    """Return the candidate's parties: those without an answer, then those with one."""
    answers = facts.entries(approvals_of(product), "answers")
    answering_parties = [str(answer.get("party")) for answer in answers]
    return list(dict.fromkeys([*missing_parties(product), *answering_parties]))


def missing_parties(product: facts.Body) -> list[str]:
    """Return the parties whose answer to the candidate is missing."""
    waiting_parties = approvals_of(product).get("waitingFor")
    return [str(party) for party in waiting_parties] if isinstance(waiting_parties, list) else []


def unhandled_answers(
    product: facts.Body, consumer: facts.Body | None = None
) -> Iterator[tuple[str, ApprovalNote]]:
    """Yield the answers to the candidate that the operator has not read yet, by party.

    Without a consumer those of the roles, which the product's own annotations hold.
    """
    meta, bearer = product["metadata"], product if consumer is None else consumer
    annotations = facts.section(bearer, "metadata", "annotations")
    if consumer is None:
        names = {party: role_annotation(party) for party in parties(product) if "/" not in party}
    else:
        key = f"{consumer['metadata']['namespace']}/{consumer['metadata']['name']}"
        names = {key: consumer_annotation(str(meta["namespace"]), str(meta["name"]))}
    candidate = (facts.candidate(product).get("version"), approvals_of(product).get("id"))
    recorded = {
        (answer.get("party"), answer.get("verdict"), answer.get("user"))
        for answer in facts.entries(approvals_of(product), "answers")
    }
    for party, name in names.items():
        note = ApprovalNote.parse(annotations.get(name))
        if note is None or (note.version, note.rollout) != candidate:
            continue
        if (party, note.verdict, note.user) not in recorded:
            yield party, note


def roles_of(product: facts.Body, user: str) -> list[str]:
    """Return the roles of a user in the team."""
    members = facts.entries(product, "spec", "team", "members")
    return [str(member.get("role")) for member in members if member.get("username") == user]


def party_for(product: facts.Body, user: str, requested_party: str) -> str:
    """Return the party that a user answers for: the named one, or a role of the user.

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
    is_consumer = requested_party[:1].islower() or "/" in requested_party
    party = (
        f"{namespace}/{requested_party}"
        if is_consumer and "/" not in requested_party
        else requested_party
    )
    if not party:
        party = next((role for role in roles_of(product, user) if role in names), "")
    more_waiting = approvals_of(product).get("moreWaiting")
    if party in names or (more_waiting and "/" in party):
        return party
    names_text = ", ".join(names) + (
        f", or NAMESPACE/NAME of one of {more_waiting} more" if more_waiting else ""
    )
    if requested_party:
        raise invalid("--for", f"{requested_party} doesn't have to agree: name one of {names_text}")
    raise invalid(
        "--for", f"{user} has no role in spec.team that has to agree: name one of {names_text}"
    )


def answer_request(
    product: facts.Body, party: str, verdict: str, version: str = ""
) -> AnswerRequest:
    """Return the answer of a party to the candidate; Stale if `version` is another one."""
    candidate_status, meta = facts.candidate(product), product["metadata"]
    candidate = str(candidate_status.get("version"))
    require_candidate(product, candidate, version)
    if candidate_status.get("phase") in facts.DECIDED_PHASES:
        raise invalid(
            "NAME",
            f"the rollout of {candidate} is decided: {candidate_status.get('decisionMessage', '')}",
        )
    product_key, consumer = (str(meta["namespace"]), str(meta["name"])), tuple(party.split("/", 1))
    is_role = len(consumer) == 1
    verb = "agree to" if verdict == AGREE else "refuse"
    return AnswerRequest(
        verdict,
        party,
        candidate,
        rollout=str(approvals_of(product).get("id", "")),
        target=product_key if is_role else (consumer[0], consumer[-1]),
        annotation=role_annotation(party) if is_role else consumer_annotation(*product_key),
        sentence=f"{verb} {candidate} as {party}",
        details=[
            *facts.approval_lines(candidate_status),
            *promotion_details(product, candidate_status),
        ],
    )
