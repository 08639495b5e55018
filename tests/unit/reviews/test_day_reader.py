"""What products did in days that follow one another."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING

from benchmarks.prometheus_stand_in import PrometheusStandIn, Row, patience, row
from sluicegate.api.product import DataProduct
from sluicegate.measurement.store import target_of
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.journal import DayCounts, operations_of
from sluicegate.stats.counts import Count
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, product
from tests.support.prometheus.measured_world import ProductBlocks, World

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400
BEGIN = 20_000 * DAY
STATUS = {
    "stable": {
        "version": "v1",
        "image": "registry.example/m@sha256:a",
        "runtimeImage": "",
        "revision": "a",
        "source": "Spec",
        "promotionTime": "2020-01-01T00:00:00Z",
    }
}


def rows(kind: str, indexes: range, step: int) -> Iterator[Row]:
    """One request a block of a product, and a histogram of one answer an hour."""
    if kind == "histogram":
        labels = {"namespace": "catalog", "product": "search", "le": "+Inf"}
        yield row(dict.fromkeys(indexes, 1.0), step, **labels)
    else:
        yield from World([ProductBlocks(product="search", requests=1)])(kind, indexes, step)


async def test_an_hour_at_a_day_boundary_counts_in_one_day():
    target = target_of(DataProduct.parse({**product(AVAILABILITY), "status": STATUS}), Timing())
    assert target is not None
    spans = [(BEGIN, BEGIN + DAY), (BEGIN + DAY, BEGIN + 2 * DAY)]
    async with (
        PrometheusStandIn(rows, {}) as server,
        Prometheus(Endpoint(url=server.url, timeout_seconds=patience())) as prometheus,
    ):
        found = await DayReader(prometheus, Timing()).read([target], spans)
    assert [found[target.key, span].answers for span in spans] == [{"+Inf": 24}] * 2


async def read_days(spans, *slos, answers=rows, markets=(), callers=(), **changes):
    """What one product did in each of these spans, and the ranges that were asked for."""
    target = target_of(DataProduct.parse({**product(*slos), "status": STATUS}), Timing())
    assert target is not None
    async with (
        PrometheusStandIn(answers, {}) as server,
        Prometheus(Endpoint(url=server.url, timeout_seconds=patience())) as prometheus,
    ):
        reader = DayReader(prometheus, Timing(), **changes)
        found = await reader.read([replace(target, markets=markets, callers=callers)], spans)
        ranges = {
            (int(form["step"]), int(form["start"]), int(form["end"])) for form in server.forms
        }
    return [found[target.key, span] for span in spans], sorted(ranges)


async def test_a_day_is_the_sum_of_its_blocks():
    versions = [
        ProductBlocks(product="search", requests=10, bad=1),
        ProductBlocks(product="search", version="v0", requests=0, correct=3, wrong=2, targets=0),
        ProductBlocks(product="search", version="gone", requests=0, correct=0, wrong=0, targets=0),
        ProductBlocks(product="other"),
    ]
    half = BEGIN + DAY // 2
    versions[0].only = lambda index: index * 300 > half

    def shown(kind: str, indexes: range, step: int) -> Iterator[Row]:
        if kind == "histogram":
            labels = {"namespace": "catalog", "product": "search"}
            for bound, value in (("+Inf", 10.0), ("0.25", 7.4), ("1", nan)):
                yield row(dict.fromkeys(indexes, value), step, **labels, le=bound)
            yield row(dict.fromkeys(indexes, 5.0), step, namespace="a", product="b", le="+Inf")
        elif kind == "markets":
            labels = {
                "namespace": "catalog", "product": "search", "prediction_version": "v1",
                "indicator": "outcomes", "market": "FR",
            }  # fmt: skip
            for outcome, value in (("good", 4.0), ("bad", 1.0)):
                yield row(dict.fromkeys(indexes, value), step, **labels, outcome=outcome)
        else:
            yield from World(versions)(kind, indexes, step)

    spans = [(BEGIN, BEGIN + DAY), (BEGIN + DAY, BEGIN + 2 * DAY)]
    days, ranges = await read_days(
        spans, AVAILABILITY, ACCURACY, answers=shown, markets=("FR", "other")
    )
    assert ranges == [
        (300, BEGIN + 300, BEGIN + 2 * DAY), (3600, BEGIN + 3600, BEGIN + 2 * DAY),
    ]  # fmt: skip
    first, second = days
    # Availability: v1 in the second half of the first day, v0 and gone all day; accuracy likewise.
    assert first.slos == {
        "availability": Count(144, 1440),
        "accuracy": Count(144 * 5 + 288 * 2, 144 * 50 + 288 * 5),
    }
    assert second.slos == {
        "availability": Count(288, 2880),
        "accuracy": Count(288 * 5 + 288 * 2, 288 * 50 + 288 * 5),
    }
    assert first.markets["accuracy"]["FR"] == Count(288, 288 * 5)
    assert first.answers == {"+Inf": 240, "0.25": round(24 * 7.4), "1.0": 0}
    assert first.versions == {"v1", "v0"}
    assert (first.pod_seconds, second.pod_seconds) == (DAY, 2 * DAY)
    assert first.blocks == 2 * 144 + 4 * 288
    assert second.blocks == 2 * 288 + 4 * 288
    assert (first.good, second.good) == (first.blocks, second.blocks)
    assert first.measured == 1.0


async def test_a_day_has_the_responses_of_each_operation_and_their_sum():
    def shown(kind: str, indexes: range, step: int) -> Iterator[Row]:
        if kind != "histogram":
            yield from rows(kind, indexes, step)
            return
        labels = {"namespace": "catalog", "product": "search"}
        for endpoint, bound, value in (
            ("/rank", "0.1", 3.0), ("/rank", "0.25", 3.0), ("/rank", "+Inf", 4.0), ("/old", "+Inf", 1.0),
        ):  # fmt: skip
            yield row(dict.fromkeys(indexes, value), step, **labels, endpoint=endpoint, le=bound)
        for code, value in (("503", 2.0), ("400", 1.0)):
            yield row(
                dict.fromkeys(indexes, value), step, **labels, endpoint="/rank", http_response_code=code
            )  # fmt: skip

    (day,), _ = await read_days([(BEGIN, BEGIN + DAY)], AVAILABILITY, answers=shown)
    assert day.answers == {"0.1": 72, "0.25": 72, "+Inf": 120}
    rank, old = operations_of(day)
    assert (rank.name, rank.responses) == ("/rank", {"0.1": 72, "+Inf": 24})
    assert (rank.failed, rank.refused, rank.requests) == (48, 24, 168)
    assert (old.name, old.requests) == ("/old", 24)


async def test_a_day_has_the_requests_of_each_listed_caller_and_of_all_others_together():
    def shown(kind: str, indexes: range, step: int) -> Iterator[Row]:
        if kind != "callers":
            yield from rows(kind, indexes, step)
            return
        labels = {"namespace": "catalog", "product": "search"}
        for caller, outcome, value in (
            ("catalog/front", "good", 9.0), ("catalog/front", "bad", 1.0), ("a/b", "good", 0.0),
            ("other", "good", 2.0), ("own/name", "bad", 1.0),
        ):  # fmt: skip
            yield row(
                dict.fromkeys(indexes, value), step, **labels, consumer=caller, outcome=outcome
            )

    callers = ("catalog/front", "a/b", "other")
    spans = [(BEGIN, BEGIN + DAY), (BEGIN + DAY, BEGIN + 2 * DAY)]
    days, _ = await read_days(spans, AVAILABILITY, answers=shown, callers=callers)
    for day in days:
        assert day.callers == {
            "catalog/front": Count(24, 240),
            "a/b": Count(0, 0),
            "other": Count(24, 72),
        }
    (day,), _ = await read_days(spans[:1], AVAILABILITY, answers=shown)
    assert day.callers == {}, "no consumers are declared, so no query is sent"


def test_the_callers_of_a_product_are_those_of_its_spec_and_other():
    parents = [{"name": "web", "namespace": "gateway"}]
    route = {"parentRefs": parents, "hostnames": ["a.example"]}
    consumers = {"names": ["front", "a/b"], "parentRefs": parents}
    document = {**product(AVAILABILITY), "status": STATUS}
    document["spec"] |= {"route": route, "rollout": {"consumers": consumers}}
    target = target_of(DataProduct.parse(document), Timing())
    assert target is not None
    assert target.callers == ("catalog/front", "a/b", "other")


def test_a_single_operation_is_not_recorded_and_the_smallest_of_many_are_added_up():
    day = DayCounts()
    day.add_answers("/rank", "+Inf", 10)
    assert operations_of(day) == ()
    for number in range(1, 11):
        day.add_answers(f"/{number}", "+Inf", number)
    kept = operations_of(day)
    assert [one.name for one in kept][:2] == ["/10", "/rank"]
    assert len(kept) == 9
    assert (kept[-1].name, kept[-1].requests) == ("other operations", 1 + 2 + 3)


async def test_consecutive_days_share_queries_of_at_most_four_days():
    spans = [(BEGIN + number * DAY, BEGIN + (number + 1) * DAY) for number in (0, 1, 2, 3, 4, 7)]
    _, ranges = await read_days(spans, AVAILABILITY)
    assert [one[1:] for one in ranges if one[0] == 300] == [
        (BEGIN + 300, BEGIN + 4 * DAY),
        (BEGIN + 4 * DAY + 300, BEGIN + 5 * DAY),
        (BEGIN + 7 * DAY + 300, BEGIN + 8 * DAY),
    ]


async def test_a_recent_day_is_read_in_shorter_blocks_including_the_histogram():
    _, ranges = await read_days([(BEGIN, BEGIN + 600)], AVAILABILITY, step=60)
    assert ranges == [(60, BEGIN + 60, BEGIN + 600)]
