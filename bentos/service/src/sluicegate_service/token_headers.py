"""Tokens in a header of the answer, so that the answer itself stays as it is.

A service that returns one prediction a request needs no line for it: the operator's setting
(`serving.feedback.prediction`) has the prediction's place in the answer, and this application signs
what is there. A service with code of its own puts tokens of `token` and `tokens` into the header
with `header=True`. Several tokens are separated by commas.

The setting may also name the caller's own id of a prediction, in a header or a field of the
request. The token is then bound to that id.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.answers import Answer, current_answer
from sluicegate_service.environment import MIRRORED_PATH, PREDICTION
from sluicegate_service.json_paths import MISSING, value_at
from sluicegate_service.mirroring import Received, Sent, current_request, replayed
from sluicegate_service.tokens import VALID_ID, is_valid_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sluicegate_service.paths import Application, Message, Receive, Scope, Send
    from sluicegate_service.tokens import ShadowPrediction

HEADER: Final = "sluicegate-token"
MAX_HEADER_BYTES: Final = 2048
"""Bytes of the header at most: gateways answer 502 to headers that fill their buffer, often 4 KiB."""
MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Bytes of an answer, at most, in which a prediction is searched."""
log = logging.getLogger("sluicegate.feedback")


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Place of the prediction in an answer, and of the caller's id in a request.

    Attributes
    ----------
    field : path in the answer's JSON; empty for the whole answer.
    id_header, id_field : the header, in lower case, or the path in the request's JSON; empty if
        callers name no ids.
    tolerance_percent : a number is right within this share of the truth; None for equality.
    """

    field: str = ""
    id_header: str = ""
    id_field: str = ""
    tolerance_percent: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> AnswerSettings | None:
        """Read the operator's variable; None if it isn't set. ValueError has the mistake."""
        text = environment.get(PREDICTION)
        if not text:
            return None
        try:
            settings_json = json.loads(text)
            place = settings_json.get("id") or {}
            tolerance = settings_json.get("tolerancePercent")
            return cls(
                field=str(settings_json.get("field") or ""),
                id_header=str(place.get("header") or "").lower(),
                id_field=str(place.get("field") or ""),
                tolerance_percent=None if tolerance is None else float(tolerance),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{PREDICTION} isn't as the operator writes it: {error!r}") from error


class TokensInHeaders:
    """An ASGI application that adds the header to the answers of another one.

    It must be behind the limits on requests, which pass on complete bodies.

    Attributes
    ----------
    paths : of the API, without /feedback.
    settings : None if only the service's own code chooses predictions.
    sign : returns the token of a prediction, None without a key; raises ValueError for one that is
        too large.
    """

    def __init__(
        self,
        application: Application,
        paths: frozenset[str],
        settings: AnswerSettings | None,
        sign: Callable[[Any, ShadowPrediction | None], str | None],
    ) -> None:
        self._application = application
        self._paths = paths
        self._settings = settings
        self._sign = sign
        self._warned: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the tokens in the header."""
        if scope["type"] != "http" or scope["path"].removeprefix(MIRRORED_PATH) not in self._paths:
            await self._application(scope, receive, send)
            return
        answer = Answer()
        if self._settings is not None:
            answer.caller_id, receive = await self._caller_id(self._settings, scope, receive)
        token = current_answer.set(answer)
        try:
            await self._application(scope, receive, _Sending(self, answer, send))
        finally:
            current_answer.reset(token)

    async def _caller_id(
        self, settings: AnswerSettings, scope: Scope, receive: Receive
    ) -> tuple[str, Receive]:
        """Return the caller's id, empty if there is none, and `receive` for the application."""
        if settings.id_header:
            return self._valid_id(header(scope, settings.id_header)), receive
        if not settings.id_field:
            return "", receive
        message = await receive()
        try:
            caller_id = value_at(json.loads(message.get("body", b"")), settings.id_field)
        except (ValueError, RecursionError):
            caller_id = MISSING
        text = (
            str(caller_id)
            if isinstance(caller_id, str | int) and not isinstance(caller_id, bool)
            else ""
        )
        return self._valid_id(text), replayed(message, receive)

    def _valid_id(self, text: str) -> str:
        if not text or is_valid_id(text):
            return text
        self.warn(f"an id of {len(text)} characters is ignored: one has {VALID_ID}")
        return ""

    @property
    def settings(self) -> AnswerSettings | None:
        """The operator's settings."""
        return self._settings

    async def sign(self, answer: Answer, body: bytes) -> None:
        """Sign the prediction in an answer's body, for its header."""
        assert self._settings is not None
        try:
            value = value_at(json.loads(body), self._settings.field)
        except (ValueError, RecursionError):
            value = MISSING
        if value is MISSING:
            self.warn(
                f"an answer has no {self._settings.field!r}, so it has no token: set"
                " serving.feedback.prediction.field to the path of the prediction in the answer"
            )
            return
        request = current_request.get()
        if isinstance(request, Received):  # the answer goes to another pod only
            request.predictions = [value]
            return
        shadow = (await request.shadows(1))[0] if isinstance(request, Sent) else None
        try:
            token = self._sign(value, shadow)
        except ValueError as error:
            self.warn(f"{error}; serving.feedback.prediction.field chooses a part of the answer")
            return
        if token is not None:
            answer.header.append(token)

    def header_of(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        """Return the header with an answer's tokens; none without tokens, or if they are too large."""
        text = ",".join(answer.header).encode()
        if len(text) > MAX_HEADER_BYTES:
            self.warn(
                f"{len(answer.header)} tokens of {len(text)} bytes are left out of the header, which"
                f" has at most {MAX_HEADER_BYTES}: return them in the answer's body"
            )
            return []
        return [(HEADER.encode(), text)] if text else []

    def warn(self, text: str) -> None:
        """Log a warning, each once a process, and at most a hundred."""
        if text not in self._warned and len(self._warned) < 100:  # noqa: PLR2004 - a bound of memory
            self._warned.add(text)
            log.warning("%s", text)


class _Sending:
    """`send` of one request. It holds the answer's start until the prediction in its body is signed."""

    def __init__(self, tokens: TokensInHeaders, answer: Answer, send: Send) -> None:
        self._tokens, self._answer, self._send = tokens, answer, send
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._is_signed_here(message):
                self._start = message
            else:
                await self._send(self._with_header(message))
        elif self._start is None:
            await self._send(message)
        else:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._release(self._start)

    async def _release(self, start: Message) -> None:
        body = b"".join(self._parts)
        await self._tokens.sign(self._answer, body)
        self._start = None
        await self._send(self._with_header(start))
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _is_signed_here(self, start: Message) -> bool:
        """Return whether the answer is whole JSON whose prediction the service's code hasn't signed."""
        if self._tokens.settings is None or self._answer.issued:
            return False
        request = current_request.get()
        if isinstance(request, Received) and request.predictions is not None:
            return False
        headers = dict(start.get("headers", ()))
        length = headers.get(b"content-length", b"")
        return (
            HTTPStatus.OK <= start["status"] < HTTPStatus.MULTIPLE_CHOICES
            and headers.get(b"content-type", b"").startswith(b"application/json")
            and length.isdigit()
            and int(length) <= MAX_ANSWER_BYTES
        )

    def _with_header(self, start: Message) -> Message:
        added = self._tokens.header_of(self._answer)
        return {**start, "headers": [*start.get("headers", ()), *added]} if added else start


def header(scope: Scope, name: str) -> str:
    """Return the only value of a request's header, without spaces around; else an empty text.

    Bytes that aren't UTF-8 become surrogates, which aren't printable.
    """
    key_bytes = name.encode()
    values = [value for key, value in scope["headers"] if key == key_bytes]
    if len(values) != 1:
        return ""
    value: bytes = values[0]
    return value.strip().decode(errors="surrogateescape")
