"""Signatures of reviews as the reader, so that the API server's audit log and policies apply to this person."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from sluicegate.api.review import DataProductReview, SignVerdict
from sluicegate.errors import InvalidInput, SluicegateError
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
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.kube.transport import Transport
from sluicegate.reviews.journal import disagrees_with_seal
from sluicegate.reviews.signing import Signature, role_of, signed
from sluicegate.web.identity import AUTHENTICATED, SYSTEM, UNAVAILABLE, PageReader

FIELD_MANAGER: Final = "sluicegate-web"
LONGEST_NOTE: Final = 500
"""Most characters of a note, by the definition of a review."""
FORBIDDEN, GONE, CHANGED, WRONG = 403, 404, 409, 422


class SigningRefused(SluicegateError):  # noqa: N818 - the request was refused; nothing failed
    """A signature is refused: the status of the answer, and a sentence with the way out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class SignForm:
    """Fields of the form."""

    role: str = ""
    verdict: str = str(SignVerdict.AGREE)
    note: str = ""
    token: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "SignForm":
        """Parse the form of a request; a value that is no text is empty."""
        given = {
            name: value.strip() if isinstance(value := fields.get(name), str) else ""
            for name in cls.__slots__
        }
        return cls(**given | {"note": given["note"].replace("\r\n", "\n")})


class Signing:
    """Signer of reviews as their readers; `clock` returns seconds since the epoch."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock

    @staticmethod
    def offered(reader: PageReader) -> bool:
        """Return whether this reader is an identified person, not a configured user or a service account."""
        return bool(reader.session) and (reader.own or not reader.user.startswith(SYSTEM))

    @staticmethod
    def token(reader: PageReader, key: Key) -> str:
        """Return the token of a form of this reader for this review, unknown to other sites."""
        text = f"sign\0{reader.user}\0{key}"
        return hmac.new(reader.session, text.encode(), sha256).hexdigest()

    async def sign(
        self, reader: PageReader, key: Key, review: DataProductReview, form: SignForm
    ) -> dict[str, Any]:
        """Sign as the reader; return the review of the API server's answer.

        Raises
        ------
        SigningRefused
            The form, the state of the review, or the API server doesn't allow it.
        """
        if not self.offered(reader):
            raise SigningRefused(FORBIDDEN, "Only a person can sign: log in as one.")
        if not hmac.compare_digest(form.token.encode(), self.token(reader, key).encode()):
            raise SigningRefused(FORBIDDEN, "Your login changed meanwhile: sign again.")
        if form.verdict not in {str(one) for one in SignVerdict}:
            choices = " or ".join(SignVerdict)
            raise SigningRefused(WRONG, f'The verdict is "{form.verdict}": choose {choices}.')
        if len(form.note) > LONGEST_NOTE:
            text = f"The note has {len(form.note)} characters: shorten it to {LONGEST_NOTE}."
            raise SigningRefused(WRONG, text)
        try:
            role = role_of(review, reader.user, form.role or None)
        except InvalidInput as error:
            raise SigningRefused(WRONG, f"{error}.") from error
        if disagrees_with_seal(review) and form.verdict != SignVerdict.OBJECT:
            text = "The digest does not match, so the ledger was changed after it was sealed: choose Object."
            raise SigningRefused(WRONG, text)
        change = signed(
            review,
            Signature(reader.user, role, form.verdict, form.note),
            at=int(self._clock()),
        )
        request = requests.patch(
            DATA_PRODUCT_REVIEWS, key, change,
            manager=FIELD_MANAGER, resource_version=review.metadata.resource_version,
        )  # fmt: skip
        try:
            return await self._transport.send(_in_the_name_of(reader, request))
        except KubeError as error:
            raise refusal_of(error, reader, key) from error


def _in_the_name_of(reader: PageReader, request: requests.ApiRequest) -> requests.ApiRequest:
    if reader.own:
        return request  # the kubeconfig is already this user's
    groups = [group for group in reader.groups if group != AUTHENTICATED]  # the API server adds it
    try:
        return requests.as_user(
            request, reader.user, groups=groups, uid=reader.uid, extra=dict(reader.extra)
        )
    except ValueError as error:
        raise SigningRefused(FORBIDDEN, f"Your login can't be passed on: {error}.") from error


def is_from_the_page(request: web.Request) -> bool:
    """Return whether a form was sent by a page of this address, by headers that no script can set."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host


def refusal_of(error: KubeError, reader: PageReader, key: Key) -> SigningRefused:
    """Return the API server's refusal in plain words, with the way out."""
    said = str(error).partition(f"{error.reason}: ")[2] if error.reason else str(error)
    status = UNAVAILABLE
    match error:
        case Forbidden():
            status, text = FORBIDDEN, _forbidden(said, reader, key)
        case Conflict():
            status, text = CHANGED, "The review changed meanwhile: read it again, then sign."
        case NotFound():
            status, text = GONE, "The review was deleted meanwhile."
        case Invalid():
            status, text = WRONG, f"The API server refuses the signature: {said}."
        case TimedOut():
            text = "The API server did not answer in time: reload the review to see whether it has your signature."
        case Unauthorized() if reader.own:
            text = "The API server does not accept your kubeconfig any more: log in again."
        case _:
            text = (
                f"The API server does not take the signature now: try again in a minute ({said})."
            )
    return SigningRefused(status, text)


def _forbidden(said: str, reader: PageReader, key: Key) -> str:
    """Return the cause of a refusal: a policy, the page's account, or the reader's own roles."""
    _, by_policy, reason = said.partition("denied request: ")
    if by_policy:
        return f"The policy refuses the signature: {reason}."
    if "impersonate" in said and not reader.own:
        return (
            "The page may not sign in your name: web.signing of the chart allows it, from Kubernetes"
            f" 1.36 on. Sign by `sluicegate review sign {key}`."
        )
    return (
        f"{reader.user} may not change reviews in {key.namespace}: ask for one of the chart's roles"
        f" there, e.g. product-manager. The API server says: {said}."
    )
