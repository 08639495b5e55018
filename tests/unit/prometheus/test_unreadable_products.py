"""Rows that can't be read, and the events of products on queries that fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from benchmarks.prometheus_stand_in import Lie
from sluicegate.api.names import ConditionType, DecisionReason
from sluicegate.conditions import find_condition
from sluicegate.kube.resources import Key
from sluicegate.measurement.product_view import ProductBlocks as OfOneProduct
from sluicegate.measurement.store import Measurements, target_of
from sluicegate.measurement.unreadable_products import export_unreadable, named_products
from sluicegate.prometheus.block_reader import Length
from sluicegate.prometheus.targets import ProductKey, SeriesKey, VersionKey
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from sluicegate.slo.blocks import Quality
from tests.support.decisions.rollout_world import ACCURACY, BLOCK, document
from tests.support.decisions.rollout_world import World as Rollout
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.isolation import (
    AVAILABILITY,
    CLICKS,
    KINDS,
    NOW,
    bad_ones,
    products,
    prometheus_of,
    target,
)
from tests.support.prometheus.selecting import Poison

# ---- rows ------------------------------------------------------------------------------------
HISTOGRAMS = {"histograms": [[300 * 4800, {"count": "3", "sum": "1", "buckets": []}]]}


@pytest.mark.parametrize(
    "broken", [{}, HISTOGRAMS, {"values": [[300 * 4800, "many"]]}, {"values": [], **HISTOGRAMS}]
)
async def test_a_non_numeric_row_is_skipped_with_its_product_and_counted(broken):
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
        assert server.queries == dict.fromkeys(KINDS, 1)
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
async def test_a_warning_about_single_series_does_not_make_the_response_partial(warning, complete):
    keys = products(1, 2)
    async with prometheus_of(keys, lies={"": Lie.PARTIAL}) as (server, evaluation):
        server.warning = warning
        (readings,) = await fetch_all(evaluation, [target(key) for key in keys], NOW)
    assert readings.complete is complete


# ---- what the products report ----------------------------------------------------------------
async def test_an_unreadable_slo_is_reported_and_other_slos_and_products_are_measured():
    """Availability of both is counted; one's counters can't be read."""
    clicks = {"name": "clicks", "indicator": {"counters": CLICKS["clicks"].counters.to_dict()}}
    clicks |= {"objective": "0.9"}
    served = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.9"}
    both = Rollout(spec=document(slos=[served, clicks])).until(lambda w: w.serving == "v1")
    key = Key(*both.product.metadata.key)
    victim = Key("catalog", "victim")
    measurements = Measurements(Timing(scrape_seconds=BLOCK / 4))
    desired = target_of(both.product, measurements.timing)
    desired = replace(desired, evidence_from=0, service="")
    measurements.set_target(key, desired)
    measurements.set_target(victim, replace(desired, key=ProductKey(*victim), slos=AVAILABILITY))
    poison = Poison({ProductKey(*key): {"counters"}})
    async with prometheus_of([key, victim], poison) as (_, evaluation):
        await measurements.read(evaluation, later(both))
    assert not measurements.failed(BLOCK)
    assert not measurements.unreadable(victim, BLOCK)
    assert not measurements.unreported(victim)
    assert "rejected 422" in measurements.unreported(key)
    assert not measurements.unreported(key), "once"
    measurements.set_target(key, measurements.targets[key])
    assert not measurements.unreported(key), "it wants the same"
    assert REGISTRY.get_sample_value("sluicegate_unreadable_products") == 1
    assert REGISTRY.get_sample_value("sluicegate_product_unreadable", labels_of(key)) == 1
    assert REGISTRY.get_sample_value("sluicegate_product_unreadable", labels_of(victim)) is None
    measured = OfOneProduct(measurements, both.product)
    assert measured.measured(NOW).problem is None
    assert measured.measured(NOW).problems == {"clicks": DecisionReason.UNREADABLE_SERIES}
    condition, slos = metrics_available(both, measured)
    assert (condition.status, condition.reason) == ("True", "Measured")
    assert "/metrics" in condition.message
    assert slos["clicks"] == DecisionReason.UNREADABLE_SERIES
    assert slos["availability"] != DecisionReason.UNREADABLE_SERIES


def labels_of(key: Key) -> dict[str, str]:
    return {"namespace": key.namespace, "product": key.name}


def test_the_message_names_twenty_unreadable_products_from_each_namespace_in_turn():
    loud = [Key("loud", f"p{number:03}") for number in range(500)]
    quiet = [Key("quiet", "b"), Key("quiet", "a")]
    try:
        export_unreadable([*loud, *quiet])
        assert REGISTRY.get_sample_value("sluicegate_unreadable_products") == 502
        assert [key for key in named_products([*loud, *quiet]) if key in quiet] == quiet[::-1]
        assert len(named_products([*loud, *quiet])) == 20
        export_unreadable(quiet[:1])
        shown = [
            REGISTRY.get_sample_value("sluicegate_product_unreadable", labels_of(key))
            for key in (loud[0], *quiet)
        ]
        assert shown == [None, 1, None]
    finally:
        export_unreadable([])


@pytest.mark.parametrize(
    ("poison", "reason"),
    [({"labelled"}, "UnreadableSeries"), ({"targets"}, "UnreadableSeries"), (set(), None)],
)
async def test_a_product_without_any_readable_slo_reports_the_reason(poison, reason):
    world = Rollout(spec=document(slos=[ACCURACY])).until(lambda w: w.serving == "v1")
    key = Key(*world.product.metadata.key)
    other = target(ProductKey("catalog", "other"), block_seconds=BLOCK)
    measurements = Measurements(Timing(scrape_seconds=BLOCK / 4))
    measurements.set_target(Key(*other.key), other)
    desired = target_of(world.product, measurements.timing)
    measurements.set_target(key, replace(desired, evidence_from=0))
    async with prometheus_of([key, other.key], Poison({ProductKey(*key): poison})) as (_, asked):
        await measurements.read(asked, later(world))
    measured = OfOneProduct(measurements, world.product)
    assert measured.measured(NOW).problem == reason
    if reason:
        condition, _ = metrics_available(world, measured)
        assert (condition.status, condition.reason) == ("False", reason)
        assert "/metrics" in condition.message


def later(world: Rollout) -> float:
    """Return when the version that serves has warmed up, in seconds."""
    return world.now + 40.0 * BLOCK


def metrics_available(world: Rollout, measured: OfOneProduct):
    """Return the condition, and the reason of each SLO, as the product's status would have them."""
    observation, found = world.observation(), measured.measured(later(world))
    observed = replace(
        observation.observed,
        block=found.block,
        problem=found.problem,
        problems=found.problems,
        series=found.series,
    )
    observation = replace(observation, observed=observed, now=int(later(world)))
    status = report(observation, make_plan(observation))
    condition = find_condition(status.conditions, ConditionType.METRICS_AVAILABLE)
    return condition, {slo.name: slo.reason for slo in status.slos}


async def test_an_unanswered_query_is_no_problem_of_a_product_that_does_not_use_it():
    world = Rollout(spec=document(slos=[ACCURACY])).until(lambda w: w.serving == "v1")
    key = Key(*world.product.metadata.key)
    other = target(ProductKey("catalog", "other"), slos=CLICKS, block_seconds=BLOCK)
    measurements = Measurements(Timing(scrape_seconds=BLOCK / 4))
    measurements.set_target(Key(*other.key), other)
    measurements.set_target(
        key, replace(target_of(world.product, measurements.timing), evidence_from=0)
    )
    async with prometheus_of([key, other.key]) as (server, evaluation):
        await measurements.read(evaluation, NOW)
        server.lies["counters"] = Lie.ERROR_503
        await measurements.read(evaluation, NOW + BLOCK)
    assert measurements.problem(BLOCK)
    assert OfOneProduct(measurements, world.product).measured(NOW).problem is None
    assert Length(BLOCK, canary=False) in measurements.groups
    assert measurements.awaits_answer(Length(BLOCK, canary=False)), "it is asked for again soon"


async def test_the_missed_blocks_of_a_product_are_read_after_its_quarantine():
    keys = products(1, 3)
    measurements = Measurements(Timing())
    for key in keys:
        measurements.set_target(Key(*key), target(key, slos=AVAILABILITY))
    poison = Poison({keys[1]: {"requests"}})
    series = SeriesKey(*VersionKey(*keys[1], "v1"), "availability")
    async with prometheus_of(keys, poison) as (_, evaluation):
        for block in range(6):
            await measurements.read(evaluation, NOW + 300 * block)
        lost = measurements.blocks.series(series, 300)
        assert {block.quality for block in lost.blocks(4800, 4805)} == {Quality.UNAVAILABLE}
        poison.kinds.clear()
        for block in range(6, 9):
            await measurements.read(evaluation, NOW + 300 * block)
            await measurements.read(evaluation, NOW + 300 * block + 10)
        read = measurements.blocks.series(series, 300)
        assert {block.quality for block in read.blocks(4800, 4808)} == {Quality.COUNTED}
    assert measurements.is_filled(Key(*keys[1]))
