"""What the queries count, against what the client knows it sent.

A real Prometheus scrapes a real service each second; blocks last five. Requests that are
under way when a block ends count in the next, so counts are compared over all blocks.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.result_table import Table, TableReader
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target, VersionKey
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import Needs, QueryKind, render_queries
from sluicegate.stats.counts import Count
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.server import rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.prometheus.conftest import BentoServer

pytestmark = pytest.mark.timeout(300)

BLOCK = 5
THRESHOLD = 1.0
SLOS = {
    "availability": Indicator(availability={}),
    "latency": Indicator(latency={"thresholdMilliseconds": int(THRESHOLD * 1000)}),
    "accuracy": Indicator(outcomes={}),
    "conversion": Indicator(events={}),
    "clicks": Indicator(
        counters={"good": "traffic_clicked_total", "total": "traffic_served_total"}
    ),
    "basket": Indicator(gauge={"metric": "traffic_basket"}),
}
VERSION = VersionKey("catalog", "search-ranking", "v1")
TARGET = Target(
    key=ProductKey(*VERSION[:2]),
    versions=("v1",),
    slos=SLOS,
    block_seconds=BLOCK,
    service="Traffic",
    client_errors=True,
)
EVENTS = ["correct", "correct", "wrong", "good", "bad", "served", "served", "clicked"]


@dataclass
class Client:
    """Sends requests and counts, in its own books, what was answered."""

    url: str
    statuses: Counter[int] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    answers: tuple[str, ...] = ("fast",) * 12 + ("slow", "invalid", "unavailable", "broken")
    slow: int = 0
    doubtful: int = 0
    """Requests that were meant to be fast and took the client nearly as long as the threshold."""

    async def load(self, seconds: float, *, workers: int = 4, pause: float = 0.1) -> None:
        """Send load on loopback: at most workers ÷ pause requests a second."""
        ends = time.monotonic() + seconds
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._work(session, ends, pause, n) for n in range(workers)))

    async def _work(self, session: aiohttp.ClientSession, ends: float, pause: float, seed: int):
        dice = random.Random(seed)
        while time.monotonic() < ends:
            if dice.random() < 0.5:
                await self.predict(session, dice.choice(self.answers))
            else:
                await self.count(session, dice.choice(EVENTS))
            await asyncio.sleep(pause)

    async def predict(self, session: aiohttp.ClientSession, answer: str) -> None:
        began = time.monotonic()
        async with session.post(f"{self.url}/predict", json={"answer": answer}) as response:
            await response.read()
        took = time.monotonic() - began
        self.statuses[response.status] += 1
        if answer == "slow":
            self.slow += 1
        elif response.ok and took > THRESHOLD * 0.9:
            self.doubtful += 1

    async def count(self, session: aiohttp.ClientSession, what: str) -> None:
        began = time.monotonic()
        async with session.post(f"{self.url}/count", json={"what": what}) as response:
            await response.read()
        assert response.ok
        self.statuses[response.status] += 1
        self.events[what] += 1
        if time.monotonic() - began > THRESHOLD * 0.9:
            self.doubtful += 1

    @property
    def sent(self) -> int:
        return self.statuses.total()

    @property
    def bad(self) -> int:
        return sum(number for status, number in self.statuses.items() if status >= 500)

    @property
    def succeeded(self) -> int:
        return self.statuses[200]


async def until_block_ends(number: int = 1) -> int:
    """Wait for the block that is going on, and `number` − 1 more, to end; the index after."""
    index = int(time.time() // BLOCK) + number
    await asyncio.sleep(index * BLOCK - time.time())
    return index + 1


async def until_scraped(url: str, after: float) -> None:
    """Wait until the service was scraped, successfully, after this moment."""

    def scraped() -> bool:
        return bool(rows(url, f'timestamp(up{{product!=""}}) > {after} and up == 1'))

    await asyncio.to_thread(eventually, scraped, seconds=30, what="the next scrape")


async def until_counted(url: str) -> int:
    """Wait until a block ended that has all that was sent until now; its index."""
    await until_scraped(url, time.time())
    index = int(time.time() // BLOCK) + 1
    await until_scraped(url, index * BLOCK)
    return index


async def tables(prometheus: Prometheus, first: int, last: int) -> dict[QueryKind, Table]:
    """Return the counts of the blocks first … last, by kind of query."""
    found = {}
    for query in render_queries(Scope(), BLOCK, Needs.of(SLOS.values()), canary=True):
        found[query.kind] = await prometheus.query_range(
            query.text,
            start=first * BLOCK,
            end=last * BLOCK,
            step=BLOCK,
            reader=partial(TableReader, query.kind, step=BLOCK),
        )
    return found


def totals(tables: dict[QueryKind, Table]) -> dict[QueryKind, Counter]:
    """Return sums over all blocks by kind of query and by the last of its labels."""
    found = {}
    for kind, table in tables.items():
        sums: Counter = Counter()
        for labels, values in table.items():
            sums.update({labels[3:]: sum(values.values())})
        found[kind] = sums
    return found


def check_exactly(client: Client, counted: dict[QueryKind, Counter]) -> None:
    """Assert that each query's count equals the client's own."""
    assert counted[QueryKind.REQUESTS] == {("Traffic",): client.sent}
    assert counted[QueryKind.REQUESTS_BAD] == {
        ("Traffic", "failed"): client.bad,
        ("Traffic", "refused"): client.statuses[400],
    }
    latency = counted[QueryKind.LATENCY]
    assert latency["Traffic", "inf"] == client.succeeded
    slow = latency["Traffic", "inf"] - latency["Traffic", "1.0"]
    assert client.slow <= slow <= client.slow + client.doubtful
    labelled = counted[QueryKind.LABELLED]
    assert labelled == {(what,): client.events[what] for what in ("correct", "wrong")}
    events = counted[QueryKind.EVENTS]
    assert events == {("conversion", what): client.events[what] for what in ("good", "bad")}
    counters = counted[QueryKind.COUNTERS]
    assert counters == {
        ("traffic_served_total", "0"): client.events["served"],
        ("traffic_clicked_total", "0"): client.events["clicked"],
    }


async def test_without_restarts_prometheus_counts_equal_the_client_counts(
    service: BentoServer, prometheus_url: str
):
    client = Client(service.url)
    # One whole block with the target scraped and nothing sent, so that 503, which BentoML
    # doesn't export before the first, is born in a pod known to be scraped before.
    first = await until_block_ends(2)
    await client.load(12)
    async with Prometheus(Endpoint(url=prometheus_url)) as prometheus:
        last = await until_counted(prometheus_url)
        counted = await tables(prometheus, first, last)
        check_exactly(client, totals(counted))
        await check_evaluation(prometheus, counted, first, last)
    assert client.statuses.keys() == {200, 400, 500, 503}


async def check_evaluation(
    prometheus: Prometheus, counted: dict[QueryKind, Table], first: int, last: int
) -> None:
    """Assert that the blocks for decisions have the same counts, from the past and from now."""
    timing = Timing(scrape_seconds=1, settle_seconds=1)
    settings = EvaluationSettings(timing=timing, jitter_seconds=0)
    evaluation, cache = BlockReader(prometheus, settings), BlockCache()
    settled = partial(_is_settled, timing, last)
    await asyncio.to_thread(eventually, settled, seconds=30, what="the last block to settle")
    async for past in evaluation.backfill([TARGET], time.time()):
        await cache.record_past(past)
        cache.record_filled(past.targets)
    for readings in await fetch_all(evaluation, [TARGET], time.time()):
        assert not readings.problem
        await cache.record(readings)
        facts = readings.facts[VERSION]
        assert (facts.scraped, facts.stale, facts.duplicated) == (True, False, 0)
        assert readings.means[SeriesKey(*VERSION, "basket")][-1].value == 41.5
    assert cache.pending([TARGET]) == ()
    sent = by_block(counted[QueryKind.REQUESTS])
    bad = {
        answer: by_block(counted[QueryKind.REQUESTS_BAD], answer)
        for answer in ("failed", "refused")
    }
    labelled = by_block(counted[QueryKind.LABELLED])
    expected = {
        "availability": (bad["failed"], sent),
        CLIENT_ERRORS: (bad["refused"], sent),
        "accuracy": (by_block(counted[QueryKind.LABELLED], "wrong"), labelled),
    }
    for name, (wrong, all_of_them) in expected.items():
        series = cache.series(SeriesKey(*VERSION, name), BLOCK)
        # A busy machine may miss scrapes; such a block is dropped, and each other one is exact.
        blocks = {
            block.index: block.count
            for block in series.blocks(first - 1, last)
            if block.quality is Quality.COUNTED and all_of_them[block.index]
        }
        assert blocks, name
        assert blocks == {at: Count(wrong[at], all_of_them[at]) for at in blocks}, name


def by_block(table: Table, last_label: str | None = None) -> Counter[int]:
    """Return the sums of a table's rows by block, of those whose last label is this one."""
    sums: Counter[int] = Counter()
    for labels, values in table.items():
        if last_label in (None, labels[-1]):
            sums.update({at: round(value) for at, value in values.items()})
    return sums


def _is_settled(timing: Timing, index: int) -> bool:
    return timing.newest_complete(time.time(), BLOCK) >= index


@pytest.mark.timeout(600)
@pytest.mark.parametrize("soak_seconds", [16, pytest.param(120, marks=pytest.mark.nightly)])
async def test_counts_over_a_soak_with_restarts_differ_by_at_most_one_percent(
    service: BentoServer, prometheus_url: str, soak_seconds: int
):
    """A while of load, with three restarts of a process that gets no new requests before.

    That is how pods end: taken out of the Service first. Their last count is scraped. Nothing
    is answered 503 here: that counter is exported only from its first event on, so a restart
    between one and the next can't be seen by anybody.
    """
    client = Client(service.url, answers=("fast",) * 12 + ("slow", "broken", "broken"))
    first = await until_block_ends(2)
    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, None):
        await client.load(soak_seconds / 4)
        if how:
            await until_scraped(prometheus_url, time.time())
            await asyncio.to_thread(service.stop, how)
            await asyncio.to_thread(service.start)
            await until_scraped(prometheus_url, time.time())
    async with Prometheus(Endpoint(url=prometheus_url)) as prometheus:
        last = await until_counted(prometheus_url)
        counted = totals(await tables(prometheus, first, last))
    for kind, own in (
        (QueryKind.REQUESTS, client.sent),
        (QueryKind.REQUESTS_BAD, client.bad + client.statuses[400]),
        (QueryKind.LABELLED, client.events["correct"] + client.events["wrong"]),
        (QueryKind.EVENTS, client.events["good"] + client.events["bad"]),
    ):
        assert counted[kind].total() == pytest.approx(own, rel=0.01), kind
