"""By market: one more query whatever the number of products, and what status says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.slo_status import MarketStatus, SloState
from sluicegate.api.slos import Indicator
from sluicegate.conditions import find_condition
from sluicegate.measurement.store import target_of
from sluicegate.prometheus.block_assembly import Answers, assemble_blocks
from sluicegate.prometheus.query_batch import needs_of
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.report.status_due import same_meaning
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import QueryKind, render_queries
from sluicegate.stats.counts import Count
from sluicegate.views.needs import needs_of_status
from tests.support.decisions.rollout_world import ACCURACY, RUNTIME, document, serving_world
from tests.support.samples.product_examples import changed

if TYPE_CHECKING:
    from sluicegate.prometheus.result_table import Table

VERSION = ("catalog", "search", "v1")
COUNTED = {
    "markets": ["FR", "AT"],
    "serving": {"runtimeImage": RUNTIME, "market": {"from": "Header"}},
}


def target(name="search", markets=("AT", "FR", "other"), **slos):
    named = {slo: Indicator(**{kind: given}) for slo, (kind, given) in slos.items()}
    key = ProductKey("catalog", name)
    return Target(key=key, versions=("v1",), slos=named, markets=markets)


def test_counts_by_market_take_one_query_per_block_length_for_any_number_of_products():
    slos = {"accuracy": ("outcomes", {}), "latency": ("latency", {"thresholdMilliseconds": 250})}
    without = needs_of([target(markets=(), **slos)])
    all_targets = needs_of([target(f"p{number}", **slos) for number in range(500)])
    more = [query.kind for query in render_queries(Scope(), 300, all_targets)]
    for query in render_queries(Scope(), 300, without):
        more.remove(query.kind)
    assert more == [QueryKind.MARKETS]
    canary = render_queries(Scope(), 60, all_targets, canary=True)
    assert [query.kind for query in canary].count(QueryKind.MARKETS) == 1


def test_each_counted_slo_has_blocks_by_market_and_gauges_and_raw_counters_have_none():
    table: Table = {
        (*VERSION, "outcomes", "good", "AT"): {1000: 30.0},
        (*VERSION, "outcomes", "bad", "AT"): {1000: 10.0},
        (*VERSION, "latency:250", "good", "other"): {1000: 5.0},
        (*VERSION, "click", "bad", "FR"): {1000: 2.0},
    }
    asked = target(
        accuracy=("outcomes", {}),
        latency=("latency", {"thresholdMilliseconds": 250}),
        click=("events", {}),
        sold=("counters", {"good": "a", "total": "b"}),
        basket=("gauge", {"metric": "c"}),
    )
    answers = Answers(range(1000, 1001), 300, 30.0, {QueryKind.MARKETS: table})
    read = dict(assemble_blocks(answers, [asked]))
    counted = {key.slo: blocks[0].count for key, blocks in read.items() if blocks[0].count.total}
    assert counted == {
        "accuracy@AT": Count(10, 40),
        "latency@other": Count(0, 5),
        "click@FR": Count(2, 2),
    }
    assert not {key.slo for key in read if key.slo.startswith(("sold@", "basket@"))}


def test_an_unanswered_market_query_makes_markets_unknown_and_keeps_product_counts():
    asked = target(accuracy=("outcomes", {}))
    answers = Answers(
        range(1000, 1001), 300, 30.0,
        {QueryKind.LABELLED: {(*VERSION, "correct"): {1000: 9.0}}},
        failed=frozenset({QueryKind.MARKETS}),
    )  # fmt: skip
    read = dict(assemble_blocks(answers, [asked]))
    assert read[SeriesKey(*VERSION, "accuracy@AT")][0].quality is Quality.UNAVAILABLE
    assert read[SeriesKey(*VERSION, "accuracy")][0].quality is Quality.COUNTED


def test_a_product_with_a_market_header_has_its_markets_and_other():
    stable = {
        "version": "v1", "image": "a", "service": "S", "runtimeImage": "r", "revision": "b" * 10,
        "source": "Spec", "promotionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    document = changed({"status": {"stable": stable}})
    found = target_of(DataProduct.parse(document), Timing())
    assert found.markets == ("FR", "BE", "ES", "GB", "AT", "IT", "other")
    del document["spec"]["serving"]["market"]
    assert target_of(DataProduct.parse(document), Timing()).markets == ()


def blocks(newest, *counts):
    made = Series()
    for index, count in enumerate(counts, start=newest - len(counts) + 1):
        made.record(Block(index, Quality.COUNTED, Count(*count)))
    return made


def world_with(spec=None, **markets):
    """Return a product that serves, and what is counted of its first SLO by market."""
    observation = serving_world(30, **(spec or {})).observation()
    status = observation.product.status
    slo = status.slos[0]
    newest = observation.observed.block
    series = {market: blocks(newest, *counts) for market, counts in markets.items()}
    observed = replace(observation.observed, markets={slo.name: series})
    return replace(observation, observed=observed), status, slo.name


def shown(observation):
    """Return the status that a pass writes."""
    return report(observation, make_plan(observation))


def test_status_names_the_three_worst_markets_with_their_numbers():
    observation, _, _ = world_with(
        FR=[(0, 900)] * 12, IT=[(1, 900)] * 12, ES=[(0, 2)], AT=[(400, 900)] * 12
    )
    after = shown(observation)
    states = [(market.market, market.state) for market in after.slos[0].markets]
    assert states[:2] == [("AT", SloState.MISSED), ("ES", SloState.UNKNOWN)]
    assert len(states) == 3
    austria = after.slos[0].markets[0]
    assert (austria.ratio, austria.limit, austria.total) == ("0.555556", "0.8", 10_800)
    assert [float(bound) for bound in austria.interval] == [
        pytest.approx(0.546, abs=0.001),
        pytest.approx(0.565, abs=0.001),
    ]
    assert float(austria.budget_remaining) == pytest.approx(1 - (4 / 9) / 0.2, abs=1e-5)
    assert austria.missed_start_time is not None


def test_the_condition_names_a_market_that_misses_an_slo_and_is_absent_without_markets():
    observation, _, _ = world_with(COUNTED, FR=[(0, 900)] * 12, AT=[(400, 900)] * 12)
    met = find_condition(shown(observation).conditions, ConditionType.MARKETS_MET)
    assert (met.status, met.reason) == ("False", "MarketMissed")
    assert "accuracy is missed in AT since " in met.message
    assert "(55.6 %, n=10,800, 95 %: 54.6 % to 56.5 %; at least 80.0 % is required)" in met.message
    assert "markets.onMissed is Alert" in met.message
    observation, _, _ = world_with(COUNTED, FR=[(0, 900)] * 12)
    met = find_condition(shown(observation).conditions, ConditionType.MARKETS_MET)
    assert (met.status, met.reason) == ("True", "AllMet")
    observation, _, _ = world_with(AT=[(400, 900)] * 12)
    assert find_condition(shown(observation).conditions, ConditionType.MARKETS_MET) is None


def test_an_ignored_market_has_no_condition_and_no_diagnosis():
    ignored = {"slos": [{**ACCURACY, "markets": {"onMissed": "Ignore"}}]}
    observation, _, _ = world_with(COUNTED | ignored, FR=[(0, 900)] * 12, AT=[(400, 900)] * 12)
    after = shown(observation)
    (austria, _) = after.slos[0].markets
    assert (austria.state, austria.missed_start_time) == (SloState.MISSED, None)
    assert find_condition(after.conditions, ConditionType.MARKETS_MET) is None
    assert not needs_of_status(after, ("catalog", "search"))


LEARNT = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05"}
BENTO = document()["spec"]["model"]["bento"]


def test_without_an_objective_a_market_is_judged_by_its_baseline():
    """Nine of ten were right in the evaluation, and five points fewer are allowed."""
    accepted = {"bento": BENTO, "evaluation": {"accuracy": {"bad": 1000, "total": 10_000}}}
    markets = {"AT": [(100, 900)] * 12, "FR": [(180, 900)] * 12}
    found, _, _ = world_with({"slos": [LEARNT], "model": accepted}, **markets)
    after = shown(found).slos[0].markets
    assert [(one.market, one.state, one.budget_remaining) for one in after] == [
        ("FR", SloState.MISSED, None), ("AT", SloState.MET, None),
    ]  # fmt: skip


def test_without_objective_and_baseline_markets_are_not_judged():
    found, _, _ = world_with({"slos": [LEARNT]}, FR=[(180, 900)] * 12)
    assert shown(found).slos[0].markets == ()


def test_a_product_without_markets_has_no_markets_in_status():
    observation = serving_world(30).observation()
    after = shown(observation)
    assert all(slo.markets == () for slo in after.slos)
    assert all(record.missed_markets == {} for record in after.engine.slos.values())


def test_a_changed_set_of_missed_markets_writes_status_and_changed_numbers_do_not():
    _, status, _ = world_with()

    def told(*markets):
        slo = status.slos[0].model_copy(
            update={
                "markets": tuple(
                    MarketStatus(market=market, state=state, total=samples)
                    for market, state, samples in markets
                )
            }
        )
        return status.model_copy(update={"slos": (slo, *status.slos[1:])})

    bad, good = SloState.MISSED, SloState.MET
    before = told(("AT", bad, 10), ("FR", good, 9))
    assert same_meaning(before, told(("AT", bad, 11), ("IT", good, 7)))
    assert not same_meaning(before, told(("AT", bad, 11), ("FR", bad, 9)))
    assert not same_meaning(before, told(("FR", good, 9)))
