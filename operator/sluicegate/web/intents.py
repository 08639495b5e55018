"""What a reader may ask of a product from its page, or answer for it as a consumer of another one. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api.names import REQUEST_NOTE
from sluicegate.errors import InvalidInput, SluicegateError
from sluicegate.kube.resources import key_of
from sluicegate.views import product as facts
from sluicegate.views.approval_actions import (
    AnswerRequest,
    answer_request,
    approvals_of,
    missing_parties,
    unhandled_answers,
)
from sluicegate.views.approval_notes import AGREE, REFUSE, ApprovalNote
from sluicegate.views.needs import UNNAMED_PARTIES, Need
from sluicegate.views.person_actions import (
    ABORT_ACTION,
    PROMOTE_ACTION,
    RETRAIN_ACTION,
    ROLLBACK_ACTION,
    PersonAction,
    applied_by,
    is_retry,
)
from sluicegate.views.product_facts import ProductFacts
from sluicegate.views.request_notes import RequestNote
from sluicegate.views.suspension import (
    CONSEQUENCES,
    RESUME,
    SUSPEND,
    is_suspended,
    suspension_change,
    suspension_reason,
    suspension_value,
)

EDIT_VERB: Final = "edit-spec"
"""Verb of RBAC for changes of the spec."""
ACTIONS: Final = {
    action.verb: action
    for action in (PROMOTE_ACTION, ABORT_ACTION, ROLLBACK_ACTION, RETRAIN_ACTION)
}
VERBS: Final = (*ACTIONS, SUSPEND, RESUME)
ANSWERS: Final = {"approve": AGREE, "refuse": REFUSE}
"""Verdicts by the first word of a verb, which a role follows: `approve-DataProductManager`."""
ANSWER_PATTERN: Final = f"(?:{'|'.join(ANSWERS)})-[A-Z][A-Za-z0-9]{{0,62}}"
"""Verbs of answers in an address."""
CONSUMER_PATTERN: Final = (
    rf"(?:{'|'.join(ANSWERS)})\.[a-z0-9][-a-z0-9]{{0,62}}\.[a-z0-9][-a-z0-9]{{0,62}}"
)
"""Verbs of a consumer's answers in an address: `approve.NAMESPACE.NAME` of the other product."""
_TRAFFIC_VERBS: Final = frozenset({PROMOTE_ACTION.verb, ABORT_ACTION.verb, ROLLBACK_ACTION.verb})
"""Verbs that move traffic."""
_CONSEQUENCE_BY_VERB: Final = {
    PROMOTE_ACTION.verb: "The operator promotes it at its last step unless a check objects: all traffic moves to it.",
    ABORT_ACTION.verb: "All traffic goes to the stable version at once, and the rollout ends.",
    ROLLBACK_ACTION.verb: "It replaces the stable version at once, without steps.",
    RETRAIN_ACTION.verb: "One training starts as soon as its limits allow; its result takes the usual canary.",
    **CONSEQUENCES,
}
_CHANGED_MEANWHILE: Final = "The product has changed meanwhile: read its page again."
_TITLES: Final = {
    PROMOTE_ACTION.verb: "Approve", ABORT_ACTION.verb: "Abort the rollout of", ROLLBACK_ACTION.verb: "Roll back to",
    RETRAIN_ACTION.verb: "Retrain", SUSPEND: "Suspend", RESUME: "Resume",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that a person may ask of a product.

    Attributes
    ----------
    verb : of the address. needs : verb of RBAC that allows it, besides patch.
    version : what it is about; empty for none. others : versions that may be chosen instead.
    sentence : what happens, e.g. `promote v15 in place of v14`. details : the evidence, a line each.
    then : what the operator does. warning : e.g. that Git may revert it; empty without one.
    moves_traffic : whether it must be confirmed.
    state : all that the request depends on; a form of another state is refused.
    retried : whether it starts the rollout of a version again.
    answer : of a party that must agree; None for other requests.
    upstream : namespace/name of the product whose candidate a consumer answers; empty otherwise.
    """

    verb: str
    needs: str
    version: str
    others: tuple[str, ...]
    sentence: str
    details: tuple[str, ...]
    then: str
    warning: str
    moves_traffic: bool
    state: tuple[str, ...]
    answer: AnswerRequest | None = None
    upstream: str = ""
    retried: bool = False

    @property
    def command(self) -> str:
        """Return the plugin's command for the same request, without the product."""
        if self.answer is None:
            return self.verb
        word = next(word for word, verdict in ANSWERS.items() if verdict == self.answer.verdict)
        return f"{word} --for {self.answer.party}"

    @property
    def title(self) -> str:
        """Return the name of the button."""
        if self.answer is not None:
            word = "Agree to" if self.answer.verdict == AGREE else "Refuse"
            version_text = f"{self.version} of {self.upstream}" if self.upstream else self.version
            return f"{word} {version_text} as {self.answer.party}"
        if self.retried:
            return f"Try {self.version} again"
        return f"{_TITLES[self.verb]} {self.version}".rstrip()

    @property
    def permission(self) -> str:
        """Return who may ask for it, as docs/roles.md has it."""
        if self.answer is not None and self.upstream:
            return f"managers of {self.answer.party} may, and holders of the verb {PROMOTE_ACTION.verb} on it"
        if self.answer is not None:
            return (
                f"members of spec.team with the role {self.answer.party} may, and holders of the verb"
                f" {PROMOTE_ACTION.verb}"
            )
        if self.needs == EDIT_VERB:
            return f"holders of the verb {EDIT_VERB} may"
        return f"managers in spec.team may, and holders of the verb {self.needs}"

    def change(self, token: str, user: str, reason: str) -> dict[str, Any]:
        """Return the patch: the annotation as the plugin sets it, or the field, and the note."""
        if self.answer is not None:
            value = self.answer.value(user, reason)
            return {"metadata": {"annotations": {self.answer.annotation: value}}}
        action = ACTIONS.get(self.verb)
        value = f"{self.version}/{token}" if self.version else token
        if action is None:
            note = RequestNote.create(suspension_value(self.verb, token), user, reason)
            return suspension_change(self.verb, note)
        note = RequestNote.create(value, user, reason)
        annotations = {action.annotation: value, REQUEST_NOTE: note.annotation}
        return {"metadata": {"annotations": annotations}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the operator has not handled yet, or the reason of the suspension."""

    verb: str
    value: str
    note: str


def intent_of(product: facts.Body, verb: str, version: str = "") -> Intent | None:
    """Return the request that this verb makes for the present product; None if there is none."""
    if verb.partition("-")[0] in ANSWERS:
        return _role_answer(product, verb, version)
    if verb not in ACTIONS:
        return _suspension_intent(product, verb)
    action = ACTIONS[verb]
    if verb == RETRAIN_ACTION.verb and not facts.section(product, "spec", "retraining"):
        return None
    if verb == PROMOTE_ACTION.verb and _is_decided(product):
        return None
    try:
        request = action.request_of(product, version)
    except SluicegateError:
        return None
    retried = verb == PROMOTE_ACTION.verb and is_retry(product)
    return Intent(
        verb, verb, request.version,
        others=tuple(accepted_version for accepted_version in _accepted_versions(product) if accepted_version != request.version) if verb == ROLLBACK_ACTION.verb else (),
        sentence=request.sentence, details=tuple(request.details), then=_retry_consequence(product) if retried else _CONSEQUENCE_BY_VERB[verb], warning="",
        moves_traffic=verb in _TRAFFIC_VERBS, retried=retried,
        state=(*state_of(product), verb, request.version, *action.identity_of(product), _annotation_value(product, action)),
    )  # fmt: skip


def _is_decided(product: facts.Body) -> bool:
    """Return whether the candidate is being promoted or rolled back."""
    phase = facts.section(product, "status", "candidate").get("phase")
    return phase in facts.DECIDED_PHASES


def _retry_consequence(product: facts.Body) -> str:
    """Return the consequence of a retry of a version."""
    start = "Its rollout starts again at the first step."
    if facts.section(product, "spec", "rollout", "approvals"):
        return f"{start} Each party of spec.rollout.approvals has to agree again before it is promoted."
    return start


def answer_verbs(roles: Iterable[str]) -> Iterator[str]:
    """Yield the verbs of the answers of these roles."""
    for role in roles:
        yield from (f"{word}-{role}" for word in ANSWERS)


def _role_answer(product: facts.Body, verb: str, version: str) -> Intent | None:
    """Return the answer of a role that the candidate waits for; None for another one."""
    word, _, role = verb.partition("-")
    if role not in missing_parties(product) or _is_decided(product):
        return None
    try:
        request = answer_request(product, role, ANSWERS[word], version)
    except SluicegateError:
        return None
    is_agreement = request.verdict == AGREE
    return Intent(
        verb, verb, request.version, (), sentence=request.sentence, details=tuple(request.details),
        then=(
            "The operator promotes it once each party has agreed, unless a check objects."
            if is_agreement
            else "The operator rolls it back: all traffic goes to the stable version."
        ),
        warning="", moves_traffic=True,
        state=(*state_of(product), verb, request.rollout, *answer_identities(product, role)), answer=request,
    )  # fmt: skip


def _suspension_intent(product: facts.Body, verb: str) -> Intent | None:
    if verb not in CONSEQUENCES or (verb == SUSPEND) == is_suspended(product):
        return None
    owner = applied_by(product)
    warning = (
        f"The product{owner}, which may revert the change: change its manifest, too."
        if owner
        else ""
    )
    return Intent(
        verb, EDIT_VERB, "", (), sentence=f"{verb} the product", details=(), then=_CONSEQUENCE_BY_VERB[verb],
        warning=warning, moves_traffic=False, state=(*state_of(product), verb, str(is_suspended(product))),
    )  # fmt: skip


def intents_of(product: facts.Body) -> list[Intent]:
    """Return all that may be asked of a product now."""
    answers = answer_verbs(party for party in missing_parties(product) if "/" not in party)
    intents = (intent_of(product, verb) for verb in (*answers, *VERBS))
    return [intent for intent in intents if intent is not None]


def asked_of(product: facts.Body, upstreams: Iterable[facts.Body] = ()) -> Iterator[Asked]:
    """Yield the requests and answers that the operator has not handled yet, and why the product is suspended.

    upstreams : products to whose candidates this one may have answered as a consumer.
    """
    last_handled = facts.section(product, "status", "lastHandled")
    note = RequestNote.parse(facts.section(product, "metadata", "annotations").get(REQUEST_NOTE))
    for action in ACTIONS.values():
        value = _annotation_value(product, action)
        if value and last_handled.get(action.handled_field) != value:
            yield Asked(action.verb, value, note.text if note and note.value == value else "")
    for party, answer in unhandled_answers(product):
        yield _asked_answer(party, answer, answer.version)
    for upstream in upstreams:
        name = "/".join(key_of(upstream))
        for party, answer in unhandled_answers(upstream, product):
            yield _asked_answer(party, answer, f"{answer.version} of {name}")
    if why := suspension_reason(product):
        yield Asked(SUSPEND, "", why)


def _asked_answer(party: str, answer: ApprovalNote, version: str) -> Asked:
    word = next(word for word, verdict in ANSWERS.items() if verdict == answer.verdict)
    note = f"{answer.user}: {answer.reason}" if answer.reason else answer.user
    return Asked(f"{word} --for {party}", version, note)


def _accepted_versions(product: facts.Body) -> tuple[str, ...]:
    stable = facts.section(product, "status", "stable").get("revision")
    return tuple(
        dict.fromkeys(
            str(entry.get("version"))
            for entry in facts.entries(product, "status", "history")
            if entry.get("promotionTime") and entry.get("revision") != stable
        )
    )


def _annotation_value(product: facts.Body, action: PersonAction) -> str:
    return str(facts.section(product, "metadata", "annotations").get(action.annotation, ""))


def answer_identities(product: facts.Body, party: str) -> Iterator[str]:
    """Yield the answers that a party has given to the candidate, each with the person."""
    for answer in facts.entries(approvals_of(product), "answers"):
        if answer.get("party") == party:
            yield f"{party}/{answer.get('user')}"


def state_of(product: facts.Body) -> tuple[str, str]:
    """Return the object with its last note, which each request changes, so that none is sent twice."""
    meta = facts.section(product, "metadata")
    return str(meta.get("uid", "")), str(facts.section(meta, "annotations").get(REQUEST_NOTE, ""))


def upstream_in(verb: str) -> tuple[str, str] | None:
    """Return namespace and name of the product that an answer is about; None for another verb."""
    word, *key = verb.split(".")
    if word not in ANSWERS or len(key) != 2:  # noqa: PLR2004 - namespace and name
        return None
    return key[0], key[1]


def awaiting_products(
    products: Iterable[ProductFacts], consumer: ProductFacts
) -> list[tuple[ProductFacts, Need]]:
    """Return the products whose candidates wait for an answer of this one, each with the need."""
    path = "/".join(consumer.key)
    callee_keys = {upstream.key for upstream in consumer.upstream}
    return [
        (product, need)
        for product in products
        for need in product.needs
        if need.party == path or (need.party == UNNAMED_PARTIES and product.key in callee_keys)
    ]


def required_answer(upstream: facts.Body, consumer: ProductFacts) -> facts.Body:
    """Return the candidate of an upstream that needs the answer of this consumer, at any of its steps; empty without one."""
    return facts.candidate(upstream) if _is_awaited(upstream, "/".join(consumer.key)) else {}


def consumer_intents(consumer: facts.Body, upstreams: Iterable[facts.Body]) -> Iterator[Intent]:
    """Yield the answers that a consumer may give to the candidates of these products."""
    for upstream in upstreams:
        meta = upstream["metadata"]
        for word in ANSWERS:
            verb = f"{word}.{meta['namespace']}.{meta['name']}"
            intent = resolved_intent(consumer, verb, upstream=upstream)
            if intent is not None:
                yield intent


def absence_text(product: facts.Body, verb: str, version: str = "") -> str:
    """Return why there is nothing of this verb to ask of a product, in a sentence."""
    if re.split(r"[-.]", verb)[0] in ANSWERS:
        return (
            "No answer of this party is waited for: it was given already, the rollout has ended, or the"
            " party isn't asked."
        )
    if verb not in ACTIONS:
        return f"The product is {'suspended already' if verb == SUSPEND else 'not suspended'}."
    if verb == RETRAIN_ACTION.verb and not facts.section(product, "spec", "retraining"):
        return "The product can't be retrained: it has no spec.retraining."
    try:
        ACTIONS[verb].request_of(product, version)
    except InvalidInput as error:
        (problem,) = error.problems
        is_of_product = problem.path == "/".join(key_of(product))
        return f"{'The product ' if is_of_product else ''}{problem.message}."
    except SluicegateError as error:
        return f"{error}."
    return _CHANGED_MEANWHILE


def resolved_intent(
    product: facts.Body, verb: str, version: str = "", *, upstream: facts.Body | None = None
) -> Intent | None:
    """Return the request of a verb for a product, or its answer to an upstream; None without one."""
    if upstream_in(verb) is None:
        return intent_of(product, verb, version)
    return None if upstream is None else _consumer_answer(product, upstream, verb, version)


def _consumer_answer(
    consumer: facts.Body, upstream: facts.Body, verb: str, version: str
) -> Intent | None:
    meta, upstream_meta = consumer["metadata"], upstream["metadata"]
    party = f"{meta['namespace']}/{meta['name']}"
    name = f"{upstream_meta['namespace']}/{upstream_meta['name']}"
    verdict = ANSWERS[verb.partition(".")[0]]
    if not _is_awaited(upstream, party):
        return None
    try:
        request = answer_request(upstream, party, verdict, version)
    except SluicegateError:
        return None
    return Intent(
        verb, PROMOTE_ACTION.verb, request.version, (), sentence=f"{request.sentence}, for {name}",
        details=tuple(request.details),
        then=(
            f"The operator promotes it once each party of {name} has agreed, unless a check objects."
            if verdict == AGREE
            else f"The operator rolls it back, where the approvals of {name} let a refusal do so."
        ),
        warning="", moves_traffic=True,
        state=(*state_of(consumer), str(upstream_meta.get("uid", "")), verb, request.rollout, *answer_identities(upstream, party)),
        answer=request, upstream=name,
    )  # fmt: skip


def _is_awaited(upstream: facts.Body, party: str) -> bool:
    """Return whether the answer of a party is missing; status may have no room for its name."""
    is_unlisted = approvals_of(upstream).get("moreWaiting") and not _has_answered(upstream, party)
    is_missing = party in missing_parties(upstream) or bool(is_unlisted)
    return is_missing and not _is_decided(upstream)


def _has_answered(upstream: facts.Body, party: str) -> bool:
    return any(
        entry.get("party") == party for entry in facts.entries(approvals_of(upstream), "answers")
    )
