"""Metrics of products: totals of all, some by name, nothing of those that are gone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from sluicegate.api.base import rfc3339
from sluicegate.api.engine import ProductState
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import Priority
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.reconcile.report.product_metrics import ProductMetrics, in_turns_by_namespace
from sluicegate.reconcile.report.product_sample import (
    INVALID_PRODUCT,
    ProductFigures,
    RemedyState,
    RetrainingState,
    SloFigures,
    figures_of,
)
from tests.support.decisions.rollout_world import START, document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = 1_800_000_000.0
HOUR = 3600


@contextlib.asynccontextmanager
async def leading(metrics: ProductMetrics) -> AsyncIterator[None]:
    task = asyncio.ensure_future(metrics.publish())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"sluicegate_{name}", labels)


def series(name: str) -> dict[tuple[str, ...], float]:
    """Return values of a family by the values of its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in REGISTRY.collect()
        if family.name == f"sluicegate_{name}"
        for sample in family.samples
    }


# ---- the gauges -----------------------------------------------------------------------------


async def test_metric_totals_cover_all_products_and_series_only_the_most_urgent():
    metrics = ProductMetrics(limit=2)
    async with leading(metrics):
        metrics.record(Key("shop", "z"), ProductFigures(priority=Priority.CRITICAL, ready=True))
        metrics.record(Key("shop", "b"), ProductFigures(priority=Priority.MEDIUM))
        metrics.record(Key("shop", "a"), ProductFigures(priority=Priority.MEDIUM, ready=True))
        metrics.record(Key("shop", "c"), ProductFigures(priority=Priority.LOW))
        metrics.export(NOW)
        assert series("product_state") == {("shop", "z"): 0, ("shop", "a"): 0}
        assert value("product_metrics_left_out") == 2
        assert sum(series("products").values()) == 4
        assert value("products", state="Unknown", priority="Medium") == 2
        assert value("products_ready") == 2


async def test_critical_products_of_one_namespace_displace_no_series_of_other_namespaces():
    metrics = ProductMetrics(limit=100)
    async with leading(metrics):
        for number in range(100):
            critical = ProductFigures(priority=Priority.CRITICAL)
            metrics.record(Key("aaa", f"p{number:03}"), critical)
        metrics.record(Key("catalog", "search"), ProductFigures(priority=Priority.LOW))
        metrics.record(Key("catalog", "ranking"), ProductFigures(priority=Priority.HIGH))
        metrics.export(NOW)
        shown = series("product_state")
        assert len(shown) == 100
        assert {("catalog", "search"), ("catalog", "ranking")} <= set(shown)
        assert value("product_metrics_left_out") == 2


PRODUCTS = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 30).map(str)).map(lambda one: Key(*one)),
    st.sampled_from(Priority).map(lambda one: ProductFigures(priority=one)),
    max_size=60,
)


@given(PRODUCTS, st.integers(0, 40))
def test_each_namespace_has_an_equal_share_of_series_for_its_most_urgent_products(figures, limit):
    shown = in_turns_by_namespace(figures, limit)
    assert len(shown) == len(set(shown)) == min(limit, len(figures))
    counts = {place: sum(key.namespace == place for key in shown) for place in "abcd"}
    left = {place: sum(key.namespace == place for key in figures) for place in "abcd"}
    for place, count in counts.items():
        if count < left[place]:
            assert count >= max(counts.values()) - 1
        ranks = sorted(figures[key].rank for key in figures if key.namespace == place)
        own = [figures[key].rank for key in shown if key.namespace == place]
        assert sorted(own) == ranks[:count]


@pytest.mark.parametrize("limit", [0, 100])
async def test_five_thousand_products_have_no_more_series_than_the_setting_allows(limit):
    metrics = ProductMetrics(limit)
    figures = ProductFigures(
        state=ProductState.DEGRADED,
        slos=tuple(SloFigures(f"slo-{number}", 0.5, 0.9, 0.8) for number in range(4)),
        stalled="InvalidSpec",
        promotion_time=NOW - HOUR,
    )
    async with leading(metrics):
        for number in range(5000):
            metrics.record(Key("shop", f"p{number}"), figures)
        metrics.export(NOW)
        by_name = (
            "state", "error_budget_remaining", "versions", "canary_weight",
            "slo_ratio", "slo_objective", "info", "stalled",
        )  # fmt: skip
        assert sum(len(series(f"product_{one}")) for one in by_name) == limit * 17
        assert value("products", state="Degraded", priority="Medium") == 5000
        assert len(series("products")) == len(Priority) * len(ProductState)


async def test_a_deleted_product_has_no_series_in_the_metrics():
    metrics = ProductMetrics(limit=5)
    async with leading(metrics):
        metrics.record(
            Key("shop", "a"),
            ProductFigures(
                slos=(SloFigures("accuracy", 0.25, 0.91, 0.9),),
                weight=25,
                versions=2,
                promotion_time=NOW,
                owner="group:default/search",
                stable_version="v3",
                stalled="ModelRejected",
            ),
        )
        metrics.export(NOW)
        told = {
            "state": {("shop", "a"): 0},
            "error_budget_remaining": {("shop", "a", "accuracy"): 0.25},
            "slo_ratio": {("shop", "a", "accuracy"): 0.91},
            "slo_objective": {("shop", "a", "accuracy"): 0.9},
            "stalled": {("shop", "a", "ModelRejected"): 1},
            "info": {("shop", "a", "group:default/search", "Medium", "v3"): 1},
            "canary_weight": {("shop", "a"): 25},
            "versions": {("shop", "a"): 2},
            "promoted_timestamp_seconds": {("shop", "a"): NOW},
        }
        assert {name: series(f"product_{name}") for name in told} == told
        metrics.forget(Key("shop", "a"))
        metrics.export(NOW)
        assert not any(series(f"product_{name}") for name in told)
        assert sum(series("products").values()) == 0


async def test_a_removed_slo_has_no_series_in_the_metrics():
    metrics = ProductMetrics(limit=5)
    async with leading(metrics):
        metrics.record(
            Key("shop", "a"), ProductFigures(slos=(SloFigures("old", 1.0), SloFigures("kept", 1.0)))
        )
        metrics.export(NOW)
        metrics.record(Key("shop", "a"), ProductFigures(slos=(SloFigures("kept", 1.0),)))
        metrics.export(NOW)
        assert set(series("product_error_budget_remaining")) == {("shop", "a", "kept")}


async def test_only_the_leader_exports_metrics_of_products():
    metrics = ProductMetrics(limit=5)
    metrics.record(Key("shop", "a"), ProductFigures())
    metrics.export(NOW)
    assert not series("products")
    assert not series("product_state")
    async with leading(metrics):
        metrics.export(NOW)
        assert series("product_state")
    metrics.export(NOW)
    assert not series("products")
    assert not series("product_state")


async def test_counts_without_products_are_exported_as_zero():
    metrics = ProductMetrics()
    async with leading(metrics):
        metrics.export(NOW)
        assert set(series("candidates")) == {(phase,) for phase in CandidatePhase}
        assert set(series("retrainings")) == {(state,) for state in RetrainingState}
        assert set(series("degraded_longest_seconds")) == {(remedy,) for remedy in RemedyState}
        assert value("candidate_overdue_seconds") == 0


async def test_the_worst_of_several_products_is_exported():
    metrics = ProductMetrics()
    async with leading(metrics):
        for number, hours in enumerate((1, 3, 2)):
            figures = ProductFigures(
                degraded_since=NOW - hours * HOUR, remedy=RemedyState.NONE, due=NOW - hours * 60
            )
            metrics.record(Key("shop", f"p{number}"), figures)
        metrics.record(
            Key("shop", "q"),
            ProductFigures(
                degraded_since=NOW - 9 * HOUR, remedy=RemedyState.RETRAINING, due=NOW + 9
            ),
        )
        metrics.export(NOW)
        assert value("degraded_longest_seconds", remedy="None") == 3 * HOUR
        assert value("degraded_longest_seconds", remedy="Retraining") == 9 * HOUR
        assert value("candidate_overdue_seconds") == 180


async def test_stalled_products_are_counted_by_reason():
    metrics = ProductMetrics()
    async with leading(metrics):
        metrics.record(Key("shop", "a"), INVALID_PRODUCT)
        metrics.record(Key("shop", "b"), INVALID_PRODUCT)
        metrics.export(NOW)
        assert series("products_stalled") == {("InvalidSpec",): 2}
        metrics.record(Key("shop", "a"), ProductFigures())
        metrics.record(Key("shop", "b"), ProductFigures())
        metrics.export(NOW)
        assert not series("products_stalled")


# ---- figures of a status --------------------------------------------------------------------

VERSION = {
    "version": "v1",
    "image": f"registry.example/bentos/search@sha256:{'a' * 64}",
    "runtimeImage": f"registry.example/runtime@sha256:{'d' * 64}",
    "revision": "aaaaaaaaaa",
    "source": "Spec",
}
STABLE = {**VERSION, "promotionTime": rfc3339(START)}
SINCE = rfc3339(START + HOUR)
DEGRADED = {
    "type": "Degraded",
    "status": "True",
    "reason": "ModelDecay",
    "message": "",
    "observedGeneration": 1,
    "lastTransitionTime": SINCE,
}


def seen(
    reason: DecisionReason | None = None, *, route: bool = True, **status: object
) -> ProductFigures:
    body = document()
    if not route:
        del body["spec"]["route"]
    product = DataProduct.parse({**body, "status": {"stable": STABLE, **status}})
    return figures_of(product, product.status, reason, rollout_end=START + 25 * HOUR)


def candidate(phase: str, **more: object) -> dict:
    return {**VERSION, "version": "v2", "phase": phase, "startTime": SINCE, **more}


def test_product_metrics_have_the_numbers_of_status():
    figures = seen(
        state="Degrading",
        slos=[
            {
                "name": "accuracy",
                "state": "AtRisk",
                "budgetRemaining": "-0.25",
                "ratio": "0.79",
                "objective": "0.8",
                "bad": 21,
                "total": 100,
            },
            {"name": "basket", "state": "Met", "ratio": "41.5"},
        ],
        candidate=candidate("Stepping", weight=25),
        conditions=[{**DEGRADED, "type": "Ready", "reason": "Serving"}],
    )
    assert figures.state is ProductState.DEGRADING
    assert figures.ready
    assert figures.slos == (SloFigures("accuracy", -0.25, 0.79, 0.8),)
    assert figures.owner == document()["spec"]["owner"]
    assert figures.stable_version == STABLE["version"]
    assert (figures.versions, figures.weight, figures.phase) == (2, 25, CandidatePhase.STEPPING)
    assert figures.promotion_time == START
    assert figures.remedy is None


@pytest.mark.parametrize(
    ("route", "returning", "weight"),
    [(True, None, 0), (True, 33, 33), (False, None, 50), (False, 33, 33)],
    ids=["by route", "in parts", "by pods", "by pods in parts"],
)
def test_the_weight_of_a_rolled_back_version_is_the_share_that_it_still_has(
    route, returning, weight
):
    rolled_back = candidate("RollingBack", weight=50, returning=returning)
    assert seen(route=route, candidate=rolled_back).weight == weight


@pytest.mark.parametrize(
    ("reason", "status", "remedy"),
    [
        (DecisionReason.RETRAINING_DISABLED, {}, RemedyState.NONE),
        (DecisionReason.RETRAIN_SUSPENDED, {"retraining": {"suspended": True}}, RemedyState.NONE),
        (DecisionReason.COMMON_CAUSE, {}, RemedyState.NONE),
        (None, {}, RemedyState.NONE),
        (DecisionReason.COOLING_DOWN, {}, RemedyState.WAITING),
        (DecisionReason.NO_SLOT, {}, RemedyState.WAITING),
        (
            DecisionReason.CANARY_IN_PROGRESS,
            {"candidate": candidate("Stepping")},
            RemedyState.CANARY,
        ),
        (DecisionReason.RETRAINING_DISABLED, {"candidate": candidate("Parked")}, RemedyState.NONE),
        (
            DecisionReason.ALREADY_RETRAINING,
            {
                "retraining": {
                    "attempt": 1,
                    "trigger": {
                        "id": "0" * 8,
                        "cause": "ModelDecay",
                        "version": "v1",
                        "triggerTime": SINCE,
                    },
                }
            },
            RemedyState.RETRAINING,
        ),
    ],
)
def test_the_metrics_have_the_remedy_of_a_degraded_product(reason, status, remedy):
    figures = seen(reason, conditions=[DEGRADED], **status)
    assert figures.remedy is remedy
    assert figures.degraded_since == START + HOUR


def test_a_product_whose_retraining_waits_or_is_suspended_is_counted_as_such():
    assert seen(DecisionReason.NO_SLOT).retraining is RetrainingState.WAITING
    assert seen(retraining={"suspended": True}).retraining is RetrainingState.SUSPENDED
    assert seen().retraining is None


@pytest.mark.parametrize(
    ("phase", "more", "seconds"),
    [
        ("Starting", {}, 600),
        ("Stepping", {}, 24 * HOUR),
        ("Promoting", {"shares": [{"weight": 100, "startTime": rfc3339(START + 2 * HOUR)}]},
         HOUR + 600),
        ("AwaitingApproval", {}, None),
        ("Parked", {}, None),
    ],
)  # fmt: skip
def test_a_candidate_is_overdue_by_the_deadline_of_its_current_phase(phase, more, seconds):
    figures = seen(candidate=candidate(phase, **more))
    expected = None if seconds is None else START + HOUR + seconds
    assert figures.due == expected
    if expected is not None:
        assert figures.overdue(expected - 1) == 0
        assert figures.overdue(expected + 5) == 5


def test_a_first_version_that_does_not_start_is_stalled_and_not_overdue():
    assert seen(stable=None, candidate=candidate("Starting")).due is None


def test_each_market_that_misses_an_slo_is_in_its_metrics():
    when = "2026-01-01T00:00:00Z"
    markets = [
        {"market": market, "state": "Missed", "missedStartTime": when}
        for market in ("AT", "BE", "ES")
    ]
    level = {"name": "accuracy", "state": "Met", "total": 900, "markets": markets}
    record = {"missedMarkets": dict.fromkeys(("AT", "BE", "ES", "FR"), when)}
    (figures,) = seen(slos=[level], engine={"slos": {"accuracy": record}}).slos
    assert figures.missed == ("AT", "BE", "ES", "FR")
