"""One fetch for all products: what is read, when, and what becomes of answers that lie."""

import asyncio
from math import inf, nan

import pytest

from benchmarks.prometheus_stand_in import Held, Lie, PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_reader import EvaluationSettings, Length
from sluicegate.prometheus.targets import SeriesKey
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.pod_seconds import POD_SECONDS
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


async def test_gauges_and_facts_come_with_the_blocks():
    (readings,), _ = await fetch(World([FULL]))
    mean = readings.means[SeriesKey(*VERSION, "basket")][-1]
    assert (mean.index, mean.quality, mean.value) == (1000, Quality.COUNTED, 41.5)
    facts = readings.facts[VERSION]
    assert (facts.coverage, facts.scraped, facts.stale) == (1.0, True, False)
    assert (facts.cpu_throttled, facts.memory_used) == (0.01, 0.4)


async def test_a_gateways_own_count_of_each_backend_comes_where_one_is_configured():
    world = World([FULL], gateway={BACKEND: 95})
    readings, server = await fetch(world, CANARY, settings=WITH_GATEWAY)
    found = {each.canary: each.gateway for each in readings}
    assert found[False] is None
    assert set(found[True]) == {BACKEND}
    assert set(found[True][BACKEND].values()) == {95}
    assert server.asked["gateway"] == 1
    readings, server = await fetch(world, CANARY)
    assert [each.gateway for each in readings] == [None, None]
    assert not server.asked["gateway"]


ROUTE = "catalog-search-ranking"


@pytest.mark.parametrize(
    ("pods", "sent", "expected"),
    [
        ({"bad": 3}, {"unsent": 20, "own": 3, "refused": 2}, Count(22, 119)),
        ({"bad": 3}, {"unsent": 2, "own": 3}, Count(3, 100)),
        ({"bad": 3}, {}, Count(3, 100)),
        ({"requests": None, "targets": 0}, {"routed": 40, "unsent": 40}, Count(40, 40)),
        ({"coverage": 0.0}, {"routed": 60, "unsent": 35, "refused": 5}, Count(40, 60)),
    ],
    ids=["some", "all 503 are the pods' own", "none", "no pod", "a pod that can't be asked"],
)
async def test_requests_that_found_no_pod_are_failures_where_the_gateway_counts_them(
    pods, sent, expected
):
    world = World(
        [ProductBlocks(**pods)], sent={(ROUTE, fact): value for fact, value in sent.items()}
    )
    (readings,), server = await fetch(world, settings=WITH_GATEWAY)
    assert server.asked["sent"] == 1
    newest = readings.blocks[AVAILABILITY][-1]
    assert newest == Block(1000, Quality.COUNTED, expected)


async def test_a_block_that_can_t_be_read_stays_so_whatever_the_gateway_says():
    world = World([ProductBlocks(duplicates=1)], sent={(ROUTE, "unsent"): 40})
    (readings,), _ = await fetch(world, settings=WITH_GATEWAY)
    assert readings.blocks[AVAILABILITY][-1].quality is Quality.INVALID


async def test_without_the_gateway_s_answer_what_the_pods_count_holds():
    world = World([ProductBlocks()], sent={(ROUTE, "unsent"): 40})
    (readings,), _ = await fetch(world, settings=WITH_GATEWAY, lies={"sent": Lie.ERROR_500})
    assert readings.complete
    assert readings.blocks[AVAILABILITY][-1].count == Count(0, 100)


async def test_a_canary_is_judged_by_what_its_own_pods_answered():
    world = World([ProductBlocks(), ProductBlocks(version="v2")], sent={(ROUTE, "unsent"): 40})
    readings, server = await fetch(world, CANARY, settings=WITH_GATEWAY)
    found = {one.canary: one.blocks[AVAILABILITY][-1].count for one in readings}
    assert found == {False: Count(40, 140), True: Count(0, 100)}
    assert server.asked["sent"] == 1


# ---- bad or absent data, row by row ------------------------------------------------------
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
    assert set(server.asked) == {"targets"}


async def test_one_query_that_fails_makes_only_its_own_slos_unavailable():
    blocks = await newest(FULL, lies={"labelled": Lie.ERROR_500})
    assert blocks["accuracy"].quality is Quality.UNAVAILABLE
    assert {blocks[slo].quality for slo in ("availability", "latency")} == {Quality.COUNTED}


async def test_an_unreadable_value_makes_a_block_unavailable():
    blocks = await newest(FULL, lies={"requests": Lie.MALFORMED_VALUE})
    assert blocks["availability"].quality is Quality.UNAVAILABLE


async def test_without_the_kubelets_series_counts_hold_and_the_facts_are_unknown():
    lies = {"cpu": Lie.ERROR_500, "memory": Lie.ERROR_500}
    (readings,), _ = await fetch(World([FULL]), lies=lies)
    assert readings.complete
    assert "cpu" in readings.problem
    assert readings.facts[VERSION].cpu_throttled is None


async def test_a_product_without_series_has_none():
    (readings,), _ = await fetch(World([]))
    assert {b.quality for blocks in readings.blocks.values() for b in blocks} == {Quality.NO_SERIES}
    assert not readings.facts[VERSION].scraped


async def test_pods_that_are_scraped_and_count_nothing_tell_a_silent_canary():
    silent = ProductBlocks(requests=None, fast=None, correct=None, wrong=None)
    (readings,), _ = await fetch(World([silent]))
    assert readings.facts[VERSION].scraped
    assert readings.blocks[SeriesKey(*VERSION, "availability")][-1].quality is Quality.NO_SERIES


async def test_a_night_without_requests_is_a_count_of_zero():
    blocks = await newest(ProductBlocks(requests=0, fast=0, correct=0, wrong=0))
    for slo in ("availability", "latency", "accuracy"):
        assert blocks[slo] == Block(1000, Quality.COUNTED, Count(0, 0))


async def test_no_error_series_beside_requests_is_no_error():
    blocks = await newest(ProductBlocks(bad=None))
    assert blocks["availability"].count == Count(0, 100)


async def test_what_is_refused_is_counted_apart_and_only_while_versions_are_compared():
    """Of all requests: those to unknown paths too, which no availability knows."""
    codes = {"400": 20, "429": 5, "404": 30, "405": 10}
    world = World([ProductBlocks(requests=100, bad=3, refused=codes), ProductBlocks(version="v2")])
    key = SeriesKey(*VERSION, CLIENT_ERRORS)
    readings, _ = await fetch(world, target(versions=("v1", "v2"), client_errors=True))
    blocks = readings[0].blocks
    assert blocks[key][-1] == Block(1000, Quality.COUNTED, Count(65, 140))
    assert blocks[key._replace(slo="availability")][-1].count == Count(3, 100)
    assert blocks[key._replace(version="v2")][-1].count == Count(0, 100)
    readings, server = await fetch(world, target())
    assert key not in readings[0].blocks
    assert server.asked["requests_bad"] == 1


async def test_the_pods_of_a_block_are_counted_where_an_autoscaler_changes_their_number():
    """By the scrapes that each block should have: one that Prometheus didn't try is no pod less."""
    world = World([ProductBlocks(targets=3, attempted=0.9)])
    readings, _ = await fetch(world, target(counts_pods=True))
    key = SeriesKey(*VERSION, POD_SECONDS)
    assert readings[0].blocks[key][-1] == Block(1000, Quality.COUNTED, Count(0, 3 * 300))
    readings, _ = await fetch(world, target())
    assert key not in readings[0].blocks


async def test_a_version_that_is_only_asked_for_unknown_paths_has_requests():
    """A renamed route: it seemed to get none at all."""
    lost = ProductBlocks(requests=None, fast=None, refused={"404": 40})
    (readings,), _ = await fetch(World([lost]), target(client_errors=True))
    found = {key.slo: blocks[-1] for key, blocks in readings.blocks.items()}
    assert found[CLIENT_ERRORS] == Block(1000, Quality.COUNTED, Count(40, 40))
    assert found["availability"].quality is Quality.NO_SERIES


async def test_a_histogram_that_has_not_begun_is_no_success_and_not_unknown():
    blocks = await newest(ProductBlocks(requests=10, bad=10, fast=None))
    assert blocks["availability"].count == Count(10, 10)
    assert blocks["latency"] == Block(1000, Quality.COUNTED, Count(0, 0))


async def test_label_counters_that_are_absent_leave_only_their_slo_unknown():
    blocks = await newest(ProductBlocks(correct=None, wrong=None))
    assert blocks["accuracy"].quality is Quality.NO_SERIES
    assert blocks["availability"].quality is Quality.COUNTED


async def test_a_raw_counter_that_is_not_exported_is_not_zero():
    blocks = await newest(ProductBlocks(counters={("served_total", 0): 100}))
    assert blocks["clicks"].quality is Quality.NO_SERIES


@pytest.mark.parametrize("wrong", [nan, inf, -3.0])
async def test_a_number_that_cannot_be_a_count_is_invalid(wrong):
    assert (await newest(ProductBlocks(requests=wrong)))["availability"].quality is Quality.INVALID
    assert (await newest(ProductBlocks(bad=wrong)))["availability"].quality is Quality.INVALID


@pytest.mark.parametrize(("bad", "quality"), [(102, Quality.COUNTED), (103, Quality.INVALID)])
async def test_more_bad_than_all_is_invalid_beyond_the_slack_of_two_scrapes(bad, quality):
    assert (await newest(ProductBlocks(bad=bad)))["availability"].quality is quality


async def test_more_good_than_all_is_invalid_unless_good_events_lag():
    counters = {("clicked_total", 0): 110, ("served_total", 0): 100}
    assert (await newest(ProductBlocks(counters=counters)))["clicks"].quality is Quality.INVALID
    late = Indicator(counters={"good": "clicked_total", "total": "served_total", "lagSeconds": 60})
    counters = {("clicked_total", 0): 110, ("served_total", 60): 100}
    (readings,), _ = await fetch(
        World([ProductBlocks(counters=counters)]), target(slos={"clicks": late})
    )
    assert readings.blocks[SeriesKey(*VERSION, "clicks")][-1].count == Count(0, 100)


@pytest.mark.parametrize(
    ("gap", "quality"),
    [
        ({"coverage": 0.8}, Quality.COUNTED),
        ({"coverage": 0.7}, Quality.LOW_COVERAGE),
        ({"attempted": 0.8}, Quality.COUNTED),
        ({"attempted": 0.5}, Quality.LOW_COVERAGE),
    ],
)
async def test_a_block_with_scrapes_that_failed_or_were_never_tried_is_dropped(gap, quality):
    assert (await newest(ProductBlocks(**gap)))["availability"].quality is quality


async def test_a_pod_that_lived_for_half_a_block_is_no_gap():
    replaced = ProductBlocks(attempted=0.5)
    other = ProductBlocks(product="pricing")
    (readings,), _ = await fetch(World([replaced, other]))
    block = readings.blocks[SeriesKey(*VERSION, "availability")][-1]
    assert block.quality is Quality.COUNTED


async def test_pods_that_are_scraped_twice_are_invalid():
    (readings,), _ = await fetch(World([ProductBlocks(duplicates=1)]))
    assert readings.facts[VERSION].duplicated == 1
    block = readings.blocks[SeriesKey(*VERSION, "availability")][-1]
    assert block.quality is Quality.INVALID


async def test_targets_whose_newest_scrape_is_old_are_stale():
    (readings,), _ = await fetch(World([ProductBlocks(age=61)]))
    assert readings.facts[VERSION].stale
    block = readings.blocks[SeriesKey(*VERSION, "availability")][-1]
    assert block.quality is Quality.UNAVAILABLE


async def test_a_gauge_older_than_it_may_be_is_missing():
    (readings,), _ = await fetch(World([ProductBlocks(gauge=1.0, gauge_age=901)]))
    mean = readings.means[SeriesKey(*VERSION, "basket")][-1]
    assert mean.quality is Quality.NO_SERIES


async def test_a_histogram_without_the_thresholds_bound_is_invalid():
    slos = {"latency": Indicator(latency={"thresholdMilliseconds": 100})}
    (readings,), _ = await fetch(World([FULL]), target(slos=slos))
    assert readings.blocks[SeriesKey(*VERSION, "latency")][-1].quality is Quality.INVALID


async def test_outcomes_scored_by_another_versions_pods_count_for_the_version_that_predicted():
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


async def test_calls_between_the_services_of_a_bento_count_once():
    world = World([ProductBlocks(service="Entry"), ProductBlocks(service="Inner", targets=0)])
    (readings,), _ = await fetch(world, target(service="Entry"))
    assert readings.blocks[SeriesKey(*VERSION, "availability")][-1].count.total == 100


# ---- which blocks are read, and by how many queries --------------------------------------
async def test_a_block_is_read_only_once_it_has_settled():
    world = World([FULL])
    (readings,), _ = await fetch(world, now=300 * 1_000 + 59.9)
    assert readings.last == 999
    (readings,), _ = await fetch(world, now=300 * 1_000 + 60)
    assert readings.last == 1000


async def test_the_queries_of_a_block_do_not_depend_on_how_many_products_there_are():
    asked = []
    for count in (1, 50, 500):
        targets = [target(number) for number in range(1, count + 1)]
        world = World([ProductBlocks(product=each.key.product) for each in targets])
        _, server = await fetch(world, *targets)
        asked.append(server.asked)
    assert asked[0] == asked[1] == asked[2]
    # One kind each, two of the infrastructure among them, and one for the raw counters.
    assert asked[0].total() <= 8 + 2 + 1


async def test_products_of_two_block_lengths_are_two_sets_of_queries():
    targets = (target(1), target(2, block_seconds=60))
    readings, server = await fetch(World([FULL]), *targets)
    assert sorted(each.block_seconds for each in readings) == [60, 300]
    assert server.asked["requests"] == 2


async def test_queries_name_the_few_products_of_a_length_beside_the_many_of_another():
    few, many = [target(1, block_seconds=60)], [target(2), target(3)]
    readings, server = await fetch(World([FULL]), *few, *many)
    assert {each.block_seconds for each in readings if each.complete} == {60, 300}
    asked = {form["step"]: form["query"] for form in server.forms}
    assert 'product="product-1"' in asked["60"]
    assert 'product!=""' in asked["300"]


async def test_the_few_do_not_wait_for_the_answers_of_the_many():
    few, many = [target(1, block_seconds=60)], [target(2), target(3)]
    async with (
        PrometheusStandIn(World([FULL])) as server,
        evaluating(server, seconds=20, concurrency=2) as evaluation,
        asyncio.timeout(20),
    ):
        evaluation.regroup(few + many)
        held = server.held[300] = Held()
        late = asyncio.create_task(fetch_length(evaluation, Length(300, canary=False), many, NOW))
        await held.asked.wait()
        (readings,) = await fetch_length(evaluation, Length(60, canary=False), few, NOW)
        assert readings.complete
        assert not late.done()
        held.released.set()
        await late


async def test_only_products_in_a_canary_are_read_a_second_time_and_by_name():
    timing = Timing(scrape_seconds=5, settle_seconds=5)
    settings = EvaluationSettings(timing=timing, jitter_seconds=0)
    targets = (target(1), target(2, canary_from=int(NOW) - 7200))
    readings, server = await fetch(World([FULL]), *targets, settings=settings)
    canary = next(each for each in readings if each.canary)
    assert canary.block_seconds == 60
    assert canary.first * 60 <= int(NOW) - 7200 + 60
    assert {key.product for key in canary.blocks} == {"product-2"}
    named = [form["query"] for form in server.forms if 'product="product-2"' in form["query"]]
    assert len(named) == 9
    assert server.asked["cpu"] == 2


@pytest.mark.parametrize(
    ("block", "scrape", "canary"), [(300, 5, 60), (300, 30, 120), (5, 1, 5), (20, 5, 20)]
)
def test_a_canary_block_is_a_minute_at_most_but_four_scrapes_at_least(block, scrape, canary):
    assert Timing(scrape_seconds=scrape).canary_block(block) == canary
