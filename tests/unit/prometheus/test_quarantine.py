"""What Prometheus refuses because of one product costs that product alone."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from benchmarks.prometheus_stand_in import Lie
from sluicegate.kube.resources import Key
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.targets import ProductKey
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Quality
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.isolation import (
    AVAILABILITY,
    KINDS,
    NOW,
    bad_ones,
    extra_queries,
    products,
    prometheus_of,
    target,
    total,
)
from tests.support.prometheus.measured_world import ProductBlocks
from tests.support.prometheus.selecting import Poison

MAX_SPLITS = 128


# ---- one among many --------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["counters", "requests", "requests_bad", "targets"])
@pytest.mark.parametrize("lie", [Lie.REJECTED_422, Lie.NOT_JSON, Lie.MALFORMED_ROW])
async def test_an_unreadable_product_is_isolated_by_few_queries_without_affecting_others(kind, lie):
    keys = products(4, 16)
    poisoned = keys[37]
    targets = [target(key) for key in keys]
    slo = "clicks" if kind == "counters" else "availability"
    async with prometheus_of(keys, Poison({poisoned: {kind}}, lie)) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, targets, NOW)
        extra = total(server) - len(KINDS)
        assert bad_ones(readings, slo) == {poisoned}
        assert readings.unreadable.keys() == {poisoned}
        assert set(readings.unreadable[poisoned]) == {kind}
        assert readings.complete
        assert not readings.problem
        # 2 ⌈log₂ 4⌉ + 2 ⌈log₂ 16⌉ + 4
        assert 0 < extra <= extra_queries(4, 16) == 16
        # The next block costs no search: one query for the others of its namespace, one to try.
        (readings,) = await fetch_all(evaluation, targets, NOW + 300)
        assert total(server) <= len(KINDS) + 2
        assert bad_ones(readings, slo) == {poisoned}
        assert readings.unreadable.keys() == {poisoned}


async def test_without_a_failure_the_quarantine_adds_no_query():
    keys = products(4, 8)
    async with prometheus_of(keys) as (server, evaluation):
        for block in range(3):
            await fetch_all(evaluation, [target(key) for key in keys], NOW + 300 * block)
        assert server.queries == dict.fromkeys(KINDS, 3)


async def test_only_the_indicators_that_need_the_failed_query_are_lost():
    keys = products(2, 2)
    async with prometheus_of(keys, Poison({keys[0]: {"counters"}})) as (_, evaluation):
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert bad_ones(readings, "clicks") == {keys[0]}
    assert not bad_ones(readings, "availability")


async def test_several_unreadable_products_are_isolated_even_if_others_have_the_same_names():
    keys = products(4, 8)
    poisoned = {keys[0], keys[9], keys[18], keys[31], ProductKey("team-03", "product-00")}
    poison = Poison({key: {"requests"} for key in poisoned})
    targets = [target(key) for key in keys]
    async with prometheus_of(keys, poison) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert bad_ones(readings, "availability") == poisoned
        assert total(server) - len(KINDS) <= len(poisoned) * extra_queries(4, 8)
        (readings,) = await fetch_all(evaluation, targets, NOW + 300)
        assert bad_ones(readings, "availability") == poisoned
        # A query for the others of each of four namespaces instead of one, and five to try.
        assert total(server) == len(KINDS) - 1 + 4 + 5


async def test_a_readable_product_leaves_the_quarantine_and_shares_the_query_of_the_others():
    keys = products(4, 4)
    poison = Poison({keys[5]: {"requests"}})
    targets = [target(key) for key in keys]
    async with prometheus_of(keys, poison) as (server, evaluation):
        for block in range(4):
            await fetch_all(evaluation, targets, NOW + 300 * block)
        poison.kinds.clear()
        released = set()
        for block in range(4, 7):
            (readings,) = await fetch_all(evaluation, targets, NOW + 300 * block)
            released |= readings.released
        assert released == {keys[5]}
        assert not bad_ones(readings, "availability")
        assert not readings.unreadable
        server.queries.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300 * 7)
        assert server.queries == dict.fromkeys(KINDS, 1)
        assert not bad_ones(readings, "availability")


async def test_an_unreadable_product_is_retried_at_growing_intervals():
    keys = products(1, 4)
    settings = {"timing": Timing(scrape_seconds=5)}
    targets = [target(key, block_seconds=20) for key in keys]
    async with prometheus_of(keys, Poison({keys[1]: {"requests"}}), **settings) as (
        server,
        evaluation,
    ):
        await fetch_all(evaluation, targets, NOW)
        server.queries.clear()
        for block in range(1, 32):
            await fetch_all(evaluation, targets, NOW + 20 * block)
        # After 1, 2, 4, 8 and 16 blocks; ten minutes are the longest pause.
        assert server.queries["requests"] == 31 + 5


# ---- pods without a product ----------------------------------------------------------------------
@pytest.mark.parametrize("namespace", ["team-01", "elsewhere"])
async def test_unreadable_pods_without_a_product_are_excluded_in_any_namespace(namespace):
    keys = products(4, 4)
    stray = ProductKey(namespace, "nobody")
    targets = [target(key) for key in keys]
    async with prometheus_of(keys, Poison({stray: {"requests"}})) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert not bad_ones(readings, "availability")
        assert total(server) - len(KINDS) <= extra_queries(4, 4)
        for block in (1, 2, 3):
            (readings,) = await fetch_all(evaluation, targets, NOW + 300 * block)
            assert total(server) <= len(KINDS) + 2
            assert not bad_ones(readings, "availability")
            assert not readings.unreadable


@pytest.mark.parametrize("where", ["team-01", "alone"])
async def test_unreadable_unused_counters_are_reported_and_excluded_from_queries(
    where,
):
    """Its pods expose what others count, and nothing of its own is in that query."""
    keys, guilty = products(4, 4), ProductKey(where, "guilty")
    targets = [target(guilty, slos=AVAILABILITY), *(target(key) for key in keys)]
    poison = Poison({guilty: {"counters"}})
    async with prometheus_of([*keys, guilty], poison) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert not bad_ones(readings, "clicks")
        assert readings.unreadable.keys() == {guilty}
        assert total(server) - len(KINDS) <= extra_queries(5, 4)
        for block in (1, 2, 3):
            (readings,) = await fetch_all(evaluation, targets, NOW + 300 * block)
            assert total(server) <= len(KINDS) + 2
            assert not bad_ones(readings, "clicks")
            assert not bad_ones(readings, "availability")
            assert readings.unreadable.keys() == {guilty}
        poison.kinds.clear()
        for block in range(4, 9):
            (readings,) = await fetch_all(evaluation, targets, NOW + 300 * block)
        server.queries.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300 * 9)
        assert server.queries == dict.fromkeys(KINDS, 1)
        assert not readings.unreadable


async def test_a_product_that_breaks_queries_of_another_block_length_gets_an_event():
    """A query about whole namespaces reads its pods, too."""
    keys, guilty = products(2, 3), ProductKey("team-00", "guilty")
    measurements = Measurements(Timing())
    for key in keys:
        measurements.set_target(Key(*key), target(key))
    measurements.set_target(Key(*guilty), target(guilty, slos=AVAILABILITY, block_seconds=600))
    poison = Poison({guilty: {"counters"}})
    async with prometheus_of([*keys, guilty], poison) as (server, evaluation):
        await measurements.read(evaluation, NOW)
        await measurements.read(evaluation, NOW + 300)
        server.queries.clear()
        await measurements.read(evaluation, NOW + 600)
        assert server.queries["counters"] <= 1 + 2 + 1, (
            "two lengths of block, and one that is tried"
        )
        assert "counters: " in measurements.unreported(Key(*guilty))
        assert not any(measurements.unreported(Key(*key)) for key in keys)
        poison.kinds.clear()
        for block in range(3, 9):
            await measurements.read(evaluation, NOW + 300 * block)
    assert REGISTRY.get_sample_value("sluicegate_unreadable_products") == 0


# ---- too much --------------------------------------------------------------------------------
def talkative(key: ProductKey, rows: int) -> list[ProductBlocks]:
    """Return a product whose pods make a series of each label value."""
    return [ProductBlocks(namespace=key[0], product=key[1], version=f"v{n}") for n in range(rows)]


async def test_a_too_large_response_quarantines_only_the_product_that_causes_it():
    keys = products(2, 8)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    async with prometheus_of(keys, answer_bytes=20_000) as (server, evaluation):
        server.rows.world.versions += talkative(keys[3], 300)
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert bad_ones(readings, "availability") == {keys[3]}
        assert "exceeds" in readings.unreadable[keys[3]]["requests"]
        server.queries.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300)
        assert bad_ones(readings, "availability") == {keys[3]}
        assert set(server.queries.values()) <= {1, 2, 3}


async def test_too_many_blocks_for_one_response_are_read_in_several_queries():
    """After an outage each fetch asked for the same blocks, and never got on."""
    keys = products(1, 2)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    async with prometheus_of(keys, answer_bytes=6_000) as (server, evaluation):
        await fetch_all(evaluation, targets, NOW)
        server.lies["requests"] = Lie.ERROR_503
        await fetch_all(evaluation, targets, NOW + 300)
        server.lies.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300 * 70)
        assert readings.complete
        assert not readings.unreadable
        counted = {len(blocks) for blocks in readings.blocks.values()}
        assert counted == {71}
        qualities = {block.quality for blocks in readings.blocks.values() for block in blocks}
        assert qualities == {Quality.COUNTED}


# ---- the whole Prometheus --------------------------------------------------------------------
@pytest.mark.parametrize("lie", [Lie.ERROR_503, Lie.FORBIDDEN_403, Lie.NOT_JSON, Lie.REFUSED])
async def test_an_outage_isolates_no_product_and_splits_no_query(lie):
    keys = products(4, 4)
    async with prometheus_of(keys, lies={"": lie}) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert server.queries.total() <= 2
    assert not readings.complete
    assert readings.problem
    assert not readings.unreadable


async def test_a_query_kind_refused_for_all_products_is_searched_once_within_bounds():
    keys = products(10, 20)
    targets = [target(key) for key in keys]
    async with prometheus_of(keys, lies={"requests": Lie.REJECTED_422}) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert server.queries["requests"] <= MAX_SPLITS + 1
        assert readings.failed == {"requests"}
        assert not readings.unreadable
        assert not bad_ones(readings, "clicks")
        server.queries.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300)
        assert server.queries["requests"] == 1
        assert readings.failed == {"requests"}
