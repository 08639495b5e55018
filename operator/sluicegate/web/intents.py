"""What a reader may ask of a product from its page: each with its evidence and what happens then. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api.names import REQUEST_NOTE
from sluicegate.errors import SluicegateError
from sluicegate.views import product as facts
from sluicegate.views.person_actions import (
    ABORTION,
    PROMOTION,
    RETRAINING,
    ROLLBACK,
    PersonAction,
    applied_by,
)
from sluicegate.views.request_notes import RequestNote

SUSPEND: Final = "suspend"
RESUME: Final = "resume"
EDIT: Final = "edit-spec"
"""Verb of RBAC for changes of the spec."""
ACTIONS: Final = {one.verb: one for one in (PROMOTION, ABORTION, ROLLBACK, RETRAINING)}
VERBS: Final = (*ACTIONS, SUSPEND, RESUME)
_MOVING: Final = frozenset({PROMOTION.verb, ABORTION.verb, ROLLBACK.verb})
"""Verbs that move traffic."""
_THEN: Final = {
    PROMOTION.verb: "The operator promotes it at its last step unless a check objects: all traffic moves to it.",
    ABORTION.verb: "All traffic goes to the stable version at once, and the rollout ends.",
    ROLLBACK.verb: "It replaces the stable version at once, without steps.",
    RETRAINING.verb: "One training starts as soon as its limits allow; its result takes the usual canary.",
    SUSPEND: "No rollout and no retraining begins by itself until the product is resumed. Requests of people still act.",
    RESUME: "Rollouts and retrainings begin by themselves again.",
}
_TITLES: Final = {
    PROMOTION.verb: "Approve", ABORTION.verb: "Abort the rollout of", ROLLBACK.verb: "Roll back to",
    RETRAINING.verb: "Retrain", SUSPEND: "Suspend", RESUME: "Resume",
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

    @property
    def title(self) -> str:
        """The name of the button."""
        return f"{_TITLES[self.verb]} {self.version}".rstrip()

    def change(self, token: str, user: str, reason: str) -> dict[str, Any]:
        """Return the patch: the annotation as the plugin sets it, or the field, and the note."""
        action = ACTIONS.get(self.verb)
        value = f"{self.version}/{token}" if self.version else token
        if action is None:
            note = RequestNote.of(f"{self.verb}/{token}", user, reason)
            changed: dict[str, Any] = {"spec": {"suspend": self.verb == SUSPEND}}
            return changed | {"metadata": {"annotations": {REQUEST_NOTE: note.annotation}}}
        note = RequestNote.of(value, user, reason)
        annotations = {action.annotation: value, REQUEST_NOTE: note.annotation}
        return {"metadata": {"annotations": annotations}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the operator has not handled yet, or the reason of the suspension."""

    verb: str
    value: str
    note: str


def intent_of(product: facts.Body, verb: str, version: str = "") -> Intent | None:
    """Return what this verb asks of a product as it is; None where there is nothing of the kind."""
    if verb not in ACTIONS:
        return _switch(product, verb)
    action = ACTIONS[verb]
    if verb == RETRAINING.verb and not facts.part(product, "spec", "retraining"):
        return None
    try:
        request = action.ask(product, version)
    except SluicegateError:
        return None
    return Intent(
        verb, verb, request.version,
        others=tuple(one for one in _accepted(product) if one != request.version) if verb == ROLLBACK.verb else (),
        sentence=request.sentence, details=tuple(request.details), then=_THEN[verb], warning="",
        moves_traffic=verb in _MOVING,
        state=(*_state(product), verb, request.version, *action.identify(product), _annotation(product, action)),
    )  # fmt: skip


def _switch(product: facts.Body, verb: str) -> Intent | None:
    suspended = bool(facts.part(product, "spec").get("suspend"))
    if verb not in {SUSPEND, RESUME} or (verb == SUSPEND) == suspended:
        return None
    owner = applied_by(product)
    warning = (
        f"The product{owner}, which may revert the change: change its manifest, too."
        if owner
        else ""
    )
    return Intent(
        verb, EDIT, "", (), sentence=f"{verb} the product", details=(), then=_THEN[verb],
        warning=warning, moves_traffic=False, state=(*_state(product), verb, str(suspended)),
    )  # fmt: skip


def intents_of(product: facts.Body) -> list[Intent]:
    """Return all that may be asked of a product now."""
    return [one for verb in VERBS if (one := intent_of(product, verb)) is not None]


def asked_of(product: facts.Body) -> Iterator[Asked]:
    """Yield the requests that the operator has not handled yet, and why the product is suspended."""
    handled = facts.part(product, "status", "lastHandled")
    note = RequestNote.parse(facts.part(product, "metadata", "annotations").get(REQUEST_NOTE))
    for action in ACTIONS.values():
        value = _annotation(product, action)
        if value and handled.get(action.echo) != value:
            yield Asked(action.verb, value, note.text if note and note.value == value else "")
    if facts.part(product, "spec").get("suspend") and note and note.value.startswith(f"{SUSPEND}/"):
        yield Asked(SUSPEND, "", note.text)


def _accepted(product: facts.Body) -> tuple[str, ...]:
    stable = facts.part(product, "status", "stable").get("revision")
    return tuple(
        dict.fromkeys(
            str(one.get("version"))
            for one in facts.entries(product, "status", "history")
            if one.get("promotionTime") and one.get("revision") != stable
        )
    )


def _annotation(product: facts.Body, action: PersonAction) -> str:
    return str(facts.part(product, "metadata", "annotations").get(action.annotation, ""))


def _state(product: facts.Body) -> tuple[str, str]:
    """Return the object, and the last note: each request of the page changes it, so none is sent twice."""
    meta = facts.part(product, "metadata")
    return str(meta.get("uid", "")), str(facts.part(meta, "annotations").get(REQUEST_NOTE, ""))
