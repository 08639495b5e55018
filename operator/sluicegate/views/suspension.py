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


def suspension_value(verb: str, token: str) -> str:
    """Return the value that the note of a change names; `token` is used once."""
    return f"{verb}/{token}"


def suspension_change(verb: str, note: RequestNote | None) -> dict[str, Any]:
    """Return the patch of the field, and of the annotation that has the note."""
    body: dict[str, Any] = {"spec": {"suspend": verb == SUSPEND}}
    if note is not None:
        body["metadata"] = {"annotations": {REQUEST_NOTE: note.annotation}}
    return body


def suspension_reason(product: facts.Body) -> str:
    """Return who suspended the product and why; empty for one that isn't suspended, or without a note."""
    annotation = facts.section(product, "metadata", "annotations").get(REQUEST_NOTE)
    note = RequestNote.parse(annotation)
    if is_suspended(product) and note and note.value.startswith(suspension_value(SUSPEND, "")):
        return note.text
    return ""
