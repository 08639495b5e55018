"""Errors of calls to the API server; callers decide about a retry by the type.

Exceptions of client libraries are converted at the transport; nothing above this package handles
them.
"""

# ruff: noqa: N818  # the classes have the names of the API server's reasons

import json
from collections.abc import Mapping
from typing import Any

from sluicegate.errors import SluicegateError

LONGEST_DETAIL = 500


class KubeError(SluicegateError):
    """Any failure of a call to the API server.

    Attributes
    ----------
    status
        HTTP status, 0 when there was no answer.
    reason
        `reason` of the Status object ("AlreadyExists", …), empty when there was none.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class BadRequest(KubeError):
    """The request is invalid: a bug of the operator, or an older API server."""


class Unauthorized(KubeError):
    """The credentials are not accepted, or not any more."""


class Forbidden(KubeError):
    """RBAC or an admission policy refuses the request; an early retry doesn't help."""


class NamespaceTerminating(Forbidden):
    """The namespace is being deleted, so that nothing can be created in it."""


class NotFound(KubeError):
    """The object, or its kind, does not exist."""


class Conflict(KubeError):
    """The object changed after it was read."""


class AlreadyExists(Conflict):
    """An object with the requested name exists."""


class Gone(KubeError):
    """A continue token or a resourceVersion has expired: list again."""


class Invalid(KubeError):
    """The object breaks the schema, a CEL rule or an admission check; the message names it."""


class Unapplicable(Invalid):
    """The stored object violates its schema, so that the server refuses to apply changes."""


class AnswerTooLarge(KubeError):
    """The answer has more bytes than the caller accepts: request less."""


class Transient(KubeError):
    """A missing answer or a server failure; the same request may succeed later."""


class TimedOut(Transient):
    """No answer before the timeout; the write may or may not have happened."""


class WebhookFailed(Transient):
    """A required admission webhook doesn't answer; other objects may pass."""


class TooManyRequests(Transient):
    """429 Too Many Requests.

    Attributes
    ----------
    retry_after
        Seconds until the next request may be sent.
    """

    def __init__(self, message: str, *, retry_after: float, reason: str = "") -> None:
        super().__init__(message, status=429, reason=reason)
        self.retry_after = retry_after


class WriteFenced(KubeError):
    """The write was not sent because the lease no longer covers it."""


ERROR_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: BadRequest,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: BadRequest,
    422: Invalid,
}

TERMINATING_MESSAGE = "because it is being terminated"
"""Message of the server, as a 403, for an object in a namespace that is being deleted."""

UNTYPED_MESSAGE = "failed to create typed live object"
"""Message of the server, as a 500, if types are wrong that were stored before a schema forbade them."""

WEBHOOK_MESSAGE = "failed calling webhook"
"""Message of the server, as a 500, if it can't reach a required webhook."""

FALLBACK_RETRY_AFTER = 1.0
MAX_RETRY_AFTER = 300.0
"""Longest pause for one answer, which may come from a broken proxy."""


def from_response(title: str, status: int, body: bytes, headers: Mapping[str, str]) -> KubeError:
    """Return the error for an answer that isn't 2xx; `title` is the call's name in its message."""
    status_document = parse_status(body)
    reason = str(status_document.get("reason") or "")
    message = str(
        status_document.get("message") or body[:LONGEST_DETAIL].decode(errors="replace").strip()
    )
    text = f"{title}: {status} {reason}: {message}".replace(" : ", ": ")
    if status == 429:  # noqa: PLR2004  # an HTTP status is its own name
        return TooManyRequests(
            text, retry_after=retry_after(status_document, headers), reason=reason
        )
    if reason == "AlreadyExists":
        return AlreadyExists(text, status=status, reason=reason)
    if TERMINATING_MESSAGE in message:
        return NamespaceTerminating(text, status=status, reason=reason)
    if WEBHOOK_MESSAGE in message:
        return WebhookFailed(text, status=status, reason=reason)
    if UNTYPED_MESSAGE in message:
        return Unapplicable(text, status=status, reason=reason)
    return ERROR_BY_STATUS.get(status, Transient)(text, status=status, reason=reason)


def parse_status(body: bytes) -> dict[str, Any]:
    """Return the Status object of an error, or an empty one: proxies may answer with any text."""
    try:
        status_document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return status_document if isinstance(status_document, dict) else {}


def retry_after(status_document: Mapping[str, Any], headers: Mapping[str, str]) -> float:
    """Return the seconds of a 429: from its header, else from Status details, else one; 300 at most."""
    details = status_document.get("details")
    hinted_seconds = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    for value in (headers.get("Retry-After"), hinted_seconds):
        try:
            return min(max(0.0, float(value)), MAX_RETRY_AFTER)  # type: ignore[arg-type]  # None and dates raise too
        except (TypeError, ValueError):
            continue
    return FALLBACK_RETRY_AFTER
