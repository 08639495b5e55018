"""Mirroring of a share of the requests to the candidate, whose predictions are added to the answers' tokens.

`rollout.shadow.mirror` enables it. A pod of the stable version sends a copy of a request to the
candidate while it computes its own answer, which contains nothing of the candidate except a sealed
part of its tokens. It waits for the candidate no longer than the time budget, limits the number of
such requests in flight, and answers without the candidate's prediction if one is late, fails or
isn't sent.

A pod that gets a mirrored request runs the service's own code, but returns only the values that
this code passed to `tokens`. The request is counted under a path of its own, so that no indicator
includes it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.environment import MIRROR, MIRRORED_METRIC, MIRRORED_PATH
from sluicegate_service.sealing import Seal, UnsealableError
from sluicegate_service.tokens import ShadowPrediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sluicegate_service.feedback import Settings
    from sluicegate_service.keys import KeyFiles
    from sluicegate_service.paths import Application, Message, Receive, Scope, Send

HEADER: Final = "sluicegate-mirrored"
LARGEST_BYTES: Final = 1024 * 1024
"""Largest request that is mirrored, and largest answer of the candidate."""
LIFETIME_SECONDS: Final = 60
"""Lifetime of the header, by the clocks of two nodes."""
MOST_FAILURES: Final = 3
"""Failures in a row after which mirroring pauses."""
PAUSE_SECONDS: Final = 15.0
_OWN_HEADERS: Final = frozenset(
    {
        b"accept-encoding", b"connection", b"content-length", b"expect", b"host", b"keep-alive",
        b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", HEADER.encode(),
    }
)  # fmt: skip
"""Headers of a connection, which aren't copied."""
log = logging.getLogger("sluicegate.mirroring")


class Result(StrEnum):
    """Result of a request that was chosen to be mirrored."""

    ANSWERED = "answered"
    LATE = "late"
    """No answer within the time budget."""
    FAILED = "failed"
    ABSENT = "absent"
    """No pod of another version answers."""
    BUSY = "busy"
    """The limit of requests in flight is reached."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Address and limits of mirrored requests.

    Attributes
    ----------
    share : of the requests, within (0, 1]. seconds : time budget of the candidate.
    most : mirrored requests of this process in flight.
    """

    url: str
    share: float
    seconds: float
    most: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Mirror | None:
        """Read the operator's variable; None if it isn't set. ValueError has the mistake."""
        text = environment.get(MIRROR)
        if not text:
            return None
        try:
            settings_json = json.loads(text)
            return cls(
                url=str(settings_json["url"]).rstrip("/"),
                share=int(settings_json["percent"]) / 100,
                seconds=int(settings_json["timeoutMilliseconds"]) / 1000,
                most=int(settings_json["maxConcurrency"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{MIRROR} isn't as the operator writes it: {error!r}") from error


@dataclass(slots=True)
class Sent:
    """A request of a user that was copied to the candidate."""

    _answer: asyncio.Task[Sequence[ShadowPrediction]] | None

    async def shadows(self, count: int) -> Sequence[ShadowPrediction | None]:
        """Return the candidate's predictions, one for each of the answer's; None for missing ones."""
        answer, self._answer = self._answer, None
        predictions = () if answer is None else await answer
        # With another number, predictions can't be assigned.
        return predictions if len(predictions) == count else (None,) * count

    def end(self) -> None:
        """Cancel a request that wasn't awaited."""
        if self._answer is not None:
            self._answer.cancel()


@dataclass(slots=True)
class Received:
    """A request to this pod that counts for nothing, with the predictions of its answer.

    It is a mirrored one, or a preview.
    """

    predictions: list[Any] | None = None


current_request: ContextVar[Sent | Received | None] = ContextVar("current_request", default=None)
"""The current request, if it is mirrored or a mirror."""


def count_mirrored() -> Callable[[Result], None]:
    """Return a function that counts requests chosen to be mirrored, by result."""
    from prometheus_client import Counter  # noqa: PLC0415 - reads the environment when imported

    counter = Counter(MIRRORED_METRIC, "Requests chosen to be mirrored.", ["result"])
    for result in Result:
        counter.labels(result=result.value)
    return lambda result: counter.labels(result=result.value).inc()


@dataclass(slots=True)
class MirroredRequests:
    """An ASGI application that mirrors requests of another one, and answers mirrored ones.

    It must be behind the limits on requests, which pass on complete bodies.

    Attributes
    ----------
    paths : the mirrored ones.
    identity : of this pod. keys : without any, nothing is mirrored.
    count : called with the result of each request that was chosen.
    draw, clock : functions that return a number in [0, 1), and seconds.
    """

    application: Application
    mirror: Mirror
    paths: frozenset[str]
    identity: Settings
    keys: KeyFiles
    count: Callable[[Result], None]
    draw: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    _under_way: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _paused_until: float = field(default=0.0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and mirror it if it is chosen."""
        if scope["type"] != "http" or scope["path"] not in self.paths:
            await self.application(scope, receive, send)
            return
        header = _header(scope)
        if header is not None:
            await self._answer_mirrored(scope, receive, send, header)
        elif self.draw() < self.mirror.share and self.clock() >= self._paused_until:
            await self._answer_beside_mirror(scope, receive, send)
        else:
            await self.application(scope, receive, send)

    # ---- a user's request ------------------------------------------------------------------
    async def _answer_beside_mirror(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        is_complete = message["type"] == "http.request" and not message.get("more_body", False)
        answer = self._sent(scope, message.get("body", b"")) if is_complete else None
        recorded_answer = Sent(answer)
        token = current_request.set(recorded_answer)
        try:
            await self.application(scope, replayed(message, receive), send)
        finally:
            current_request.reset(token)
            recorded_answer.end()

    def _sent(self, scope: Scope, body: bytes) -> asyncio.Task[Sequence[ShadowPrediction]] | None:
        """Return the task of the candidate's predictions; None if the request isn't mirrored."""
        keys = self.keys.signing()
        if not keys or len(body) > LARGEST_BYTES:
            return None
        if self._under_way >= self.mirror.most:
            self.count(Result.BUSY)
            return None
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(self._ask(scope, body, self._seal(keys)))
        task.add_done_callback(self._ended)
        return task

    def _ended(self, _: object) -> None:
        self._under_way -= 1

    async def _ask(self, scope: Scope, body: bytes, seal: Seal) -> Sequence[ShadowPrediction]:
        """Return the candidate's predictions; empty if it fails or is late."""
        import aiohttp  # noqa: PLC0415 - only pods that mirror need it

        predictions: Sequence[ShadowPrediction] = ()
        try:
            async with asyncio.timeout(self.mirror.seconds):
                predictions = await self._predictions(scope, body, seal)
            result = Result.ANSWERED
        except TimeoutError:
            result = Result.LATE
        except (_AbsentError, aiohttp.ClientConnectorError):
            result = Result.ABSENT
        except Exception:
            log.debug("a mirrored request failed", exc_info=True)
            result = Result.FAILED
        self._failures = 0 if result is Result.ANSWERED else self._failures + 1
        if result is Result.ABSENT or self._failures >= MOST_FAILURES:
            self._failures, self._paused_until = 0, self.clock() + PAUSE_SECONDS
        self.count(result)
        return predictions

    async def _predictions(
        self, scope: Scope, body: bytes, seal: Seal
    ) -> Sequence[ShadowPrediction]:
        import aiohttp  # noqa: PLC0415 - only pods that mirror need it
        from yarl import URL  # noqa: PLC0415 - the same

        target = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in _OWN_HEADERS
        ]
        subject = _subject_of(scope, body) | {"revision": self.identity.revision}
        # One connection each: a persistent one would send all requests of a pod to the same pod.
        async with aiohttp.request(
            scope["method"],
            URL(f"{self.mirror.url}{target}{'?' if query else ''}{query}", encoded=True),
            data=body,
            headers=[*headers, (HEADER, seal.close(subject))],
            allow_redirects=False,
        ) as response:
            if response.status == HTTPStatus.CONFLICT:
                raise _AbsentError
            response.raise_for_status()
            text = bytearray()
            async for part in response.content.iter_any():
                text += part
                if len(text) > LARGEST_BYTES:
                    raise ValueError(f"the predictions take more than {LARGEST_BYTES} bytes")
        return _read(bytes(text))

    # ---- a mirrored request ----------------------------------------------------------------
    async def _answer_mirrored(
        self, scope: Scope, receive: Receive, send: Send, header: str
    ) -> None:
        message = await receive()
        body = message.get("body", b"")
        subject = self._opened_header(header)
        if subject is None or {**subject, "revision": ""} != _subject_of(scope, body) | {
            "revision": ""
        }:
            await _answer(send, HTTPStatus.FORBIDDEN, {"error": f"{HEADER}: not of this product"})
            return
        if subject["revision"] == self.identity.revision:
            await _answer(send, HTTPStatus.CONFLICT, {"error": "the same version mirrors this"})
            return
        received, status = Received(), 0

        async def swallow(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        token = current_request.set(received)
        try:
            await self.application(mounted_apart(scope), replayed(message, receive), swallow)
        finally:
            current_request.reset(token)
        if status != HTTPStatus.OK or received.predictions is None:
            text = f"the service answers {status}, without a call of self.tokens"
            await _answer(send, HTTPStatus.BAD_GATEWAY, {"error": text})
            return
        predicted_by = {"version": self.identity.version, "revision": self.identity.revision}
        await _answer(send, HTTPStatus.OK, predicted_by | {"predictions": received.predictions})

    def _opened_header(self, sealed: str) -> dict[str, Any] | None:
        """Return the content of the header; None unless a pod of this product made it just now."""
        keys = self.keys.signing()
        if not keys:
            return None
        try:
            subject = self._seal(keys).open(sealed, lifetime_seconds=LIFETIME_SECONDS)
        except UnsealableError:
            return None
        return subject if isinstance(subject, dict) else None

    def _seal(self, keys: Sequence[bytes]) -> Seal:
        return Seal(self.identity.namespace, self.identity.product, keys, "a mirrored request")


class _AbsentError(Exception):
    """The pods that answered a mirrored request serve the version that sent it."""


def _subject_of(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the subject of a header, so that it is valid for this request only."""
    query = scope.get("query_string", b"").decode("latin-1")
    return {"path": scope["path"], "query": query, "body": sha256(body).hexdigest()}


def _read(text: bytes) -> Sequence[ShadowPrediction]:
    match json.loads(text):
        case {"version": str(version), "revision": str(revision), "predictions": [*values]}:
            return [ShadowPrediction(value, version, revision) for value in values]
        case _:
            raise ValueError("not the answer to a mirrored request")


def mounted_apart(scope: Scope) -> Scope:
    """Return the request under a path of its own, as for an application that is mounted there."""
    raw = scope.get("raw_path", scope["path"].encode())
    return {
        **scope,
        "path": MIRRORED_PATH + scope["path"],
        "raw_path": MIRRORED_PATH.encode() + raw,
        "root_path": scope.get("root_path", "") + MIRRORED_PATH,
    }


def _header(scope: Scope) -> str | None:
    key_bytes = HEADER.encode()
    return next(
        (text.decode("latin-1") for name, text in scope["headers"] if name == key_bytes), None
    )


def replayed(message: Message, receive: Receive) -> Receive:
    """Return `receive` for a request whose first message was consumed."""
    messages = [message]

    async def first() -> Message:
        return messages.pop() if messages else await receive()

    return first


async def _answer(send: Send, status: HTTPStatus, body: dict[str, Any]) -> None:
    text = json.dumps(body, allow_nan=False).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": text})
