"""Suspend and resume a product: the change of spec.suspend with who asks for it and why. Pure."""

from typing import Any, Final

from sluicegate.api.names import REQUEST_NOTE
from sluicegate.views import product as facts
from sluicegate.views.request_notes import RequestNote

SUSPEND: Final = "suspend"
RESUME: Final = "resume"
CONSEQUENCES: Final = {
    SUSPEND: "No rollout and no retraining begins by itself until the product is resumed. Requests of people still act.",
    RESUME: "Rollouts and retrainings begin by themselves again.",
}
"""What follows from each verb, as a sentence."""


def is_suspended(product: facts.Body) -> bool:
    """Return whether the spec suspends the product."""
    return bool(facts.section(product, "spec").get("suspend"))


def suspension_change(verb: str) -> dict[str, Any]:
    """Return the patch of the field alone."""
    return {"spec": {"suspend": verb == SUSPEND}}


def suspension_note(verb: str, token: str, user: str, reason: str) -> RequestNote:
    """Return the note of a change; `token` is used once."""
    return RequestNote.create(f"{verb}/{token}", user, reason)


def noted_change(verb: str, note: RequestNote) -> dict[str, Any]:
    """Return the patch of the field and of the annotation that has the note."""
    annotations = {REQUEST_NOTE: note.annotation}
    return suspension_change(verb) | {"metadata": {"annotations": annotations}}


def suspension_reason(product: facts.Body) -> str:
    """Return who suspended the product and why; empty for one that isn't suspended, or without a note."""
    annotation = facts.section(product, "metadata", "annotations").get(REQUEST_NOTE)
    note = RequestNote.parse(annotation)
    if is_suspended(product) and note and note.value.startswith(f"{SUSPEND}/"):
        return note.text
    return ""
