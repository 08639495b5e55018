"""One fetch for all products: what is read, when, and what becomes of answers that lie."""

import asyncio

import pytest

from benchmarks.prometheus_stand_in import Held, Lie, PrometheusStandIn
from sluicegate.prometheus.block_reader import EvaluationSettings, Length
from sluicegate.prometheus.targets import SeriesKey
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import Count
from tests.support.prometheus.evaluations import (
    AVAILABILITY,
    BACKEND,
    CANARY,
    FULL,
    NOW,
    VERSION,
    WITH_GATEWAY,
    fetch,
    newest,
    target,
)
from tests.support.prometheus.fetching import evaluating, fetch_length
from tests.support.prometheus.measured_world import ProductBlocks, World


async def test_every_kind_of_indicator_is_counted_from_one_fetch():
    blocks = await newest(FULL)
    assert blocks == {
        "availability": Block(1000, Quality.COUNTED, Count(0, 100)),
        "latency": Block(1000, Quality.COUNTED, Count(2, 100)),
        "accuracy": Block(1000, Quality.COUNTED, Count(5, 50)),
        "conversion": Block(1000, Quality.COUNTED, Count(97, 100)),
        "clicks": Block(1000, Quality.COUNTED, Count(96, 100)),
    }


async def test_gauges_and_facts_are_read_with_the_blocks():
    (readings,), _ = await fetch(World([FULL]))
    mean = readings.means[SeriesKey(*VERSION, "basket")][-1]
    assert (mean.index, mean.quality, mean.value) == (1000, Quality.COUNTED, 41.5)
    facts = readings.facts[VERSION]
    assert (facts.coverage, facts.scraped, facts.stale) == (1.0, True, False)
    assert (facts.cpu_throttled, facts.memory_used) == (0.01, 0.4)


async def test_gateway_counts_by_backend_are_read_if_a_gateway_metric_is_configured():
    world = World([FULL], gateway={BACKEND: 95})
    readings, server = await fetch(world, CANARY, settings=WITH_GATEWAY)
    found = {each.canary: each.gateway for each in readings}
    assert found[False] is None
    assert set(found[True]) == {BACKEND}
    assert set(found[True][BACKEND].values()) == {95}
    assert server.queries["gateway"] == 1
    readings, server = await fetch(world, CANARY)
    assert [each.gateway for each in readings] == [None, None]
    assert not server.queries["gateway"]


ROUTE = "catalog-search-ranking"


@pytest.mark.parametrize(
    ("pods", "sent", "expected"),
    [
        ({"bad": 3}, {"unsent": 20, "own": 3, "refused": 2}, Count(22, 119)),
        ({"requests": None, "targets": 0}, {"routed": 40, "unsent": 40}, Count(40, 40)),
        ({"coverage": 0.0}, {"routed": 60, "unsent": 35, "refused": 5}, Count(40, 60)),
    ],
    ids=["some", "no pod", "a pod that can't be asked"],
)
async def test_requests_without_a_pod_count_as_failures_if_the_gateway_counts_them(
    pods, sent, expected
):
    world = World(
        [ProductBlocks(**pods)], sent={(ROUTE, fact): value for fact, value in sent.items()}
    )
    (readings,), server = await fetch(world, settings=WITH_GATEWAY)
    assert server.queries["sent"] == 1
    newest = readings.blocks[AVAILABILITY][-1]
    assert newest == Block(1000, Quality.COUNTED, expected)


async def test_without_gateway_counts_the_counts_of_the_pods_are_used():
    world = World([ProductBlocks()], sent={(ROUTE, "unsent"): 40})
    (readings,), _ = await fetch(world, settings=WITH_GATEWAY, lies={"sent": Lie.ERROR_500})
    assert readings.complete
    assert readings.blocks[AVAILABILITY][-1].count == Count(0, 100)


async def test_a_canary_is_judged_by_the_responses_of_its_own_pods():
    world = World([ProductBlocks(), ProductBlocks(version="v2")], sent={(ROUTE, "unsent"): 40})
    readings, server = await fetch(world, CANARY, settings=WITH_GATEWAY)
    found = {reading.canary: reading.blocks[AVAILABILITY][-1].count for reading in readings}
    assert found == {False: Count(40, 140), True: Count(0, 100)}
    assert server.queries["sent"] == 1


# ---- bad or absent data -----------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(
    "lie", [Lie.REFUSED, Lie.ERROR_503, Lie.HANGS, Lie.PARTIAL, Lie.NOT_JSON, Lie.VECTOR]
)
async def test_a_prometheus_that_cannot_answer_makes_blocks_unavailable_and_never_zero(lie):
    (readings,), server = await fetch(World([FULL]), lies={"": lie})
    assert readings.problem
    assert not readings.complete
    for blocks in readings.blocks.values():
        assert {block.quality for block in blocks} == {Quality.UNAVAILABLE}
    assert set(server.queries) == {"targets"}


async def test_without_kubelet_metrics_counts_are_valid_and_resource_facts_unknown():
    lies = {"cpu": Lie.ERROR_500, "memory": Lie.ERROR_500}
    (readings,), _ = await fetch(World([FULL]), lies=lies)
    assert readings.complete
    assert "cpu" in readings.problem
    assert readings.facts[VERSION].cpu_throttled is None


async def test_a_product_without_series_has_no_blocks():
    (readings,), _ = await fetch(World([]))
    assert {b.quality for blocks in readings.blocks.values() for b in blocks} == {Quality.NO_SERIES}
    assert not readings.facts[VERSION].scraped


async def test_a_night_without_requests_is_a_count_of_zero():
    blocks = await newest(ProductBlocks(requests=0, fast=0, correct=0, wrong=0))
    for slo in ("availability", "latency", "accuracy"):
        assert blocks[slo] == Block(1000, Quality.COUNTED, Count(0, 0))


async def test_requests_to_unknown_paths_count_as_requests_of_a_version():
    """A renamed route: it seemed to get none at all."""
    lost = ProductBlocks(requests=None, fast=None, refused={"404": 40})
    (readings,), _ = await fetch(World([lost]), target(client_errors=True))
    found = {key.slo: blocks[-1] for key, blocks in readings.blocks.items()}
    assert found[CLIENT_ERRORS] == Block(1000, Quality.COUNTED, Count(40, 40))
    assert found["availability"].quality is Quality.NO_SERIES


async def test_a_pod_that_existed_for_half_a_block_is_no_coverage_gap():
    replaced = ProductBlocks(attempted=0.5)
    other = ProductBlocks(product="pricing")
    (readings,), _ = await fetch(World([replaced, other]))
    block = readings.blocks[SeriesKey(*VERSION, "availability")][-1]
    assert block.quality is Quality.COUNTED


async def test_outcomes_counted_by_pods_of_another_version_count_for_the_predicting_version():
    gone = ProductBlocks(version="v1", requests=None, fast=None, targets=0)
    serving = ProductBlocks(version="v2")
    (readings,), _ = await fetch(World([gone, serving]), target(versions=("v1", "v2")))
    assert readings.blocks[SeriesKey(*VERSION, "accuracy")][-1].count == Count(5, 50)
    assert readings.blocks[SeriesKey(*VERSION, "availability")][-1].quality is Quality.NO_SERIES


async def test_each_arm_of_a_canary_is_counted_by_its_own_entry_service():
    world = World(
        [ProductBlocks(service="Entry"), ProductBlocks(version="v2", service="Renamed", targets=2)]
    )
    asked = target(versions=("v1", "v2"), service="Entry", renamed=(("v2", "Renamed"),))
    (readings,), _ = await fetch(world, asked)
    for version in ("v1", "v2"):
        key = SeriesKey(*VERSION[:2], version, "availability")
        assert readings.blocks[key][-1].count.total == 100


# ---- which blocks are read, and by how many queries --------------------------------------


async def test_the_number_of_queries_per_block_is_independent_of_the_number_of_products():
    asked = []
    for count in (1, 50, 500):
        targets = [target(number) for number in range(1, count + 1)]
        world = World([ProductBlocks(product=each.key.product) for each in targets])
        _, server = await fetch(world, *targets)
        asked.append(server.queries)
    assert asked[0] == asked[1] == asked[2]
    # One kind each, two of the infrastructure among them, and one for the raw counters.
    assert asked[0].total() <= 8 + 2 + 1


async def test_queries_name_products_whose_block_length_is_rare():
    few, many = [target(1, block_seconds=60)], [target(2), target(3)]
    readings, server = await fetch(World([FULL]), *few, *many)
    assert {each.block_seconds for each in readings if each.complete} == {60, 300}
    asked = {form["step"]: form["query"] for form in server.forms}
    assert 'product="product-1"' in asked["60"]
    assert 'product!=""' in asked["300"]


async def test_products_with_a_rare_block_length_do_not_wait_for_queries_of_the_others():
    few, many = [target(1, block_seconds=60)], [target(2), target(3)]
    async with (
        PrometheusStandIn(World([FULL])) as server,
        evaluating(server, seconds=20, concurrency=2) as evaluation,
        asyncio.timeout(20),
    ):
        evaluation.regroup(few + many)
        held = server.held[300] = Held()
        late = asyncio.create_task(fetch_length(evaluation, Length(300, canary=False), many, NOW))
        await held.arrived.wait()
        (readings,) = await fetch_length(evaluation, Length(60, canary=False), few, NOW)
        assert readings.complete
        assert not late.done()
        held.released.set()
        await late


async def test_only_products_with_a_canary_are_read_again_by_name():
    timing = Timing(scrape_seconds=5, settle_seconds=5)
    settings = EvaluationSettings(timing=timing, jitter_seconds=0)
    targets = (target(1), target(2, canary_from=int(NOW) - 7200))
    readings, server = await fetch(World([FULL]), *targets, settings=settings)
    canary = next(each for each in readings if each.canary)
    assert canary.block_seconds == 60
    assert canary.first * 60 <= int(NOW) - 7200 + 60
    assert {key.product for key in canary.blocks} == {"product-2"}
    named = [form["query"] for form in server.forms if 'product="product-2"' in form["query"]]
    assert len(named) == 10
    assert server.queries["cpu"] == 2


@pytest.mark.parametrize(
    ("block", "scrape", "canary"), [(300, 5, 60), (300, 30, 120), (5, 1, 5), (20, 5, 20)]
)
def test_a_canary_block_is_a_minute_at_most_but_four_scrapes_at_least(block, scrape, canary):
    assert Timing(scrape_seconds=scrape).canary_block(block) == canary
