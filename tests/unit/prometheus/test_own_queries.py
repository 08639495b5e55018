"""A product's own PromQL: a query of that product alone, whose failure is that product's alone."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.prometheus import client, query_batch
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.quarantine import Entry, Place, Quarantine
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.queries import QueryKind
from sluicegate.stats.counts import Count
from tests.support.prometheus.fetching import evaluating, fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World
from tests.support.prometheus.rows import Rows

NOW = 300 * 1_000 + 60.0
RATIO = {
    "good": 'sum by (version) (increase(orders_total{outcome="ok"}[$block]))',
    "total": "sum by (version) (increase(orders_total[$block]))",
}
SLOS = {"availability": Indicator(availability={}), "orders": Indicator(promql=RATIO)}


def target(name: str, namespace: str = "shop", slos: dict[str, Indicator] = SLOS) -> Target:
    return Target(key=ProductKey(namespace, name), versions=("v1",), slos=slos)


def world(*names: str) -> World:
    return World(
        [
            ProductBlocks(namespace="shop", product=name, ratios={"orders": (97, 100)})
            for name in names
        ]
    )


async def fetches(server: PrometheusStandIn, *names: str, times: int = 1):
    read, targets = [], [target(name) for name in names]
    async with evaluating(server) as reader:
        for number in range(times):
            read += await fetch_all(reader, targets, NOW + 300 * number)
    return read


def newest(readings, product: str, slo: str) -> Block:
    return readings.blocks[SeriesKey("shop", product, "v1", slo)][-1]


async def test_a_custom_promql_slo_reads_good_and_all_events_in_one_query():
    async with PrometheusStandIn(world("iris", "wines")) as server:
        (readings,) = await fetches(server, "iris", "wines")

    assert server.queries["promql"] == 2
    texts = [form["query"] for form in server.forms if '"sluicegate_fact", "good"' in form["query"]]
    assert all(text.count('{namespace="shop"') == 2 for text in texts)
    expected = Block(1000, Quality.COUNTED, Count(3, 100))
    assert [newest(readings, name, "orders") for name in ("iris", "wines")] == [expected] * 2


@pytest.mark.parametrize("counts", [(None, 100), (97, None)])
async def test_a_custom_promql_slo_without_good_or_total_series_is_unknown(counts):
    truth = World([ProductBlocks(namespace="shop", product="iris", ratios={"orders": counts})])
    async with PrometheusStandIn(truth) as server:
        (readings,) = await fetches(server, "iris")

    assert newest(readings, "iris", "orders").quality is Quality.NO_SERIES


@pytest.mark.parametrize(
    "lie", [Lie.REJECTED_422, Lie.ERROR_503, Lie.HANGS, Lie.NOT_JSON, Lie.MALFORMED_ROW]
)
async def test_a_failing_custom_query_makes_only_its_slo_unavailable(lie: Lie, monkeypatch):
    monkeypatch.setattr(client, "OWN_SECONDS", 0.5 if lie is Lie.HANGS else 20)

    def fault(kind: str, form: dict[str, str]) -> Lie | None:
        return lie if kind == "promql" and '"iris"' in form["query"] else None

    async with PrometheusStandIn(world("iris", "wines"), fault=fault) as server:
        first, second = await fetches(server, "iris", "wines", times=2)

    for readings in (first, second):
        assert readings.complete
        assert newest(readings, "iris", "orders").quality is Quality.UNAVAILABLE
        assert newest(readings, "iris", "availability").quality is Quality.COUNTED
        assert newest(readings, "wines", "orders").quality is Quality.COUNTED
        assert ProductKey("shop", "iris") in readings.unreadable
    assert second.blocks.keys() == first.blocks.keys()


async def test_a_failing_custom_query_is_retried_after_growing_pauses():
    def fault(kind: str, _: dict[str, str]) -> Lie | None:
        return Lie.REJECTED_422 if kind == "promql" else None

    async with PrometheusStandIn(world("iris"), fault=fault) as server:
        await fetches(server, "iris", times=8)

    assert server.queries["promql"] == 5, "at blocks 0, 1, 3, 5 and 7: ten minutes at most"


async def test_a_recovered_custom_query_is_read_again():
    broken = [True]

    def fault(kind: str, _: dict[str, str]) -> Lie | None:
        return Lie.REJECTED_422 if kind == "promql" and broken[0] else None

    async with (
        PrometheusStandIn(world("iris"), fault=fault) as server,
        evaluating(server) as reader,
    ):
        await fetch_all(reader, [target("iris")], NOW)
        broken[0] = False
        tried = [await fetch_all(reader, [target("iris")], NOW + 300 * one) for one in (1, 2)]

    (first,), (second,) = tried
    assert ProductKey("shop", "iris") in first.released
    assert newest(second, "iris", "orders") == Block(1002, Quality.COUNTED, Count(3, 100))


async def test_a_custom_query_that_crashes_the_parser_does_not_affect_other_slos():
    panics = {**RATIO, "good": "sum(increase(a[$block] offset Inf))"}
    slos = SLOS | {"orders": Indicator(promql=panics)}
    async with PrometheusStandIn(world("iris", "wines")) as server, evaluating(server) as reader:
        (readings,) = await fetch_all(reader, [target("iris", slos=slos), target("wines")], NOW)

    assert server.queries["promql"] == 1
    assert newest(readings, "iris", "availability").quality is Quality.COUNTED
    assert newest(readings, "wines", "orders").quality is Quality.COUNTED


@pytest.mark.slow
async def test_slow_custom_queries_of_one_namespace_do_not_block_another_namespace(monkeypatch):
    def fault(kind: str, form: dict[str, str]) -> Lie | None:
        return Lie.HANGS if kind == "promql" and '"evil"' in form["query"] else None

    monkeypatch.setattr(query_batch, "ALONE_SECONDS", 2.0)
    evil = [target(f"e{number:02}", "evil") for number in range(40)]
    async with (
        PrometheusStandIn(world("iris"), fault=fault) as server,
        evaluating(server, fetch_seconds=4.0) as reader,
    ):
        for number in range(2):
            (readings,) = await fetch_all(reader, [*evil, target("iris")], NOW + 300 * number)
            assert readings.complete
            assert newest(readings, "iris", "orders").quality is Quality.COUNTED
            assert newest(readings, "iris", "availability").quality is Quality.COUNTED


async def test_cancelled_custom_queries_do_not_block_urgent_queries(monkeypatch):
    def fault(kind: str, _: dict[str, str]) -> Lie | None:
        return Lie.HANGS if kind == "promql" else None

    monkeypatch.setattr(client, "OWN_SECONDS", 120)
    text = 'label_replace(a, "sluicegate_fact", "good", "", "")'
    async with PrometheusStandIn(world("iris"), fault=fault) as server:
        endpoint = Endpoint(url=server.url, timeout_seconds=120)
        async with Prometheus(endpoint) as prometheus:
            ask = partial(prometheus.query_range, start=300, end=300, step=300, reader=Rows)
            for number in range(8):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await ask(text, own_of=f"evil-{number}", urgent=True)
            async with asyncio.timeout(60):
                await ask("sum(up)", urgent=True)
                await ask("sum(up)")


@pytest.mark.slow
async def test_backfills_with_slow_custom_queries_are_read_last_and_delay_no_block():
    def fault(kind: str, _: dict[str, str]) -> Lie | None:
        return Lie.HANGS if kind == "promql" else None

    evil = [target(f"e{number}", "evil") for number in range(8)]
    plain = [
        target(f"p{number}", slos={"availability": Indicator(availability={})})
        for number in range(3)
    ]
    async with (
        PrometheusStandIn(world("p0", "p1", "p2"), fault=fault) as server,
        evaluating(server, fetch_seconds=2.0, products_per_backfill=1) as reader,
    ):
        chunks = [past.targets async for past in reader.backfill([*evil, *plain], NOW)]

    read = [one.key.product for chunk in chunks for one in chunk]
    assert set(read[:3]) == {"p0", "p1", "p2"}
    assert 3 < len(read) < 11, "the others are read beside the next block"


def test_due_retries_of_custom_queries_do_not_displace_other_retries():
    quarantine = Quarantine(300)
    for number in range(100):
        place = Place(QueryKind.PROMQL, "evil", f"e{number}")
        quarantine.note(place, Entry("too slow", due=1))
    late = Place(QueryKind.REQUESTS, "shop", "iris")
    quarantine.note(late, Entry("refused", due=2))

    assert quarantine.due(2) == [late]
    assert len(quarantine.due(2, only_own_queries=True)) == 100
