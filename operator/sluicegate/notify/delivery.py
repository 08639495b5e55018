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
from sluicegate.notify.wording import wording
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.tasks import set_within

logger = logging.getLogger(__name__)

SEND_SECONDS: Final = 20.0
"""Timeout of a sink for one message."""
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 300.0
LONGEST_ASKED: Final = 3600.0
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
        self, text: str, *, cause: str, retry_after: float = 0.0, final: bool = False
    ) -> None:
        super().__init__(text)
        self.cause = cause
        self.retry_after = retry_after
        self.final = final


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
        wall: Clock,
        drop_after: float,
        jitter: Callable[[], float],
    ) -> None:
        """Store the settings; `jitter` returns a factor for pauses."""
        self._sink = sink
        self._receiver = receiver
        self._journal = journal
        self._wall = wall
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
                pause = await self._step()
            except KubeError as error:
                logger.warning("sink %s waits for the API server: %s", self._sink, error)
                pause = JOURNAL_PAUSE
            if pause > 0:
                await set_within(self._wake, pause)

    async def _step(self) -> float:
        """Send the next message that may be sent; return the seconds until the next one."""
        now = self._wall()
        own_messages = [(at, one) for at, one in self._journal.messages if self._sink in one.sinks]
        self._measure(own_messages, now)
        next_message, pause = self._next(own_messages, now)
        if next_message is None:
            return pause
        number, message = next_message
        if now - message.made >= self._drop_after:
            await self._drop(number, message, "too_old")
            return 0.0
        await self._attempt(number, message)
        return 0.0

    def _measure(self, own_messages: list[tuple[int, Message]], now: float) -> None:
        oldest = now - min((one.made for _, one in own_messages), default=now)
        metrics.OLDEST.labels(self._sink).set(max(0.0, oldest))
        waiting = {message.id for _, message in own_messages}
        self._attempts = {
            name: attempts for name, attempts in self._attempts.items() if name in waiting
        }

    def _next(
        self, own_messages: list[tuple[int, Message]], now: float
    ) -> tuple[tuple[int, Message] | None, float]:
        """Return the first message that may be sent, or the time until a message may be sent.

        A message waits for earlier ones of its products.
        """
        if self._quiet_until > now:
            old = next(
                (
                    (at, message)
                    for at, message in own_messages
                    if now - message.made >= self._drop_after
                ),
                None,
            )
            return old, self._quiet_until - now
        blocked_topics: set[str] = set()
        soonest = LONGEST_PAUSE
        for at, message in own_messages:
            seconds_left = self._attempts.get(message.id, _Attempts()).next_at - now
            if seconds_left <= 0 and blocked_topics.isdisjoint(message.products):
                return (at, message), 0.0
            soonest = min(soonest, seconds_left) if seconds_left > 0 else soonest
            blocked_topics |= message.products
        return None, soonest

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
            metrics.SENT.labels(self._sink, wording(message).urgency).inc()
            metrics.DELAY.labels(self._sink).observe(max(0.0, self._wall() - message.made))

    async def _refused(self, number: int, message: Message, refusal: Undelivered) -> None:
        metrics.FAILED.labels(self._sink, refusal.cause).inc()
        if refusal.final:
            logger.warning("sink %s refuses message %s: %s", self._sink, message.id, refusal)
            await self._drop(number, message, "refused")
            return
        attempts = self._attempts.setdefault(message.id, _Attempts())
        attempts.failed += 1
        self._failures += 1
        now, requested = self._wall(), min(refusal.retry_after, LONGEST_ASKED)
        attempts.next_at = now + max(requested, self._pause(attempts.failed))
        self._quiet_until = now + max(requested, self._pause(self._failures) / 2)
        logger.warning(
            "sink %s did not accept message %s, attempt %d: %s",
            self._sink, message.id, attempts.failed, refusal,
        )  # fmt: skip

    def _pause(self, failed: int) -> float:
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failed - 1, 12)) * self._jitter()

    async def _drop(self, number: int, message: Message, cause: str) -> None:
        await self._journal.delivered(number, self._sink)
        metrics.DROPPED.labels(self._sink, cause).inc()
        logger.warning("message %s to sink %s is dropped: %s", message.id, self._sink, cause)
