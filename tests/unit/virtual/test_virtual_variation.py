"""Drawn counts of the virtual world: they are counters, follow from their seed, and have their means."""

from __future__ import annotations

import random
from itertools import pairwise
from math import sqrt

import pytest

from benchmarks.virtual.cluster import _events
from benchmarks.virtual.event_loop import run_in
from benchmarks.virtual.prometheus import PrometheusServer
from benchmarks.virtual.traffic import Counted, Traffic, Version
from benchmarks.virtual.variation import (
    DAY,
    HOUR,
    Arrivals,
    Noise,
    Scatter,
    Variation,
    Volume,
    normal,
)
from benchmarks.virtual.workloads import Quality
from sluicegate.kube.resources import Key
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import Needs, QueryKind, render_queries
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import BLOCK, RARELY, opened, product, serving, slo

RATE = 5.0
GOOD = Quality()


def counted(variation: Variation, quality: Quality = GOOD, rate: float = RATE) -> Counted:
    """Return a version of two pods that is there from the beginning."""
    found = Counted("Search", variation=(variation, "v1/0"))
    found.set_rates(0.0, 2, _events(rate, quality, variation.labelled))
    return found


def total(of: Counted, name: str, when: float) -> int:
    return of.events[name].total(when)


def test_a_simulated_counter_is_independent_of_the_order_of_reads():
    times = [random.Random(1).uniform(0, 50_000) for _ in range(300)]
    forward, backward = Arrivals("seed"), Arrivals("seed")
    first = {when: forward.until(when) for when in sorted(times)}
    assert first == {when: backward.until(when) for when in sorted(times, reverse=True)}


def test_a_simulated_counter_never_decreases_and_blocks_add_up():
    arrivals = Arrivals("seed")
    counts = [arrivals.until(step / 10) for step in range(20_000)]
    assert all(a <= b for a, b in pairwise(counts))


def test_a_simulated_counter_is_a_poisson_process():
    for width in (0.5, 3.0, 100.0, 10_000.0):
        arrivals = Arrivals(f"width {width}")
        edges = [arrivals.until(width * number) for number in range(601)]
        counts = [b - a for a, b in pairwise(edges)]
        mean = sum(counts) / len(counts)
        variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
        assert mean == pytest.approx(width, abs=5 * sqrt(width / 600))
        assert variance / width == pytest.approx(1.0, abs=0.35)


def test_simulated_requests_equal_the_sum_of_all_answers_at_any_time():
    of = counted(Variation("seed", volume=Volume(swing=0.8)), Quality(failed=0.1, refused=0.05))
    for when in (1.0, 17.5, 4000.0, 90_000.0):
        parts = [total(of, name, when) for name in ("fast", "slow", "failed", "refused")]
        assert total(of, "requests", when) == sum(parts)
        assert total(of, "answered", when) == sum(parts[:2])


def test_the_simulated_error_rate_of_a_version_is_independent_of_the_traffic():
    noise = Noise(((300, 0.3), (HOUR, 0.3), (DAY, 0.2)))
    volume = Volume(0.6, 0.4, noise, bursts=((DAY, DAY + HOUR, 20.0),))
    of = counted(Variation("seed", volume=volume), Quality(wrong=0.2))
    wrong, correct = (total(of, name, 30 * DAY) for name in ("wrong", "correct"))
    assert wrong / (wrong + correct) == pytest.approx(0.2, abs=5 * 0.4 / sqrt(wrong + correct))


def test_simulated_hourly_noise_has_the_configured_deviation():
    scatter = Scatter(Noise(((HOUR, 0.02),)), most=0.1)
    of = counted(Variation("seed", wrong=scatter), Quality(wrong=0.2), rate=200.0)
    shares = []
    for hour in range(300):
        begin, end = hour * HOUR, (hour + 1) * HOUR
        wrong, right = (of.events[name].count(begin, end) for name in ("wrong", "correct"))
        shares.append(wrong / (wrong + right))
    mean = sum(shares) / len(shares)
    deviation = sqrt(sum((share - mean) ** 2 for share in shares) / len(shares))
    assert mean == pytest.approx(0.2, abs=0.005)
    assert deviation == pytest.approx(0.02, abs=0.003)


def test_both_versions_have_the_same_simulated_noise_at_the_same_time():
    variation = Variation("seed", wrong=Scatter(Noise(((HOUR, 0.05),)), most=0.1))
    assert variation.scattered("wrong", "v1/0") is variation.scattered("wrong", "v2/1")
    own = Variation("seed", wrong=Scatter(own=Noise(((HOUR, 0.05),)), most=0.1))
    one, other = (own.scattered("wrong", version) for version in ("v1/0", "v2/1"))
    assert one.integral(10 * HOUR) != other.integral(10 * HOUR)


def test_simulated_traffic_has_no_requests_in_a_gap_and_more_in_a_burst():
    volume = Volume(silent=((HOUR, 2 * HOUR),), bursts=((3 * HOUR, 4 * HOUR, 10.0),))
    of = counted(Variation("seed", volume=volume))
    by_hour = [of.events["requests"].count(h * HOUR, (h + 1) * HOUR) for h in range(4)]
    assert by_hour[1] == 0
    assert by_hour[3] > 8 * by_hour[0] > 0


def test_simulated_labels_arrive_after_their_delay():
    late = counted(Variation("seed", delays=((0.5, HOUR), (0.5, DAY))))
    assert total(late, "correct", HOUR) == 0
    half, whole = (late.events["correct"].at(when) for when in (DAY, 10 * DAY))
    assert half == pytest.approx(0.5 * 23 * HOUR * RATE * 0.999 * 0.5 * 0.9)
    assert whole == pytest.approx((10 * DAY - (HOUR + DAY) / 2) * RATE * 0.999 * 0.5 * 0.9)


def test_simulated_labels_of_wrong_predictions_may_have_a_longer_delay():
    of = counted(Variation("seed", delays=((1.0, 0.0),), delays_of_wrong=((1.0, HOUR),)))
    assert total(of, "correct", HOUR) > 0
    assert total(of, "wrong", HOUR) == 0


def test_simulated_outcomes_by_market_add_up_to_those_of_the_product():
    of = counted(Variation("seed"), Quality.of_markets(FR=0.1, DE=0.3))
    for name, kind in (("correct", "good"), ("wrong", "bad")):
        parts = [total(of, f"{kind}@{market}", DAY) for market in ("FR", "DE")]
        assert total(of, name, DAY) == sum(parts) > 0


def test_simulated_normal_draws_depend_only_on_name_and_number():
    assert normal("a", 1) == normal("a", 1) != normal("a", 2)


def test_the_virtual_prometheus_returns_the_simulated_counts():
    version = Version("catalog", "search", "v1", "0")
    of = counted(Variation("seed", volume=Volume(0.5)), Quality(failed=0.1, wrong=0.3))
    server = PrometheusServer(Traffic({version: of}), epoch=0.0)
    queries = {
        query.kind: query.text for query in render_queries(Scope(), BLOCK, Needs(labelled=True))
    }
    blocks = range(4, 8)

    def values(kind: QueryKind, **labels: str) -> list[float]:
        rows = server.rows(queries[kind], blocks, BLOCK)
        (found,) = (row for row in rows if labels.items() <= row["metric"].items())
        return [float(value) for _, value in found["values"]]

    for kind, labels, event in (
        (QueryKind.REQUESTS, {}, "requests"),
        (QueryKind.LABELLED, {"outcome": "wrong"}, "wrong"),
    ):
        desired = [of.events[event].count((block - 1) * BLOCK, block * BLOCK) for block in blocks]
        assert values(kind, **labels) == desired


def test_late_labels_of_a_removed_version_are_counted_by_pods_of_other_versions():
    version = Version("catalog", "search", "v1", "0")
    of = counted(Variation("seed", delays=((1.0, HOUR),)))
    of.desk = Counted("Search")
    of.desk.set_rates(0.0, 2, {})
    of.set_rates(HOUR, 0, {})
    server = PrometheusServer(Traffic({version: of}), epoch=0.0)
    queries = {
        query.kind: query.text for query in render_queries(Scope(), BLOCK, Needs(labelled=True))
    }
    block = int(1.5 * HOUR) // BLOCK
    rows = {
        kind: list(server.rows(queries[kind], range(block, block + 1), BLOCK))
        for kind in (QueryKind.REQUESTS, QueryKind.LABELLED)
    }
    assert not rows[QueryKind.REQUESTS]
    assert len(rows[QueryKind.LABELLED]) == 2


@pytest.mark.slow
@run_in(lambda: opened(for_days=True))
async def test_late_labels_show_a_decay_with_the_same_delay(world):
    key = Key("catalog", "search")
    world.cluster.variations[key] = Variation("seed", delays=((1.0, 6 * HOUR),))
    world.apply(product())
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(8 * HOUR)
    world.cluster.set_quality(image("a"), Quality(wrong=0.3))
    await world.run(5.9 * HOUR)
    assert slo(world, key)[0] == "Met"
    await world.run(2 * HOUR)
    assert slo(world, key)[0] == "Missed"
