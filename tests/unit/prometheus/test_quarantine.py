"""What Prometheus refuses because of one product costs that product alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from math import ceil, log2

import pytest
from prometheus_client import REGISTRY

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.api.names import ConditionType, DecisionReason
from sluicegate.api.slos import Indicator
from sluicegate.conditions import find_condition
from sluicegate.kube.resources import Key
from sluicegate.measurement.product_view import Measured as OfOneProduct
from sluicegate.measurement.store import Measurements, target_of
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.block_reader import Evaluation, EvaluationSettings, Length
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import ProductKey, Readings, SeriesKey, Target, VersionKey
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.decide.planner import take_step
from sluicegate.reconcile.report.status import report
from sluicegate.slo.blocks import Quality
from sluicegate.slo.gateway import TRAEFIK, backend_of
from sluicegate.stats.counts import Count
from tests.support.fetching import fetch_all
from tests.support.measured_world import Measured, World
from tests.support.rollout_world import ACCURACY, BLOCK, document
from tests.support.rollout_world import World as Rollout
from tests.support.selecting import Poison, Selecting

MOST_SPLITS = 128


def extra_queries(namespaces: int, products: int) -> int:
    """The most queries that it takes to find one of these products in these namespaces.

    One asks whether Prometheus answers at all, one names a namespace's products, and two are for
    the two blocks that a fetch reads.
    """
    return 2 * (ceil(log2(namespaces)) + ceil(log2(products))) + 4


NOW = 300 * 12 * 400 + 60.0
"""Block 4800 has settled; 4799 is read with it."""
AVAILABILITY = {"availability": Indicator(availability={})}
CLICKS = {"clicks": Indicator(counters={"good": "clicked_total", "total": "served_total"})}
BOTH = AVAILABILITY | CLICKS
COUNTERS: dict[tuple[str, int], float] = {("clicked_total", 0): 4, ("served_total", 0): 100}
KINDS = {"targets", "requests", "requests_bad", "counters", "cpu_throttled", "memory"}


def target(key: ProductKey, **changes) -> Target:
    settings = {"key": key, "versions": ("v1",), "slos": BOTH}
    return Target(**settings | changes)


def products(namespaces: int, each: int) -> list[ProductKey]:
    return [
        ProductKey(f"team-{team:02d}", f"product-{number:02d}")
        for team in range(namespaces)
        for number in range(each)
    ]


@asynccontextmanager
async def prometheus_of(keys, poison=None, *, lies=None, answer_bytes=2**27, **settings):
    """A stand-in that measures these products, and an evaluation that asks it."""
    measured = [Measured(namespace=k[0], product=k[1], counters=COUNTERS) for k in keys]
    rows = Selecting(World(measured))
    server = PrometheusStandIn(rows, lies or {})
    if poison is not None:
        server.fault = poison
    rows.server = server
    async with server:
        endpoint = Endpoint(url=server.url, timeout_seconds=60, max_answer_bytes=answer_bytes)
        async with Prometheus(endpoint) as prometheus:
            chosen = EvaluationSettings(jitter_seconds=0, **settings)
            yield server, Evaluation(prometheus, chosen)


def newest(readings: Readings, slo: str) -> dict[ProductKey, Quality]:
    return {
        ProductKey(*key[:2]): blocks[-1].quality
        for key, blocks in readings.blocks.items()
        if key.slo == slo
    }


def bad_ones(readings: Readings, slo: str) -> set[ProductKey]:
    """Products whose newest block wasn't counted; they must be UNAVAILABLE, never zero."""
    found = {key: one for key, one in newest(readings, slo).items() if one is not Quality.COUNTED}
    assert set(found.values()) <= {Quality.UNAVAILABLE}
    return set(found)


def total(server: PrometheusStandIn) -> int:
    asked = server.asked.total()
    server.asked.clear()
    return asked


# ---- one among many --------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["counters", "requests", "requests_bad", "targets"])
@pytest.mark.parametrize("lie", [Lie.REJECTED_422, Lie.NOT_JSON, Lie.MALFORMED_ROW])
async def test_a_product_that_a_query_fails_for_is_found_by_few_queries_and_costs_no_other(
    kind, lie
):
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


async def test_while_nothing_fails_no_query_is_added():
    keys = products(4, 8)
    async with prometheus_of(keys) as (server, evaluation):
        for block in range(3):
            await fetch_all(evaluation, [target(key) for key in keys], NOW + 300 * block)
        assert server.asked == dict.fromkeys(KINDS, 3)


async def test_only_the_indicators_that_need_the_failed_query_are_lost():
    keys = products(2, 2)
    async with prometheus_of(keys, Poison({keys[0]: {"counters"}})) as (_, evaluation):
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert bad_ones(readings, "clicks") == {keys[0]}
    assert not bad_ones(readings, "availability")


async def test_several_at_once_are_found_also_where_others_bear_their_names():
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


async def test_what_is_mended_is_counted_again_and_asked_about_together_with_the_others():
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
        server.asked.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300 * 7)
        assert server.asked == dict.fromkeys(KINDS, 1)
        assert not bad_ones(readings, "availability")


async def test_a_product_that_stays_broken_is_tried_ever_more_seldom():
    keys = products(1, 4)
    settings = {"timing": Timing(scrape_seconds=5)}
    targets = [target(key, block_seconds=20) for key in keys]
    async with prometheus_of(keys, Poison({keys[1]: {"requests"}}), **settings) as (
        server,
        evaluation,
    ):
        await fetch_all(evaluation, targets, NOW)
        server.asked.clear()
        for block in range(1, 32):
            await fetch_all(evaluation, targets, NOW + 20 * block)
        # After 1, 2, 4, 8 and 16 blocks; ten minutes are the longest pause.
        assert server.asked["requests"] == 31 + 5


async def test_the_log_names_the_product_once(caplog):
    keys = products(2, 2)
    async with prometheus_of(keys, Poison({keys[3]: {"requests"}})) as (_, evaluation):
        for block in range(5):
            await fetch_all(evaluation, [target(key) for key in keys], NOW + 300 * block)
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(told) == 1
    assert "DataProduct team-01/product-01" in told[0]
    assert "rejected 422" in told[0]
    assert "/metrics" in told[0]


# ---- pods of nobody --------------------------------------------------------------------------
@pytest.mark.parametrize("namespace", ["team-01", "elsewhere"])
async def test_pods_that_belong_to_no_product_are_left_out_wherever_they_are(namespace):
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
async def test_a_product_that_doesnt_use_a_counter_spoils_it_for_nobody_and_is_told(where):
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
        server.asked.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300 * 9)
        assert server.asked == dict.fromkeys(KINDS, 1)
        assert not readings.unreadable


async def test_a_product_of_another_length_of_block_is_told_what_it_spoils_for_others():
    """A query about whole namespaces reads its pods, too."""
    keys, guilty = products(2, 3), ProductKey("team-00", "guilty")
    measurements = Measurements(Timing())
    for key in keys:
        measurements.want(Key(*key), target(key))
    measurements.want(Key(*guilty), target(guilty, slos=AVAILABILITY, block_seconds=600))
    poison = Poison({guilty: {"counters"}})
    async with prometheus_of([*keys, guilty], poison) as (server, evaluation):
        await measurements.read(evaluation, NOW)
        await measurements.read(evaluation, NOW + 300)
        server.asked.clear()
        await measurements.read(evaluation, NOW + 600)
        assert server.asked["counters"] <= 1 + 2 + 1, "two lengths of block, and one that is tried"
        assert "counters: " in measurements.untold(Key(*guilty))
        assert not any(measurements.untold(Key(*key)) for key in keys)
        poison.kinds.clear()
        for block in range(3, 9):
            await measurements.read(evaluation, NOW + 300 * block)
    assert REGISTRY.get_sample_value("sluicegate_unreadable_products") == 0


# ---- too much --------------------------------------------------------------------------------
def talkative(key: ProductKey, rows: int) -> list[Measured]:
    """A product whose pods make a series of each thing they are told."""
    return [Measured(namespace=key[0], product=key[1], version=f"v{n}") for n in range(rows)]


async def test_an_answer_that_is_too_large_costs_the_product_that_makes_it_so():
    keys = products(2, 8)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    async with prometheus_of(keys, answer_bytes=20_000) as (server, evaluation):
        server.rows.world.versions += talkative(keys[3], 300)
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert bad_ones(readings, "availability") == {keys[3]}
        assert "exceeds" in readings.unreadable[keys[3]]["requests"]
        server.asked.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300)
        assert bad_ones(readings, "availability") == {keys[3]}
        assert set(server.asked.values()) <= {1, 2, 3}


async def test_blocks_that_are_too_many_for_one_answer_are_read_in_several():
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
        qualities = {one.quality for blocks in readings.blocks.values() for one in blocks}
        assert qualities == {Quality.COUNTED}


# ---- the past --------------------------------------------------------------------------------
async def fill(evaluation: Evaluation, targets: list[Target]) -> BlockCache:
    cache = BlockCache()
    evaluation.regroup(targets)
    async for past in evaluation.backfill(targets, NOW):
        await cache.record_past(past)
        cache.record_filled(past.targets)
    return cache


async def test_a_backfill_goes_on_and_the_product_keeps_what_can_be_read():
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


async def test_one_refused_hour_of_the_past_costs_an_eighth_of_it():
    keys = products(1, 2)
    during = range(300 * 4740, 300 * 4741)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    poison = Poison({keys[0]: {"requests"}}, blocks=during)
    async with prometheus_of(keys, poison) as (_, evaluation):
        cache = await fill(evaluation, targets)
        (readings,) = await fetch_all(evaluation, targets, NOW)
    assert not readings.unreadable
    series = cache.series(SeriesKey(*keys[0], "v1", "availability"), 300)
    read = [one.quality for one in series.blocks(4728, 4800)]
    assert len(read) == 72
    assert read.count(Quality.UNAVAILABLE) == 72 // 8


async def test_a_chunk_of_products_that_isnt_answered_holds_up_no_other():
    keys = products(1, 40)
    targets = [target(key, slos=AVAILABILITY) for key in keys]
    # A query that takes Prometheus too long: it answers 503 to that, and all others in time.
    slow = Poison({keys[0]: {"requests"}}, Lie.ERROR_503)
    async with prometheus_of(keys, slow) as (_, evaluation):
        cache = await fill(evaluation, targets)
        pending = {one.key for one in cache.pending(targets)}
        assert keys[0] in pending
        assert 0 < len(pending) < len(keys) / 2


async def test_a_backfill_stops_where_nothing_is_answered():
    keys = products(5, 8)
    async with prometheus_of(keys, lies={"": Lie.ERROR_503}) as (server, evaluation):
        assert len((await fill(evaluation, [target(key) for key in keys])).pending([])) == 0
        assert set(server.asked) == {"targets"}
        assert total(server) <= 4, "two for singles and two for hours, as each is tried twice"


# ---- canaries --------------------------------------------------------------------------------
async def test_a_canarys_blocks_are_isolated_too_and_read_from_the_beginning_when_mended():
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
async def test_the_only_product_that_needs_a_query_isnt_blamed_for_others_named_beside_it(
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
                # Whose pods they are is told, and the search isn't made again.
                assert readings.unreadable.keys() == {of_others}
                assert not bad_ones(readings, "clicks")
            if block == 1:
                server.asked.clear()
        # Seven reads of two lengths, and tries that become ever rarer; a search takes five.
        assert server.asked["counters"] <= 7 * 2 + 8


async def test_pods_that_bear_the_name_of_a_product_of_another_namespace_are_left_out():
    """Two names in two namespaces match four ways."""
    keys = [ProductKey(f"team-{team:02d}", f"product-{team:02d}") for team in range(6)]
    stray = ProductKey("team-01", "product-04")
    began = int(NOW) - 3600
    targets = [target(key, slos=AVAILABILITY, canary_from=began) for key in keys]
    async with prometheus_of(keys, Poison({stray: {"requests"}})) as (server, evaluation):
        await fetch_all(evaluation, targets, NOW)
        await fetch_all(evaluation, targets, NOW + 300)
        server.asked.clear()
        for block in range(2, 10):
            for readings in await fetch_all(evaluation, targets, NOW + 300 * block):
                assert not readings.unreadable
                assert not bad_ones(readings, "availability")
    # In the canary's length, where products are named: the others, and those of one namespace.
    assert server.asked["requests"] <= 8 * 2 + 8 * 2 + 8


@pytest.mark.parametrize("lie", [Lie.REJECTED_422, Lie.NOT_JSON, Lie.MALFORMED_ROW])
async def test_a_gateways_answer_is_lost_only_for_the_product_that_it_fails_for(lie):
    keys = [*products(2, 3), ProductKey("team-00", "product-xx")]
    poisoned = keys[1]
    began = int(NOW) - 3600
    targets = [target(key, slos=AVAILABILITY, canary_from=began) for key in keys]
    poison = Poison({poisoned: {"gateway"}}, lie)
    async with prometheus_of(keys, poison, gateway=TRAEFIK) as (server, evaluation):
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
        server.asked.clear()
        found = await fetch_all(evaluation, targets, NOW + 300 * 9)
        (readings,) = (one for one in found if one.canary)
        assert readings.gateway.keys() == {*backends.values()}
        assert server.asked["gateway"] == 1


# ---- the whole Prometheus --------------------------------------------------------------------
@pytest.mark.parametrize("lie", [Lie.ERROR_503, Lie.FORBIDDEN_403, Lie.NOT_JSON, Lie.REFUSED])
async def test_where_nothing_is_answered_nobody_is_to_blame_and_nothing_is_split(lie):
    keys = products(4, 4)
    async with prometheus_of(keys, lies={"": lie}) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert server.asked.total() <= 2
    assert not readings.complete
    assert readings.problem
    assert not readings.unreadable


async def test_a_query_that_isnt_answered_in_time_is_not_split():
    keys = products(4, 4)
    async with prometheus_of(keys, Poison({keys[0]: {"requests"}}, Lie.ERROR_503)) as (
        server,
        evaluation,
    ):
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert server.asked["requests"] == 2, "as often as any that isn't answered"
    assert not readings.complete
    assert not readings.unreadable


async def test_a_kind_that_is_refused_about_everybody_is_searched_once_and_within_bounds():
    keys = products(10, 20)
    targets = [target(key) for key in keys]
    async with prometheus_of(keys, lies={"requests": Lie.REJECTED_422}) as (server, evaluation):
        (readings,) = await fetch_all(evaluation, targets, NOW)
        assert server.asked["requests"] <= MOST_SPLITS + 1
        assert readings.failed == {"requests"}
        assert not readings.unreadable
        assert not bad_ones(readings, "clicks")
        server.asked.clear()
        (readings,) = await fetch_all(evaluation, targets, NOW + 300)
        assert server.asked["requests"] == 1
        assert readings.failed == {"requests"}


# ---- rows ------------------------------------------------------------------------------------
HISTOGRAMS = {"histograms": [[300 * 4800, {"count": "3", "sum": "1", "buckets": []}]]}


@pytest.mark.parametrize(
    "broken", [{}, HISTOGRAMS, {"values": [[300 * 4800, "many"]]}, {"values": [], **HISTOGRAMS}]
)
async def test_a_row_that_isnt_numbers_is_skipped_with_its_product_and_counted(broken):
    keys = products(2, 2)

    def skipped() -> float:
        return REGISTRY.get_sample_value("sluicegate_prometheus_rows_skipped_total") or 0.0

    async with prometheus_of(keys) as (server, evaluation):
        answer, before = server.rows, skipped()

        def with_a_broken_row(kind, indexes, step):
            yield from answer(kind, indexes, step)
            if kind == "requests_bad":
                labels = {"namespace": keys[2][0], "product": keys[2][1], "version": "v1"}
                yield {"metric": labels, **broken}

        server.rows = with_a_broken_row
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
        assert server.asked == dict.fromkeys(KINDS, 1)
    assert readings.complete
    assert bad_ones(readings, "availability") == {keys[2]}
    assert set(readings.unreadable[keys[2]]) == {"requests_bad"}
    assert skipped() == before + 1


@pytest.mark.parametrize(
    ("warning", "complete"),
    [
        ("PromQL warning: encountered a mix of histograms and floats for metric name", True),
        ("PromQL info: ignored histograms in max_over_time aggregation", True),
        ("a store gateway didn't answer", False),
    ],
)
async def test_what_prometheus_says_of_somebodys_series_doesnt_make_all_answers_partial(
    warning, complete
):
    keys = products(1, 2)
    async with prometheus_of(keys, lies={"": Lie.PARTIAL}) as (server, evaluation):
        server.warning = warning
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert readings.complete is complete


# ---- what the products are told ----------------------------------------------------------------
async def test_the_others_are_measured_and_the_one_is_told_which_of_its_slos_cant_be():
    """Availability of both is counted; one's counters can't be read."""
    clicks = {"name": "clicks", "indicator": {"counters": CLICKS["clicks"].counters.to_dict()}}
    clicks |= {"objective": "0.9"}
    served = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.9"}
    both = Rollout(spec=document(slos=[served, clicks])).until(lambda w: w.serving == "v1")
    key = Key(*both.product.metadata.key)
    victim = Key("catalog", "victim")
    measurements = Measurements(Timing(scrape_seconds=BLOCK / 4))
    wanted = target_of(both.product, measurements.timing)
    wanted = replace(wanted, evidence_from=0, service="")
    measurements.want(key, wanted)
    measurements.want(victim, replace(wanted, key=ProductKey(*victim), slos=AVAILABILITY))
    poison = Poison({ProductKey(*key): {"counters"}})
    async with prometheus_of([key, victim], poison) as (_, evaluation):
        await measurements.read(evaluation, later(both))
    assert not measurements.failed(BLOCK)
    assert not measurements.unreadable(victim, BLOCK)
    assert not measurements.untold(victim)
    assert "rejected 422" in measurements.untold(key)
    assert not measurements.untold(key), "once"
    assert REGISTRY.get_sample_value("sluicegate_unreadable_products") == 1
    measured = OfOneProduct(measurements, both.product)
    assert measured.problem() is None
    assert measured.problems() == {"clicks": DecisionReason.UNREADABLE_SERIES}
    condition, slos = metrics_available(both, measured)
    assert (condition.status, condition.reason) == ("True", "Measured")
    assert "/metrics" in condition.message
    assert slos["clicks"] == DecisionReason.UNREADABLE_SERIES
    assert slos["availability"] != DecisionReason.UNREADABLE_SERIES


@pytest.mark.parametrize(
    ("poison", "reason"),
    [({"labelled"}, "UnreadableSeries"), ({"targets"}, "UnreadableSeries"), (set(), None)],
)
async def test_a_product_none_of_whose_slos_can_be_read_says_why(poison, reason):
    world = Rollout(spec=document(slos=[ACCURACY])).until(lambda w: w.serving == "v1")
    key = Key(*world.product.metadata.key)
    other = target(ProductKey("catalog", "other"), block_seconds=BLOCK)
    measurements = Measurements(Timing(scrape_seconds=BLOCK / 4))
    measurements.want(Key(*other.key), other)
    wanted = target_of(world.product, measurements.timing)
    measurements.want(key, replace(wanted, evidence_from=0))
    async with prometheus_of([key, other.key], Poison({ProductKey(*key): poison})) as (_, asked):
        await measurements.read(asked, later(world))
    measured = OfOneProduct(measurements, world.product)
    assert measured.problem() == reason
    if reason:
        condition, _ = metrics_available(world, measured)
        assert (condition.status, condition.reason) == ("False", reason)
        assert "/metrics" in condition.message


def later(world: Rollout) -> float:
    """When the version that serves has warmed up, in seconds."""
    return world.now + 40.0 * BLOCK


def metrics_available(world: Rollout, measured: OfOneProduct):
    """The condition, and the reason of each SLO, as the product's status would have them."""
    situation = world.situation()
    observed = replace(
        situation.observed,
        block=measured.newest,
        problem=measured.problem(),
        problems=measured.problems(),
        series=measured.series(),
    )
    situation = replace(situation, observed=observed, now=int(later(world)))
    status = report(situation, take_step(situation))
    condition = find_condition(status.conditions, ConditionType.METRICS_AVAILABLE)
    return condition, {slo.name: slo.reason for slo in status.slos}


async def test_a_product_that_doesnt_use_a_query_has_no_problem_where_it_isnt_answered():
    world = Rollout(spec=document(slos=[ACCURACY])).until(lambda w: w.serving == "v1")
    key = Key(*world.product.metadata.key)
    other = target(ProductKey("catalog", "other"), slos=CLICKS, block_seconds=BLOCK)
    measurements = Measurements(Timing(scrape_seconds=BLOCK / 4))
    measurements.want(Key(*other.key), other)
    measurements.want(key, replace(target_of(world.product, measurements.timing), evidence_from=0))
    async with prometheus_of([key, other.key]) as (server, evaluation):
        await measurements.read(evaluation, NOW)
        server.lies["counters"] = Lie.ERROR_503
        await measurements.read(evaluation, NOW + BLOCK)
    assert measurements.problem(BLOCK)
    assert OfOneProduct(measurements, world.product).problem() is None
    assert Length(BLOCK, canary=False) in measurements.groups
    assert measurements.owes(Length(BLOCK, canary=False)), "it is asked for again soon"


async def test_after_it_was_released_a_products_missed_blocks_are_read():
    keys = products(1, 3)
    measurements = Measurements(Timing())
    for key in keys:
        measurements.want(Key(*key), target(key, slos=AVAILABILITY))
    poison = Poison({keys[1]: {"requests"}})
    series = SeriesKey(*VersionKey(*keys[1], "v1"), "availability")
    async with prometheus_of(keys, poison) as (_, evaluation):
        for block in range(6):
            await measurements.read(evaluation, NOW + 300 * block)
        lost = measurements.blocks.series(series, 300)
        assert {one.quality for one in lost.blocks(4800, 4805)} == {Quality.UNAVAILABLE}
        poison.kinds.clear()
        for block in range(6, 9):
            await measurements.read(evaluation, NOW + 300 * block)
            await measurements.read(evaluation, NOW + 300 * block + 10)
        read = measurements.blocks.series(series, 300)
        assert {one.quality for one in read.blocks(4800, 4808)} == {Quality.COUNTED}
    assert measurements.is_filled(Key(*keys[1]))
