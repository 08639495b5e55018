"""Sender of the market's requests to a product and, later, of the labels of the answers.

    async with Traffic(Target(url, host="search.example", bearer=token), Visitors(), market) as traffic:
        ...                                    # requests flow at `pace.rate` a second
        traffic.market = market.later(35)      # from the next batch on

The rate is an upper bound: with `concurrency` requests in flight the next one waits, so a slow
product isn't overloaded.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from used_car_market.tally import Tally

if TYPE_CHECKING:
    from types import TracebackType

    from used_car_market.exchanges import Exchange, Truth, Visits
    from used_car_market.market import Market

MAX_TRUTHS: Final = 200
FEEDBACK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """A product behind its gateway: URL with the route's path, Host header, and bearer token."""

    url: str
    host: str | None = None
    bearer: str | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return {"Host": self.host} if self.host else {}


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests a second, concurrent requests, and seconds until the label is sent.

    `limit`: number of requests after which no more are sent.
    """

    rate: float = 10.0
    concurrency: int = 8
    truth_delay: float = 1.0
    timeout: float = 15.0
    limit: int | None = None


class Traffic:
    """Sender of requests, as a context; `market`, `visits` and `pace` may be changed meanwhile."""

    def __init__(
        self, target: Target, visits: Visits, market: Market, pace: Pace | None = None
    ) -> None:
        self.visits = visits
        self.market = market
        self.pace = pace or Pace()
        self.tally = Tally()
        self._target = target
        self._due: deque[tuple[float, Truth]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = asyncio.Event()
        self._bugs: list[BaseException] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Start sending."""
        self._session = aiohttp.ClientSession(
            headers=self._target.headers(), connector=aiohttp.TCPConnector(limit=0)
        )
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._feed_back())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop sending; requests in flight are answered first, and their labels sent at once."""
        sending, _ = self._tasks
        sending.cancel()
        # Not cancelled: the labels that it is posting aren't counted yet.
        self._leaving.set()
        await asyncio.wait([*self._tasks, *self._under_way])
        assert self._session is not None
        try:
            for _ in range(0, len(self._due), MAX_TRUTHS):
                await self._send_truths(self._take(now=float("inf")))
        finally:
            await self._session.close()
        self.check()

    def check(self) -> None:
        """Raise the error that ended the sending, or that of an unreadable answer, if any."""
        for bug in self._bugs:
            raise bug
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def all_sent(self) -> None:
        """Wait until `limit` requests were sent; indefinitely without a limit."""
        await asyncio.shield(self._tasks[0])

    async def _send(self) -> None:
        batch = started = 0
        due = time.monotonic()
        while True:
            market, visits = self.market, self.visits
            for exchange in visits.draw(market, batch):
                if started == self.pace.limit:
                    return
                await self._until(due)
                started += 1
                # A pause because of a slow product isn't followed by a burst.
                due = max(due + 1.0 / self.pace.rate, time.monotonic() - 1.0)
                task = asyncio.create_task(self._exchange(exchange))
                self._under_way.add(task)
                task.add_done_callback(self._answered)
                if (market, visits) != (self.market, self.visits):
                    break
            batch += 1

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            self._bugs.append(bug)

    async def _until(self, due: float) -> None:
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        while len(self._under_way) >= self.pace.concurrency:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _exchange(self, exchange: Exchange) -> None:
        self.tally.sent += 1
        began = time.monotonic()
        try:
            answer = await self._post(exchange.path, exchange.body, {"x-market": exchange.country})
        except aiohttp.ClientResponseError as error:
            self.tally.failures[str(error.status)] += 1
            return
        except (aiohttp.ClientError, TimeoutError) as error:
            self.tally.failures[type(error).__name__] += 1
            return
        self._count(answer, exchange.judge(answer), time.monotonic() - began)

    def _count(self, answer: dict[str, Any], truths: list[Truth], seconds: float) -> None:
        tally = self.tally.of(answer["version"])
        tally.answers += 1
        tally.seconds += seconds
        self.tally.fallbacks += answer.get("estimates") == "unavailable"
        due = time.monotonic() + self.pace.truth_delay
        for truth in truths:
            if truth.correct:
                tally.correct += 1
            else:
                tally.wrong += 1
            if truth.token is not None and self._target.bearer is not None:
                self._due.append((due, truth))

    async def _feed_back(self) -> None:
        while not self._leaving.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), FEEDBACK_SECONDS)
            while truths := self._take(now=time.monotonic()):
                await self._send_truths(truths)

    def _take(self, *, now: float) -> list[Truth]:
        """Return labels that are due, as many as one request may carry."""
        taken: list[Truth] = []
        while self._due and self._due[0][0] <= now and len(taken) < MAX_TRUTHS:
            taken.append(self._due.popleft()[1])
        return taken

    async def _send_truths(self, truths: list[Truth]) -> None:
        labels = [{"token": truth.token, "truth": truth.content} for truth in truths]
        headers = {"Authorization": f"Bearer {self._target.bearer}"}
        self.tally.truths += len(truths)
        try:
            answer = await self._post("/feedback", {"labels": labels}, headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            status = getattr(error, "status", None)
            self.tally.refused[str(status or type(error).__name__)] += len(truths)
            return
        self.tally.refused.update(refusal["reason"] for refusal in answer["refused"])

    async def _post(
        self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        assert self._session is not None, "use it as `async with Traffic(…)`"
        async with (
            asyncio.timeout(self.pace.timeout),
            self._session.post(self._target.url + path, json=body, headers=headers) as response,
        ):
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer
