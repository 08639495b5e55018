"""HTTP requests to receivers, including CloudEvents; errors name the sink, but never its address."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from sluicegate.notify.cloud_events import binary_request, event_of, structured_request
from sluicegate.notify.configuration import CloudEventsSink, HttpSink, Mode
from sluicegate.notify.delivery import Undelivered
from sluicegate.notify.message_batches import Message
from sluicegate.runtime.clock import Clock

ANSWER_SECONDS: Final = 10.0
REFUSALS: Final = frozenset({400, 413, 415, 422})
"""Status codes that another attempt would get, too: the message itself is refused."""
SUCCESS_CLASS: Final = 2
ASKS_TO_WAIT: Final = frozenset({429, 503})


class Http(Protocol):
    """Sender of HTTP requests."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, ca_file: Path | None
    ) -> tuple[int, Mapping[str, str]]:
        """Post a body; return status and headers of the answer. OSError or aiohttp.ClientError without one."""

    async def keep(self) -> None:
        """Keep connections until cancelled, then close them."""


@dataclass(slots=True)
class AiohttpClient:
    """Sender with aiohttp: no redirects, no cookies, and the proxy of the environment."""

    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, ca_file: Path | None
    ) -> tuple[int, Mapping[str, str]]:
        """Post a body; return status and headers of the answer. OSError or aiohttp.ClientError without one."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=True,
            )
        tls_context = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        async with self._session.post(
            url, data=body, headers=dict(headers), allow_redirects=False, ssl=tls_context
        ) as response:
            return response.status, dict(response.headers)

    async def keep(self) -> None:
        """Keep connections until cancelled, then close them."""
        try:
            await asyncio.Event().wait()
        finally:
            session, self._session = self._session, None
            if session is not None:
                await session.close()


async def deliver_message(
    http: Http, sink: HttpSink, headers: Mapping[str, str], body: bytes, *, wall_clock: Clock,
    path: str = "",
) -> None:  # fmt: skip
    """Post a body to a sink; `path` is below its address.

    Raises
    ------
    Undelivered
        It wasn't accepted.
    """
    try:
        url = sink.address().rstrip("/") + path if path else sink.address()
        all_headers = {**headers, "User-Agent": "sluicegate-notify"}
        if sink.token_file is not None:
            token = sink.token_file.read_text(encoding="utf-8").strip()
            all_headers["Authorization"] = f"Bearer {token}"
    except (OSError, ValueError) as error:
        text = f"a file of the sink can't be used: {type(error).__name__}"
        raise Undelivered(text, cause="configuration") from error
    try:
        status, answer_headers = await http.post(url, all_headers, body, sink.ca_file)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # Without the error's own text, which may contain the address.
        raise Undelivered(f"no answer: {type(error).__name__}", cause="connection") from None
    if status // 100 == SUCCESS_CLASS:
        return
    seconds = (
        _retry_seconds(answer_headers.get("Retry-After", ""), wall_clock)
        if status in ASKS_TO_WAIT
        else 0.0
    )
    raise Undelivered(
        f"HTTP {status}", cause=f"http_{status // 100}xx", retry_after=seconds,
        is_final=status in REFUSALS,
    )  # fmt: skip


def _retry_seconds(text: str, wall_clock: Clock) -> float:
    """Return the seconds of a Retry-After, given in seconds or as a date; 0 if it can't be read."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        retry_date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    retry_date = retry_date if retry_date.tzinfo else retry_date.replace(tzinfo=UTC)
    return max(0.0, (retry_date - datetime.fromtimestamp(wall_clock(), UTC)).total_seconds())


@dataclass(frozen=True, slots=True)
class CloudEventsReceiver:
    """Sender of CloudEvents to one receiver."""

    sink: CloudEventsSink
    http: Http
    wall: Clock
    cluster: str = ""
    portfolio: str = ""

    async def send(self, message: Message, number: int) -> None:
        """Send a message; raise Undelivered unless the receiver has accepted it."""
        event = event_of(message, cluster=self.cluster, number=number, portfolio=self.portfolio)
        form = binary_request if self.sink.mode is Mode.BINARY else structured_request
        headers, body = form(event)
        await deliver_message(self.http, self.sink, headers, body, wall_clock=self.wall)
