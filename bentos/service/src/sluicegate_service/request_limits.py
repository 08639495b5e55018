"""Limits on the bodies of requests, which are read before the service gets them.

BentoML reads and parses a whole body before any code of the service runs, whatever its size and
sender. So this application reads it first: size and duration are limited, a caller of /feedback
without the bearer is refused before anything is read, and the memory of all bodies is limited (see
`bodies`). The service gets only complete bodies, so a refused request doesn't affect its metrics,
and a slow sender doesn't slow down an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sluicegate_service.bodies import Bodies
from sluicegate_service.environment import DEFAULT_MAX_REQUEST_BYTES, MAX_REQUEST_BYTES
from sluicegate_service.keys import UNUSABLE, KeyFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sluicegate_service.bodies import Body
    from sluicegate_service.keys import KeyFiles
    from sluicegate_service.paths import Application, Message, Receive, Scope, Send

FEEDBACK_BYTES: Final = 1024 * 1024
"""Largest body of /feedback; five hundred labels with ordinary tokens are a fifth of it."""
LINGER_SECONDS: Final = 5.0
"""Seconds for which the rest of a refused body is read and discarded: a connection that is closed
with unread bytes is reset, and the caller may not get the answer."""
LARGEST: Final = 1024**3


class Refused(Exception):  # noqa: N818 - says what is the case
    """The request is refused."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class Gone(Exception):  # noqa: N818 - the same
    """The caller disconnected before its request was complete."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request: bytes, and seconds in total and between two parts of its body."""

    body_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    feedback_bytes: int = FEEDBACK_BYTES
    seconds: float = 60.0
    idle_seconds: float = 10.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """Read the operator's `serving.maxRequestBytes`; ValueError has the mistake."""
        text = environment.get(MAX_REQUEST_BYTES, str(DEFAULT_MAX_REQUEST_BYTES))
        if not (text.isascii() and text.isdecimal() and 0 < int(text) <= LARGEST):
            raise ValueError(f"{MAX_REQUEST_BYTES} must be 1 to {LARGEST} bytes, not {text!r}")
        return cls(body_bytes=int(text))


@dataclass(frozen=True, slots=True)
class FeedbackRoute:
    """Path of feedback, and its authorization."""

    path: str
    keys: KeyFiles

    def admit(self, scope: Scope) -> None:
        """Raise Refused unless the caller has the bearer; if feedback is off, the service answers so."""
        try:
            keys = self.keys.current()
        except KeyFileError:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "NoFeedbackKey", UNUSABLE) from None
        header = _header(scope, b"authorization")
        if keys is not None and not keys.admits(header):
            raise Refused(HTTPStatus.UNAUTHORIZED, "NoBearer", "send the Secret's bearer token")


class RequestLimits:
    """An ASGI application before the service's. `on_refused` is called with the reason of each refusal."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        feedback: FeedbackRoute | None,
        on_refused: Callable[[str], None],
    ) -> None:
        self._application = application
        self._limits = limits
        self._feedback = feedback
        self._on_refused = on_refused
        self.bodies = Bodies(max(limits.body_bytes, limits.feedback_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body, or answer with the reason of a refusal."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        now = asyncio.get_running_loop().time()
        with self.bodies.hold(now) as body:
            try:
                whole_body = await self._take_in(scope, receive, body)
                await self._begin(body)
            except Refused as refused:
                whole_body = b""
                self.bodies.drop(body)  # its caller may need seconds to read the answer
                self._on_refused(refused.reason)
                await _answer(refused, receive, send)
                return
            except Gone:
                return
            try:
                replayed = _replayed([whole_body], receive)
                del whole_body  # so that the service frees it after parsing
                await self._application(scope, replayed, send)
            finally:
                self.bodies.end(body)

    async def _take_in(self, scope: Scope, receive: Receive, body: Body) -> bytes:
        limit, field = self._limits.body_bytes, "raise serving.maxRequestBytes"
        if self._feedback is not None and scope["path"] == self._feedback.path:
            self._feedback.admit(scope)
            limit, field = self._limits.feedback_bytes, "send the labels in several requests"
        announced = _announced_length(scope)
        too_large = Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "TooLarge",
            f"the body is larger than {limit} bytes: send less, or {field}",
        )
        if announced > limit:
            raise too_large
        if not self.bodies.take(body, announced, body.since):
            raise _busy()
        clock = asyncio.get_running_loop().time
        until = body.since + self._limits.seconds
        arrived = 0
        try:
            async with asyncio.timeout_at(
                min(until, body.since + self._limits.idle_seconds)
            ) as timer:
                body.timer = timer
                while True:
                    message = await receive()
                    now = clock()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    part = message.get("body", b"")
                    arrived += len(part)
                    if arrived > limit:
                        raise too_large
                    more = max(0, arrived - body.size)
                    if body.gave_way or not self.bodies.take(body, more, now):
                        raise _busy()
                    body.parts.append(part)
                    if not message.get("more_body", False):
                        break
                    timer.reschedule(min(until, now + self._limits.idle_seconds))
        except TimeoutError:
            raise (_busy() if body.gave_way else _late()) from None
        return self.bodies.take_whole(body)

    async def _begin(self, body: Body) -> None:
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self.bodies.begin(body)
        except TimeoutError:
            raise _busy() from None


def _header(scope: Scope, name: bytes) -> str | None:
    values = (value for key, value in scope["headers"] if key == name)
    value = next(values, None)
    return None if value is None else value.decode("latin-1")


def _announced_length(scope: Scope) -> int:
    """Return the announced length of the body; 0 without one."""
    text = _header(scope, b"content-length") or ""
    return int(text[:20]) if text.isascii() and text.isdecimal() else 0


def _replayed(parts: list[bytes], receive: Receive) -> Receive:
    """Return `receive` for a request whose body has arrived."""

    async def replayed() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await receive()

    return replayed


def _busy() -> Refused:
    return Refused(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Busy",
        "other requests fill what bodies may take together: try again, or raise"
        " serving.maxRequestBytes and the memory in serving.resources",
    )


def _late() -> Refused:
    message = "the body didn't arrive in time: send it again, without a pause"
    return Refused(HTTPStatus.REQUEST_TIMEOUT, "Late", message)


async def _answer(refused: Refused, receive: Receive, send: Send) -> None:
    """Answer with the reason, then discard the rest of the body for some seconds, and close the connection."""
    text = json.dumps({"error": str(refused)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    if refused.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    if refused.status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": int(refused.status), "headers": headers})
    await send({"type": "http.response.body", "body": text, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
    await send({"type": "http.response.body", "body": b"", "more_body": False})
