"""Brings messages to one sink, in order for each product, until each was accepted or is too old.

Each sink has a loop of its own, so that a slow one delays no other. A message that fails holds up
later ones of the same products only; a sink that fails again and again is left alone for longer and
longer. At least once: a process that is killed between the sink's answer and the write that records
it sends the message again, with the same id.
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
from sluicegate.notify.messages import Message
from sluicegate.notify.wording import wording
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.tasks import set_within

logger = logging.getLogger(__name__)

SEND_SECONDS: Final = 20.0
"""How long a sink may take for one message."""
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 300.0
LONGEST_ASKED: Final = 3600.0
"""The most that a Retry-After is followed."""
JOURNAL_PAUSE: Final = 2.0
"""After the API server didn't take a write."""


class Undelivered(SluicegateError):  # noqa: N818 - says what is the case
    """A sink didn't accept a message; the text names no address.

    Attributes
    ----------
    cause : one word, for the metric.
    retry_after : seconds that the sink asked for.
    final : whether another attempt would be refused as well.
    """

    def __init__(
        self, text: str, *, cause: str, retry_after: float = 0.0, final: bool = False
    ) -> None:
        super().__init__(text)
        self.cause = cause
        self.retry_after = retry_after
        self.final = final


class Receiver(Protocol):
    """The way to one sink."""

    async def send(self, message: Message, number: int) -> None:
        """Return when the sink has accepted it; Undelivered otherwise."""


@dataclass(slots=True)
class _Attempts:
    """Of one message: how many failed, and when the next may be."""

    failed: int = 0
    next_at: float = 0.0


class SinkLoop:
    """The loop of one sink."""

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
        """Nothing is sent yet; `jitter` returns a factor for pauses."""
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
        """Send for ever."""
        while True:
            self._wake.clear()
            try:
                await self._journal.fresh()
                pause = await self._step()
            except KubeError as error:
                logger.warning("sink %s waits for the API server: %s", self._sink, error)
                pause = JOURNAL_PAUSE
            if pause > 0:
                await set_within(self._wake, pause)

    async def _step(self) -> float:
        """Send the next message that may be sent; return the seconds until there may be one."""
        now = self._wall()
        mine = [(at, one) for at, one in self._journal.messages if self._sink in one.sinks]
        self._measure(mine, now)
        chosen, pause = self._next(mine, now)
        if chosen is None:
            return pause
        number, message = chosen
        if now - message.made >= self._drop_after:
            await self._drop(number, message, "too_old")
            return 0.0
        await self._attempt(number, message)
        return 0.0

    def _measure(self, mine: list[tuple[int, Message]], now: float) -> None:
        oldest = now - min((one.made for _, one in mine), default=now)
        metrics.OLDEST.labels(self._sink).set(max(0.0, oldest))
        known = {one.id for _, one in mine}
        self._attempts = {name: kept for name, kept in self._attempts.items() if name in known}

    def _next(
        self, mine: list[tuple[int, Message]], now: float
    ) -> tuple[tuple[int, Message] | None, float]:
        """The first message whose products wait for no earlier one, or when one may be sent."""
        if self._quiet_until > now:
            old = next(((at, one) for at, one in mine if now - one.made >= self._drop_after), None)
            return old, self._quiet_until - now
        blocked: set[str] = set()
        soonest = LONGEST_PAUSE
        for at, one in mine:
            left = self._attempts.get(one.id, _Attempts()).next_at - now
            if left <= 0 and blocked.isdisjoint(one.products):
                return (at, one), 0.0
            soonest = min(soonest, left) if left > 0 else soonest
            blocked |= one.products
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
        now, asked = self._wall(), min(refusal.retry_after, LONGEST_ASKED)
        attempts.next_at = now + max(asked, self._pause(attempts.failed))
        self._quiet_until = now + max(asked, self._pause(self._failures) / 2)
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
