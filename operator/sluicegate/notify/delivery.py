"""Delivery of messages to one sink, in order for each product, until each was accepted or is too old.

Each sink has a loop of its own, so that a slow one doesn't delay others. A message that fails
delays only later ones of the same products; the pause before the next attempt grows with each
failure of a sink. Delivery is at least once: a process that ends between the sink's answer and the
write that records it sends the message again, with the same id.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sluicegate.errors import SluicegateError
from sluicegate.kube.errors import KubeError
from sluicegate.notify import metrics
from sluicegate.notify.journal import Journal
from sluicegate.notify.message_batches import Message
from sluicegate.notify.wording import wording_of
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.tasks import set_within

logger = logging.getLogger(__name__)

SEND_SECONDS: Final = 20.0
"""Timeout of a sink for one message."""
FIRST_PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE: Final = 300.0
MAX_REQUESTED_SECONDS: Final = 3600.0
"""Longest Retry-After that is respected."""
JOURNAL_PAUSE: Final = 2.0
"""Seconds after a failed write of the journal."""


class Undelivered(SluicegateError):  # noqa: N818 - says what is the case
    """A sink didn't accept a message; the text contains no address.

    Attributes
    ----------
    cause : label of the metric.
    retry_after : seconds of the sink's Retry-After.
    final : whether another attempt would be refused, too.
    """

    def __init__(
        self, text: str, *, cause: str, retry_after: float = 0.0, is_final: bool = False
    ) -> None:
        super().__init__(text)
        self.cause = cause
        self.retry_after = retry_after
        self.final = is_final


class Receiver(Protocol):
    """Sender of messages to one sink."""

    async def send(self, message: Message, number: int) -> None:
        """Send a message, until the sink has accepted it; raise Undelivered otherwise."""


@dataclass(slots=True)
class _Attempts:
    """Number of failed attempts for one message, and the time of the next attempt."""

    failed: int = 0
    next_at: float = 0.0


class SinkLoop:
    """Delivery loop of one sink."""

    def __init__(
        self,
        sink: str,
        receiver: Receiver,
        journal: Journal,
        *,
        wall_clock: Clock,
        drop_after: float,
        jitter: Callable[[], float],
    ) -> None:
        """Store the settings; `jitter` returns a factor for pauses."""
        self._sink = sink
        self._receiver = receiver
        self._journal = journal
        self._wall = wall_clock
        self._drop_after = drop_after
        self._jitter = jitter
        self._wake = asyncio.Event()
        self._attempts: dict[str, _Attempts] = {}
        self._failures = 0
        self._quiet_until = 0.0
        journal.on_change.append(self._wake.set)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._journal.refresh()
                pause_seconds = await self._step()
            except KubeError as error:
                logger.warning("sink %s waits for the API server: %s", self._sink, error)
                pause_seconds = JOURNAL_PAUSE
            if pause_seconds > 0:
                await set_within(self._wake, pause_seconds)

    async def _step(self) -> float:
        """Send the next message that may be sent; return the seconds until the next one."""
        now = self._wall()
        own_messages = [
            (message_number, message)
            for message_number, message in self._journal.messages
            if self._sink in message.sinks
        ]
        self._measure(own_messages, now)
        next_message, pause_seconds = self._next(own_messages, now)
        if next_message is None:
            return pause_seconds
        number, message = next_message
        if now - message.made >= self._drop_after:
            await self._drop(number, message, "too_old")
            return 0.0
        await self._attempt(number, message)
        return 0.0

    def _measure(self, own_messages: list[tuple[int, Message]], now: float) -> None:
        oldest_seconds = now - min((message.made for _, message in own_messages), default=now)
        metrics.OLDEST_MESSAGE_AGE.labels(self._sink).set(max(0.0, oldest_seconds))
        waiting_ids = {message.id for _, message in own_messages}
        self._attempts = {
            name: attempts for name, attempts in self._attempts.items() if name in waiting_ids
        }

    def _next(
        self, own_messages: list[tuple[int, Message]], now: float
    ) -> tuple[tuple[int, Message] | None, float]:
        """Return the first message that may be sent, or the time until a message may be sent.

        A message waits for earlier ones of its products.
        """
        if self._quiet_until > now:
            outdated_entry = next(
                (
                    (message_number, message)
                    for message_number, message in own_messages
                    if now - message.made >= self._drop_after
                ),
                None,
            )
            return outdated_entry, self._quiet_until - now
        blocked_topics: set[str] = set()
        soonest_seconds = LONGEST_PAUSE
        for message_number, message in own_messages:
            seconds_left = self._attempts.get(message.id, _Attempts()).next_at - now
            if seconds_left <= 0 and blocked_topics.isdisjoint(message.products):
                return (message_number, message), 0.0
            soonest_seconds = (
                min(soonest_seconds, seconds_left) if seconds_left > 0 else soonest_seconds
            )
            blocked_topics |= message.products
        return None, soonest_seconds

    async def _attempt(self, number: int, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._receiver.send(message, number)
        except Undelivered as refusal:
            await self._refused(number, message, refusal)
        except TimeoutError:
            text = f"no answer in {SEND_SECONDS:.0f} s"
            await self._refused(number, message, Undelivered(text, cause="timeout"))
        else:
            self._failures, self._quiet_until = 0, 0.0
            await self._journal.delivered(number, self._sink)
            metrics.SENT_MESSAGES.labels(self._sink, wording_of(message).urgency).inc()
            metrics.DELAY.labels(self._sink).observe(max(0.0, self._wall() - message.made))

    async def _refused(self, number: int, message: Message, refusal: Undelivered) -> None:
        metrics.FAILED_ATTEMPTS.labels(self._sink, refusal.cause).inc()
        if refusal.final:
            logger.warning("sink %s refuses message %s: %s", self._sink, message.id, refusal)
            await self._drop(number, message, "refused")
            return
        attempts = self._attempts.setdefault(message.id, _Attempts())
        attempts.failed += 1
        self._failures += 1
        now, requested_seconds = self._wall(), min(refusal.retry_after, MAX_REQUESTED_SECONDS)
        attempts.next_at = now + max(requested_seconds, self._pause(attempts.failed))
        self._quiet_until = now + max(requested_seconds, self._pause(self._failures) / 2)
        logger.warning(
            "sink %s did not accept message %s, attempt %d: %s",
            self._sink, message.id, attempts.failed, refusal,
        )  # fmt: skip

    def _pause(self, failed_attempts: int) -> float:
        return (
            min(LONGEST_PAUSE, FIRST_PAUSE_SECONDS * 2.0 ** min(failed_attempts - 1, 12))
            * self._jitter()
        )

    async def _drop(self, number: int, message: Message, cause: str) -> None:
        await self._journal.delivered(number, self._sink)
        metrics.DROPPED_MESSAGES.labels(self._sink, cause).inc()
        logger.warning("message %s to sink %s is dropped: %s", message.id, self._sink, cause)
