"""Writes as the reader, so that the API server's audit log and policies apply to this person, not to the page."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urlsplit

from aiohttp import web

from sluicegate.api.base import rfc3339
from sluicegate.errors import SluicegateError
from sluicegate.kube import requests
from sluicegate.kube.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    TimedOut,
    Unauthorized,
)
from sluicegate.web.identity import AUTHENTICATED_GROUP, SYSTEM_PREFIX, UNAVAILABLE, PageReader

FIELD_MANAGER: Final = "sluicegate-web"
FORM: Final = "application/x-www-form-urlencoded"
FORBIDDEN, NOT_FOUND, CONFLICT, UNPROCESSABLE = 403, 404, 409, 422


class WriteRefused(SluicegateError):  # noqa: N818 - the request was refused; nothing failed
    """A write as the reader is refused: the status of the answer, and a sentence with the way out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class WriteWords:
    """The texts for refused writes of one kind.

    Attributes
    ----------
    thing : what is written, e.g. signature. target : what it is written to, e.g. review.
    deed : what the reader does, e.g. sign. setting : of the chart, which allows it.
    command : what does the same. role : a role that may.
    """

    thing: str
    target: str
    deed: str
    setting: str
    command: str
    role: str = "product-manager"


LEEWAY_SECONDS: Final = 60
"""Seconds that the clock of the issuer of a login may be ahead."""


@dataclass(frozen=True, slots=True)
class RecentLogin:
    """Requirement of a recent login; without one by default.

    Attributes
    ----------
    seconds : greatest age of the login; 0 for any. url : address at which readers log in again; empty without one.
    """

    seconds: int = 0
    url: str = ""

    def objection(self, reader: PageReader, now: float) -> str:
        """Return why a reader may not move traffic with this login; empty if the reader may.

        The owner of a kubeconfig has no login at the page. `now` is in seconds since the epoch.
        """
        if not self.seconds or reader.own:
            return ""
        limit = f"what moves traffic needs a login of the last {self.seconds // 60} minutes"
        if reader.login_time is None:
            return f"The time of your login is unknown, and {limit}: the login has to carry its auth_time."
        if now - reader.login_time <= self.seconds and reader.login_time <= now + LEEWAY_SECONDS:
            return ""
        return f"You logged in at {rfc3339(reader.login_time)}, and {limit}: log in again, then send the form."

    def address(self, path: str) -> str:
        """Return where a reader logs in again, to continue at this path of the page; empty without a URL."""
        if not self.url:
            return ""
        return f"{self.url}{'&' if '?' in self.url else '?'}rd={quote(path, safe='')}"


ANY_LOGIN: Final = RecentLogin()


def may_write(reader: PageReader) -> bool:
    """Return whether this reader is an identified person, not a configured user or a service account."""
    return bool(reader.session) and (reader.own or not reader.user.startswith(SYSTEM_PREFIX))


def form_token(reader: PageReader, *subjects: str) -> str:
    """Return a form token for this reader and these values, which other sites can't guess."""
    text = "\0".join(subjects)
    return hmac.new(reader.session, text.encode(), sha256).hexdigest()


def form_texts(fields: Mapping[str, Any], form_names: Iterable[str]) -> dict[str, str]:
    """Return the fields of a form by name; a value that is no text is empty."""
    return {
        name: value.strip() if isinstance(value := fields.get(name), str) else ""
        for name in form_names
    }


def matches_token(token: str, expected_token: str) -> bool:
    """Compare tokens in constant time."""
    return hmac.compare_digest(token.encode(), expected_token.encode())


def in_the_name_of(reader: PageReader, request: requests.ApiRequest) -> requests.ApiRequest:
    """Return the request with impersonation of the reader.

    Raises
    ------
    WriteRefused
        A name of the reader can't be sent in a header.
    """
    if reader.own:
        return request  # the kubeconfig is already this user's
    groups = [
        group for group in reader.groups if group != AUTHENTICATED_GROUP
    ]  # the API server adds it
    try:
        return requests.as_user(
            request, reader.user, groups=groups, uid=reader.uid, extra_attributes=dict(reader.extra)
        )
    except ValueError as error:
        raise WriteRefused(FORBIDDEN, f"Your login can't be passed on: {error}.") from error


def is_from_the_page(request: web.Request) -> bool:
    """Return whether a form was sent by a page of this address, by headers that no script can set."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site == "same-origin"
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host


def refusal_of(
    error: KubeError, reader: PageReader, words: WriteWords, namespace: str
) -> WriteRefused:
    """Return the API server's refusal in plain words, with the way out."""
    message = str(error).partition(f"{error.reason}: ")[2] if error.reason else str(error)
    status = UNAVAILABLE
    match error:
        case Forbidden():
            status, text = FORBIDDEN, _forbidden_text(message, reader, words, namespace)
        case Conflict():
            status, text = (
                CONFLICT,
                f"The {words.target} changed meanwhile: read it again, then {words.deed}.",
            )
        case NotFound():
            status, text = NOT_FOUND, f"The {words.target} was deleted meanwhile."
        case Invalid():
            status, text = UNPROCESSABLE, f"The API server refuses the {words.thing}: {message}."
        case TimedOut():
            text = (
                f"The API server did not answer in time: reload the {words.target} to see whether it has your"
                f" {words.thing}."
            )
        case Unauthorized() if reader.own:
            text = "The API server does not accept your kubeconfig any more: log in again."
        case _:
            text = f"The API server does not take the {words.thing} now: try again in a minute ({message})."
    return WriteRefused(status, text)


def _forbidden_text(message: str, reader: PageReader, words: WriteWords, namespace: str) -> str:
    """Return the cause of a refusal: a policy, the page's account, or the reader's own roles."""
    _, by_policy, reason = message.partition("denied request: ")
    if by_policy:
        return f"The policy refuses the {words.thing}: {reason}."
    if "impersonate" in message and not reader.own:
        capitalised_deed = words.deed[0].upper() + words.deed[1:]
        return (
            f"The page may not {words.deed} in your name: {words.setting} of the chart allows it, from Kubernetes"
            f" 1.36 on. {capitalised_deed} by `{words.command}`."
        )
    return (
        f"{reader.user} may not change {words.target}s in {namespace}: ask for one of the chart's roles"
        f" there, e.g. {words.role}. The API server says: {message}."
    )
