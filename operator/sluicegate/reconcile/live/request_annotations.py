"""Requests of people: one-shot annotations of a DataProduct, as they are stored."""

from collections.abc import Mapping
from typing import Any, Final

from sluicegate.api import names
from sluicegate.errors import Problem
from sluicegate.policy.model.observed import ManualRequest
from sluicegate.views.request_notes import RequestNote

REQUESTS: Final = (
    names.REQUEST_RETRAIN,
    names.REQUEST_ROLLBACK,
    names.REQUEST_PROMOTE,
    names.REQUEST_ABORT,
)
LONGEST_REQUEST: Final = 253
"""Characters of a one-shot annotation: a token, or a version and a token. Status echoes it."""


def manual_requests(requests: tuple[tuple[str, str], ...], note: str) -> tuple[ManualRequest, ...]:
    """Return the requests; the noted one with its user and reason."""
    parsed = RequestNote.parse(note)
    return tuple(
        ManualRequest(name, value, parsed.user, parsed.reason)
        if parsed and parsed.value == value
        else ManualRequest(name, value)
        for name, value in requests
    )


def note_text(annotations: Any) -> str:
    """Return the note annotation with the reason of a request; empty if absent or unreadable."""
    text = annotations.get(names.REQUEST_NOTE) if isinstance(annotations, Mapping) else None
    return text if isinstance(text, str) and RequestNote.parse(text) is not None else ""


def read_requests(annotations: Any) -> tuple[tuple[tuple[str, str], ...], Problem | None]:
    """Return the one-shot annotations, and the problem of the first that isn't a short text."""
    present_annotations = annotations if isinstance(annotations, Mapping) else {}
    requests = {
        name: present_annotations[name]
        for name in REQUESTS
        if present_annotations.get(name) is not None
    }
    readable_requests = {
        name: value
        for name, value in requests.items()
        if isinstance(value, str) and len(value) <= LONGEST_REQUEST
    }
    unreadable_name = next((name for name in requests if name not in readable_requests), None)
    text = f"must be a token of at most {LONGEST_REQUEST} characters: shorten or remove it"
    problem = Problem(f"metadata.annotations[{unreadable_name}]", text) if unreadable_name else None
    return tuple(readable_requests.items()), problem
