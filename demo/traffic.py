"""Sellers and visitors: the market's traffic to both products, sent beside the story.

They live in a thread with an event loop of its own, so that watching the cluster never delays a
request. What they saw is read as snapshots, taken in that loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from cluster.apiclient import wait_until
from demo.answers import Snapshot
from demo.errors import DemoError
from demo.products import HOST, bearer_of
from demo.samples import PRICING, RANKING, SAMPLES, Sample
from used_car_market.exchanges import Sellers, Visitors
from used_car_market.traffic import Pace, Target, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cluster.backend import Backend
    from used_car_market import Market

T = TypeVar("T")

FIRST_ANSWER_SECONDS = 60
ANSWER_SECONDS = 10
# Requests a second, below what two busy cores serve. A seller's has four cars, so four prices.
RATES = {PRICING: 25.0, RANKING: 10.0}
TRUTH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Source:
    """Who asks one product: where, and what."""

    sample: Sample
    target: Target
    visits: Sellers | Visitors


def sources(backend: Backend, gateway: str) -> tuple[Source, ...]:
    """Return sellers who ask for prices, visitors who search."""
    visits: dict[Sample, Sellers | Visitors] = {PRICING: Sellers(), RANKING: Visitors()}
    return tuple(
        Source(
            sample,
            Target(gateway + sample.path, HOST, bearer_of(backend, sample)),
            visits[sample],
        )
        for sample in SAMPLES
    )


class Senders:
    """Send while the block lasts: `with Senders(sources, market) as senders`."""

    def __init__(self, sources: tuple[Source, ...], market: Market) -> None:
        """Store the settings; nothing is sent yet."""
        self._sources, self._market = sources, market
        self._traffic: dict[Sample, Traffic] = {}
        self._loop = asyncio.new_event_loop()
        self._started, self._ended = threading.Event(), asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic")

    def __enter__(self) -> Self:
        """Begin, once the gateway gives an answer of each product."""
        for source in self._sources:
            _wait_for_answer(source, self._market)
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop; what is under way is answered first."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    @property
    def market(self) -> Market:
        """The market that requests are drawn from."""
        return self._market

    @market.setter
    def market(self, market: Market) -> None:
        self._market = market
        self._in_loop(lambda: self._shift(market))

    def snapshot(self) -> dict[Sample, Snapshot]:
        """Return the sent and answered requests so far, by product.

        Raises
        ------
        DemoError
            The senders have ended by themselves.
        """
        at = time.monotonic()
        return self._in_loop(
            lambda: {
                sample: Snapshot.of(traffic.tally, at) for sample, traffic in self._traffic.items()
            }
        )

    def _shift(self, market: Market) -> None:
        for traffic in self._traffic.values():
            traffic.market = market

    def _in_loop(self, call: Callable[[], T]) -> T:
        async def calling() -> T:
            for traffic in self._traffic.values():
                traffic.check()
            return call()

        if self._failure is not None or not self._thread.is_alive():
            raise DemoError(f"the traffic has ended: {self._failure!r}")
        return asyncio.run_coroutine_threadsafe(calling(), self._loop).result(ANSWER_SECONDS)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._send())
        except BaseException as error:  # noqa: BLE001 - told to who asks next, in the main thread
            self._failure = error
        finally:
            self._started.set()

    async def _send(self) -> None:
        async with AsyncExitStack() as stack:
            for source in self._sources:
                pace = Pace(rate=RATES[source.sample], truth_delay=TRUTH_SECONDS)
                traffic = Traffic(source.target, source.visits, self._market, pace)
                self._traffic[source.sample] = await stack.enter_async_context(traffic)
            self._started.set()
            await self._ended.wait()


def _wait_for_answer(source: Source, market: Market) -> None:
    """Poll until the gateway's data plane has the route, a moment after its status."""

    def is_answered() -> bool:
        return asyncio.run(_one_answer(source, market))

    wait_until(
        is_answered,
        seconds=FIRST_ANSWER_SECONDS,
        failed=lambda: None,
        problem=f"{source.target.url} gave no answer for the host {source.target.host}",
    )


async def _one_answer(source: Source, market: Market) -> bool:
    pace = Pace(limit=1)
    async with Traffic(source.target, source.visits, market, pace) as traffic:
        await traffic.all_sent()
    return bool(traffic.tally.versions)
