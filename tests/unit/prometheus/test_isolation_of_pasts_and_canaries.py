"""What Prometheus refuses because of one product, in the past and in canaries."""

from __future__ import annotations

import pytest

from benchmarks.prometheus_stand_in import Lie
from sluicegate.prometheus.targets import ProductKey, SeriesKey
from sluicegate.slo.blocks import Quality
from sluicegate.slo.gateway import TRAEFIK_METRIC, backend_of
from sluicegate.stats.counts import Count
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.isolation import (
    AVAILABILITY,
    CLICKS,
    NOW,
    bad_ones,
    fill,
    newest,
    products,
    prometheus_of,
    target,
    total,
)
from tests.support.prometheus.selecting import Poison

pytestmark = pytest.mark.slow


async def test_a_backfill_continues_and_keeps_the_readable_data_of_a_product():
    keys = products(2, 6)
    targets = [target(key) for key in keys]
    async with prometheus_of(keys, Poison({keys[7]: {"counters"}})) as (_, evaluation):
        cache = await fill(evaluation, targets)
    assert cache.pending(targets) == ()
    for key in keys:
        clicks = cache.series(SeriesKey(*key, "v1", "clicks"), 300)
        requests = cache.series(SeriesKey(*key, "v1", "availability"), 300)
        assert requests.window(4800, 72) == Count(0, 7200)
        assert (clicks.block(4800).quality is Quality.COUNTED) is (key != keys[7])


async def test_an_unreadable_hour_of_the_past_makes_one_eighth_of_the_past_unavailable():
    keys = products(1, 2)
    during = range(300 * 4740, 300 * 4741)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    poison = Poison({keys[0]: {"requests"}}, blocks=during)
    async with prometheus_of(keys, poison) as (_, evaluation):
        cache = await fill(evaluation, targets)
        (readings,) = await fetch_all(evaluation, targets, NOW)
    assert not readings.unreadable
    series = cache.series(SeriesKey(*keys[0], "v1", "availability"), 300)
    read = [block.quality for block in series.blocks(4728, 4800)]
    assert len(read) == 72
    assert read.count(Quality.UNAVAILABLE) == 72 // 8


async def test_an_unanswered_backfill_chunk_does_not_delay_others():
    keys = products(1, 40)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    # A query that takes Prometheus too long: it answers 503 to that, and all others in time.
    slow = Poison({keys[0]: {"requests"}}, Lie.ERROR_503)
    async with prometheus_of(keys, slow) as (_, evaluation):
        cache = await fill(evaluation, targets)
        pending = {one.key for one in cache.pending(targets)}
        assert keys[0] in pending
        assert 0 < len(pending) < len(keys) / 2


async def test_a_backfill_stops_if_no_query_is_answered():
    keys = products(5, 8)
    async with prometheus_of(keys, lies={"": Lie.ERROR_503}) as (server, evaluation):
        assert len((await fill(evaluation, [target(key) for key in keys])).pending([])) == 0
        assert set(server.queries) == {"targets"}
        assert total(server) <= 4, "two for singles and two for hours, as each is tried twice"


async def test_a_backfill_pauses_after_three_failed_chunks():
    keys = products(5, 8)
    asked = []
    for lies in ({}, {"requests": Lie.ERROR_503}):
        async with prometheus_of(keys, lies=lies, products_per_backfill=4) as (server, evaluation):
            await fill(evaluation, [target(key, slos=AVAILABILITY) for key in keys])
            asked.append(server.queries["targets"])
    chunks = asked[0] / 2
    assert chunks > 3
    assert asked[1] == 3 * 2, "singles and hours of three"


# ---- canaries --------------------------------------------------------------------------------
async def test_an_unreadable_canary_is_isolated_and_read_from_its_start_once_readable():
    keys = products(2, 6)
    began = int(NOW) - 3600
    targets = [target(key, slos=AVAILABILITY, canary_from=began) for key in keys]
    poison = Poison({keys[4]: {"requests"}})
    async with prometheus_of(keys, poison) as (_, evaluation):
        canary = [one for one in await fetch_all(evaluation, targets, NOW) if one.canary]
        bad = {key for one in canary for key in bad_ones(one, "availability")}
        assert bad == {keys[4]}
        assert all(one.complete for one in canary)
        (again,) = (one for one in await fetch_all(evaluation, targets, NOW + 300) if one.canary)
        assert bad_ones(again, "availability") == {keys[4]}
        poison.kinds.clear()
        first = {}
        for block in range(2, 12):
            for one in await fetch_all(evaluation, targets, NOW + 120 * block + 240):
                if one.canary:
                    for key in newest(one, "availability"):
                        first[key] = min(first.get(key, one.first), one.first)
                    last = one
        assert first[keys[4]] * last.block_seconds <= began + last.block_seconds
        assert first[keys[5]] * last.block_seconds > began + last.block_seconds
        assert not bad_ones(last, "availability")


@pytest.mark.parametrize("of_others", [ProductKey("team-00", "x"), ProductKey("team-09", "x")])
async def test_a_product_is_not_quarantined_for_unreadable_series_of_another(
    of_others,
):
    """A canary's blocks, and the past, are asked for by the names of some products together."""
    keys = [*products(1, 3), of_others]
    began = int(NOW) - 3600
    targets = [target(key, slos=AVAILABILITY, canary_from=began) for key in keys[1:]]
    targets.append(target(keys[0], slos=CLICKS, canary_from=began))
    poison = Poison({of_others: {"counters"}})
    async with prometheus_of(keys, poison) as (server, evaluation):
        cache = await fill(evaluation, targets)
        clicks = cache.series(SeriesKey(keys[0].namespace, keys[0].product, "v1", "clicks"), 300)
        assert clicks.block(4800).quality is Quality.COUNTED
        for block in range(9):
            for readings in await fetch_all(evaluation, targets, NOW + 300 * block):
                # Whose pods they are is reported, and the search isn't made again.
                assert readings.unreadable.keys() == {of_others}
                assert not bad_ones(readings, "clicks")
            if block == 1:
                server.queries.clear()
        # Seven reads of two lengths, and tries that become ever rarer; a search takes five.
        assert server.queries["counters"] <= 7 * 2 + 8


@pytest.mark.parametrize("lie", [Lie.REJECTED_422, Lie.NOT_JSON, Lie.MALFORMED_ROW])
async def test_unreadable_gateway_counts_are_missing_only_for_the_affected_product(lie):
    keys = [*products(2, 3), ProductKey("team-00", "product-xx")]
    poisoned = keys[1]
    began = int(NOW) - 3600
    targets = [target(key, slos=AVAILABILITY, canary_from=began) for key in keys]
    poison = Poison({poisoned: {"gateway"}}, lie)
    async with prometheus_of(keys, poison, gateway=TRAEFIK_METRIC) as (server, evaluation):
        backends = {key: backend_of(key[0], f"{key[1]}-0123456789") for key in keys}
        server.rows.world.gateway = dict.fromkeys(backends.values(), 7.0)
        for block in range(3):
            found = await fetch_all(evaluation, targets, NOW + 300 * block)
            (readings,) = (one for one in found if one.canary)
            assert readings.gateway is not None
            assert readings.gateway.keys() == {*backends.values()} - {backends[poisoned]}
            assert readings.unreadable.keys() == {poisoned}
            assert set(readings.unreadable[poisoned]) == {"gateway"}
            assert not readings.problem
            assert not bad_ones(readings, "availability")
        poison.kinds.clear()
        for block in range(3, 9):
            found = await fetch_all(evaluation, targets, NOW + 300 * block)
        server.queries.clear()
        found = await fetch_all(evaluation, targets, NOW + 300 * 9)
        (readings,) = (one for one in found if one.canary)
        assert readings.gateway.keys() == {*backends.values()}
        assert server.queries["gateway"] == 1
