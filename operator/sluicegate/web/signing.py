"""Signatures of reviews as the reader, so that the API server's audit log and policies apply to this person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api.review import DataProductReview, SignVerdict
from sluicegate.errors import InvalidInput
from sluicegate.kube import requests
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.kube.transport import Transport
from sluicegate.reviews.seal import differs_from_seal
from sluicegate.reviews.signing import Signature, role_of, signed
from sluicegate.web.identity import PageReader
from sluicegate.web.impersonation import (
    FIELD_MANAGER,
    FORBIDDEN,
    UNPROCESSABLE,
    WriteRefused,
    WriteWords,
    form_texts,
    form_token,
    in_the_name_of,
    matches_token,
    may_write,
    refusal_of,
)

LONGEST_NOTE: Final = 500
"""Most characters of a note, by the definition of a review."""


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
        texts = form_texts(fields, cls.__slots__)
        return cls(**texts | {"note": texts["note"].replace("\r\n", "\n")})


class Signing:
    """Signer of reviews as their readers; `clock` returns seconds since the epoch."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock

    @staticmethod
    def token(reader: PageReader, key: Key, review: DataProductReview) -> str:
        """Return the token of a form of this reader for this review, unknown to other sites.

        A signature of the reader changes it, so that an older form replaces none.
        """
        own_signatures = (
            f"{sign_off.role}/{sign_off.verdict}/{sign_off.sign_time}"
            for sign_off in review.spec.sign_offs
            if sign_off.username == reader.user
        )
        return form_token(reader, "sign", reader.user, str(key), *own_signatures)

    async def sign(
        self, reader: PageReader, key: Key, review: DataProductReview, form: SignForm
    ) -> dict[str, Any]:
        """Sign as the reader; return the review of the API server's answer.

        Raises
        ------
        WriteRefused
            The form, the state of the review, or the API server doesn't allow it.
        """
        if not may_write(reader):
            raise WriteRefused(FORBIDDEN, "Only a person can sign: log in as one.")
        if not matches_token(form.token, self.token(reader, key, review)):
            text = "Your login changed, or you have signed since the form was shown: read it again."
            raise WriteRefused(FORBIDDEN, text)
        if form.verdict not in {str(verdict) for verdict in SignVerdict}:
            choices = " or ".join(SignVerdict)
            raise WriteRefused(UNPROCESSABLE, f'The verdict is "{form.verdict}": choose {choices}.')
        if len(form.note) > LONGEST_NOTE:
            text = f"The note has {len(form.note)} characters: shorten it to {LONGEST_NOTE}."
            raise WriteRefused(UNPROCESSABLE, text)
        try:
            role = role_of(review, reader.user, form.role or None)
        except InvalidInput as error:
            raise WriteRefused(UNPROCESSABLE, f"{error}.") from error
        if differs_from_seal(review) and form.verdict != SignVerdict.OBJECT:
            text = "The digest does not match, so the ledger was changed after it was sealed: choose Object."
            raise WriteRefused(UNPROCESSABLE, text)
        change = signed(
            review,
            Signature(reader.user, role, form.verdict, form.note),
            sign_time=int(self._clock()),
        )
        request = requests.patch_request(
            DATA_PRODUCT_REVIEWS, key, change,
            field_manager=FIELD_MANAGER, resource_version=review.metadata.resource_version,
        )  # fmt: skip
        try:
            return await self._transport.send(in_the_name_of(reader, request))
        except KubeError as error:
            raise refusal_of(error, reader, _words(key), key.namespace) from error


def _words(key: Key) -> WriteWords:
    command = f"sluicegate review sign {key}"
    return WriteWords("signature", "review", "sign", "web.signing", command)
