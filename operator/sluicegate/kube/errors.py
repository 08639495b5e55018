"""What can go wrong with the API server, as types: who catches one decides about retrying by it.

Client libraries raise their own exceptions; they are converted at the transport and nothing
above this package sees them.
"""

# ruff: noqa: N818  # the classes are named as the API server names its reasons

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
    """The request itself is wrong: a bug of ours, or an older API server."""


class Unauthorized(KubeError):
    """The credentials are not accepted (any more)."""


class Forbidden(KubeError):
    """RBAC or an admission policy refuses; retrying soon doesn't help."""


class NotFound(KubeError):
    """The object, or its whole kind, does not exist."""


class Conflict(KubeError):
    """The object changed since it was read: observe again, then decide again."""


class AlreadyExists(Conflict):
    """A creation met an object of that name."""


class Gone(KubeError):
    """A continue token or a resourceVersion is too old: list again."""


class Invalid(KubeError):
    """The object breaks the schema, a CEL rule or an admission check; the message says which."""


class Unapplicable(Invalid):
    """The object as stored breaks its schema so far that the server applies nothing to it."""


class AnswerTooLarge(KubeError):
    """The answer has more bytes than the caller wants: ask for less."""


class Transient(KubeError):
    """No answer, or the server's own failure: the same call may succeed later."""


class TimedOut(Transient):
    """No answer in time; the write may or may not have happened."""


class WebhookFailed(Transient):
    """An admission webhook that must be asked gives no answer; other objects may pass."""


class TooManyRequests(Transient):
    """The server asks for patience.

    Attributes
    ----------
    retry_after
        Seconds the server wants to be left alone.
    """

    def __init__(self, message: str, *, retry_after: float, reason: str = "") -> None:
        super().__init__(message, status=429, reason=reason)
        self.retry_after = retry_after


class WriteFenced(KubeError):
    """The write was not sent, because the lease does not cover it any more."""


BY_STATUS: Mapping[int, type[KubeError]] = {
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

UNTYPED = "failed to create typed live object"
"""How the server puts it, as a 500, when types are wrong that were stored before a schema said so."""

UNCALLED = "failed calling webhook"
"""How the server puts it, as a 500, when it can't reach a webhook whose word it needs."""

FALLBACK_RETRY_AFTER = 1.0
LONGEST_RETRY_AFTER = 300.0
"""No answer may stop the operator for longer; it may come from a broken proxy."""


def from_response(what: str, status: int, body: bytes, headers: Mapping[str, str]) -> KubeError:
    """Return the error for an answer that isn't 2xx; `what` names the call in its message."""
    answer = parse_status(body)
    reason = str(answer.get("reason") or "")
    message = str(answer.get("message") or body[:LONGEST_DETAIL].decode(errors="replace").strip())
    text = f"{what}: {status} {reason}: {message}".replace(" : ", ": ")
    if status == 429:  # noqa: PLR2004  # an HTTP status is its own name
        return TooManyRequests(text, retry_after=retry_after(answer, headers), reason=reason)
    if reason == "AlreadyExists":
        return AlreadyExists(text, status=status, reason=reason)
    if UNCALLED in message:
        return WebhookFailed(text, status=status, reason=reason)
    if UNTYPED in message:
        return Unapplicable(text, status=status, reason=reason)
    return BY_STATUS.get(status, Transient)(text, status=status, reason=reason)


def parse_status(body: bytes) -> dict[str, Any]:
    """Return the Status object of an error, or an empty one: proxies answer with anything."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def retry_after(answer: Mapping[str, Any], headers: Mapping[str, str]) -> float:
    """Return the seconds a 429 asks for: by header, else by Status details, else one; 300 at most."""
    details = answer.get("details")
    hinted = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    for value in (headers.get("Retry-After"), hinted):
        try:
            return min(max(0.0, float(value)), LONGEST_RETRY_AFTER)  # type: ignore[arg-type]  # None and dates raise too
        except (TypeError, ValueError):
            continue
    return FALLBACK_RETRY_AFTER
