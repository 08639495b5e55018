"""What is made of answers in which something is missing."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_assembly import (
    Answers,
    assemble_blocks,
    assemble_facts,
    assemble_means,
    assemble_scraped,
)
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.errors import MalformedAnswer
from sluicegate.prometheus.result_table import TableReader
from sluicegate.prometheus.targets import (
    REQUESTS,
    Past,
    ProductKey,
    Readings,
    SeriesKey,
    Target,
    TargetFacts,
)
from sluicegate.prometheus.unsent import Unsent
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.slo.queries import QueryKind
from sluicegate.stats.counts import Count

PRODUCT = ProductKey("catalog", "search")
VERSION = (*PRODUCT, "v1")
SERVICE = "Search"
FIRST, SECOND = 1000, 1001


def answered(**tables) -> Answers:
    kinds = {QueryKind[name.upper()]: table for name, table in tables.items()}
    return Answers(range(FIRST, SECOND + 1), 300, 30.0, kinds)


def target(**slos: Indicator) -> Target:
    return Target(key=PRODUCT, versions=("v1",), slos=slos, service=SERVICE)


def test_a_block_without_a_successful_request_has_no_slow_request():
    """In the first one nothing succeeded, so no histogram had a bucket to count in."""
    answers = answered(
        requests={(*VERSION, SERVICE): {FIRST: 10.0, SECOND: 20.0}},
        latency={
            (*VERSION, SERVICE, "inf"): {SECOND: 20.0},
            (*VERSION, SERVICE, "0.25"): {SECOND: 18.0},
        },
    )
    slow = Indicator(latency={"thresholdMilliseconds": 250})
    read = dict(assemble_blocks(answers, [target(latency=slow)]))
    assert read[SeriesKey(*VERSION, "latency")] == (
        Block(FIRST, Quality.COUNTED, Count(0, 0)),
        Block(SECOND, Quality.COUNTED, Count(2, 20)),
    )


@pytest.mark.parametrize(
    ("age", "quality"),
    [
        (None, Quality.NO_SERIES),
        (900.0, Quality.COUNTED),
        (900.1, Quality.NO_SERIES),
    ],
    ids=["nobody knows", "as old as it may be", "stale"],
)
def test_a_gauge_counts_while_its_newest_sample_is_fresh(age, quality):
    ages = {} if age is None else {(*VERSION, "basket", "age"): {FIRST: age}}
    answers = answered(gauges={(*VERSION, "basket", "mean"): {FIRST: 40.0}, **ages})
    basket = Indicator(gauge={"metric": "basket", "staleAfterSeconds": 900})
    ((_, means),) = assemble_means(answers, [target(basket=basket)])
    assert means[0].quality is quality


async def test_an_hour_with_low_coverage_does_not_replace_its_blocks():
    key, cache = SeriesKey(*VERSION, "availability"), BlockCache()
    singles = [Block(index, Quality.COUNTED, Count(1, 10)) for index in range(13, 25)]
    hours = [
        Block(2, Quality.LOW_COVERAGE, Count(99, 99)),
        Block(1, Quality.COUNTED, Count(5, 50)),
    ]

    def read(blocks) -> Readings:
        return Readings(block_seconds=300, canary=False, first=1, last=24, blocks={key: blocks})

    await cache.record_past(Past((), read(singles), read(hours)))
    series = cache.series(key, 300)
    assert [list(counts) for counts in series.hours(0, 1)] == [[5, 12], [50, 120]]


# ---- exactly what each number is made of ----------------------------------------------------
SCRAPED = {
    (*VERSION, "scrapes"): {FIRST: 10.0, SECOND: 10.0},
    (*VERSION, "up"): {FIRST: 10.0, SECOND: 10.0},
    (*VERSION, "longest"): {FIRST: 10.0, SECOND: 10.0},
    (*VERSION, "age"): {FIRST: 5.0, SECOND: 5.0},
}


def counted(indicator: Indicator, *, service: str = "", **tables) -> list[tuple[str, int, int]]:
    """Return quality and count of both blocks of an SLO."""
    asked = Target(key=PRODUCT, versions=("v1",), slos={"slo": indicator}, service=service)
    blocks = dict(assemble_blocks(answered(targets=SCRAPED, **tables), [asked]))
    return [
        (one.quality.name, one.count.bad, one.count.total)
        for one in blocks[SeriesKey(*VERSION, "slo")]
    ]


COUNTERS = Indicator(counters={"good": "g", "total": "t", "lagSeconds": 60})
CASES = {
    "5xx are bad, and no others": (
        Indicator(availability={}), "S",
        {
            "requests": {(*VERSION, "S"): {FIRST: 10.0}, (*VERSION, "T"): {FIRST: 5.0, SECOND: 7.0}},
            "requests_bad": {
                (*VERSION, "S", "failed"): {FIRST: 2.0}, (*VERSION, "S", "refused"): {FIRST: 3.0},
                (*VERSION, "S", "unknown"): {FIRST: 4.0},
            },
        },
        [("COUNTED", 2, 10), ("NO_SERIES", 0, 0)],
    ),
    "of no service in particular, all services add up": (
        Indicator(availability={}), "",
        {
            "requests": {(*VERSION, "S"): {FIRST: 10.0}, (*VERSION, "T"): {FIRST: 5.0, SECOND: 7.0}},
            "requests_bad": {(*VERSION, "U", "failed"): {FIRST: 2.0, SECOND: 1.0}},
        },
        [("COUNTED", 2, 15), ("COUNTED", 1, 7)],
    ),
    "slow ones are bad": (
        Indicator(latency={"thresholdMilliseconds": 1000}), "S",
        {"latency": {(*VERSION, "S", "inf"): {FIRST: 9.0, SECOND: 9.0}, (*VERSION, "S", "1.0"): {FIRST: 7.0}}},
        [("COUNTED", 2, 9), ("COUNTED", 9, 9)],
    ),
    "a histogram without the bound": (
        Indicator(latency={"thresholdMilliseconds": 1000}), "S",
        {"latency": {(*VERSION, "S", "inf"): {FIRST: 9.0}}, "requests": {(*VERSION, "S"): {SECOND: 4.0}}},
        [("INVALID", 0, 0), ("COUNTED", 0, 0)],
    ),
    "outcomes": (
        Indicator(outcomes={}), "",
        {"labelled": {(*VERSION, "correct"): {FIRST: 8.0}, (*VERSION, "wrong"): {FIRST: 2.0, SECOND: 3.0}}},
        [("COUNTED", 2, 10), ("COUNTED", 3, 3)],
    ),
    "outcomes, none of them wrong": (
        Indicator(outcomes={}), "",
        {"labelled": {(*VERSION, "correct"): {FIRST: 8.0}}},
        [("COUNTED", 0, 8), ("NO_SERIES", 0, 0)],
    ),
    "events by the name of their SLO": (
        Indicator(events={}), "",
        {"events": {(*VERSION, "slo", "good"): {FIRST: 8.0}, (*VERSION, "x", "bad"): {FIRST: 5.0}}},
        [("COUNTED", 0, 8), ("NO_SERIES", 0, 0)],
    ),
    "events by a name of their own": (
        Indicator(events={"indicator": "x"}), "",
        {"events": {(*VERSION, "slo", "good"): {FIRST: 8.0}, (*VERSION, "x", "bad"): {FIRST: 5.0}}},
        [("COUNTED", 5, 5), ("NO_SERIES", 0, 0)],
    ),
    "counters, where both are": (
        Indicator(counters={"good": "g", "total": "t"}), "",
        {"counters": {(*VERSION, "g", "0"): {FIRST: 8.0}, (*VERSION, "t", "0"): {FIRST: 9.0, SECOND: 9.0}}},
        [("COUNTED", 1, 9), ("NO_SERIES", 0, 0)],
    ),
    "counters, more good than all": (
        Indicator(counters={"good": "g", "total": "t"}), "",
        {"counters": {(*VERSION, "g", "0"): {FIRST: 102.0, SECOND: 102.1}, (*VERSION, "t", "0"): {FIRST: 100.0, SECOND: 100.0}}},
        [("COUNTED", 0, 100), ("INVALID", 0, 0)],
    ),
    "late good events": (
        COUNTERS, "",
        {"counters": {(*VERSION, "g", "0"): {FIRST: 12.0, SECOND: 3.0}, (*VERSION, "t", "60"): {FIRST: 9.0, SECOND: 9.0}}},
        [("COUNTED", 0, 9), ("COUNTED", 6, 9)],
    ),
    "a counter that is infinite": (
        COUNTERS, "",
        {"counters": {(*VERSION, "g", "0"): {FIRST: inf, SECOND: 3.0}, (*VERSION, "t", "60"): {FIRST: 9.0, SECOND: inf}}},
        [("INVALID", 0, 0), ("INVALID", 0, 0)],
    ),
    "PromQL, where both are": (
        Indicator(promql={"good": "increase(a[$block])", "total": "increase(b[$block])"}), "",
        {"promql": {(*VERSION, "slo", "good"): {FIRST: 8.0}, (*VERSION, "slo", "total"): {FIRST: 9.0, SECOND: 9.0}}},
        [("COUNTED", 1, 9), ("NO_SERIES", 0, 0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_block_has_the_counts_of_its_rows(case):
    indicator, service, tables, expected = CASES[case]
    assert counted(indicator, service=service, **tables) == expected


def with_scrapes(**facts: float) -> Quality:
    targets = {(*VERSION, name): {FIRST: value} for name, value in facts.items()}
    requests = {(*VERSION, SERVICE): {FIRST: 10.0}}
    answers = answered(targets=targets, requests=requests)
    slos = {"availability": Indicator(availability={})}
    read = dict(assemble_blocks(answers, [target(**slos)]))
    return read[SeriesKey(*VERSION, "availability")][0].quality


@pytest.mark.parametrize(
    ("facts", "quality"),
    [
        ({"scrapes": 10, "up": 8, "longest": 10}, Quality.COUNTED),
        ({"scrapes": 10, "up": 7.9, "longest": 10}, Quality.LOW_COVERAGE),
        ({"scrapes": 10, "up": 10, "longest": 8}, Quality.COUNTED),
        ({"scrapes": 10, "up": 10, "longest": 7.9}, Quality.LOW_COVERAGE),
        ({"scrapes": 10, "up": 10, "longest": 10, "age": 60}, Quality.COUNTED),
        ({"scrapes": 10, "up": 10, "longest": 10, "age": 60.1}, Quality.UNAVAILABLE),
        ({"scrapes": 10, "up": 10, "longest": 10, "duplicates": 1}, Quality.INVALID),
        ({}, Quality.COUNTED),
    ],
)
def test_the_quality_of_a_block_follows_from_its_scrapes(facts, quality):
    assert with_scrapes(**facts) is quality


def test_a_failed_query_makes_only_its_slos_unavailable():
    slos = {"availability": Indicator(availability={}), "accuracy": Indicator(outcomes={})}
    tables = {
        QueryKind.TARGETS: SCRAPED,
        QueryKind.REQUESTS: {(*VERSION, SERVICE): {FIRST: 1.0, SECOND: 1.0}},
        QueryKind.LABELLED: {(*VERSION, "wrong"): {FIRST: 1.0, SECOND: 1.0}},
    }

    def qualities(**how) -> dict[str, list[str]]:
        answers = Answers(range(FIRST, SECOND + 1), 300, 30.0, tables, **how)
        read = assemble_blocks(answers, [target(**slos)])
        return {key.slo: [block.quality.name[:5] for block in blocks] for key, blocks in read}

    fine, lost = ["COUNT", "COUNT"], ["UNAVA", "UNAVA"]
    for kind in (QueryKind.REQUESTS, QueryKind.REQUESTS_BAD):
        assert qualities(failed=frozenset({kind})) == {"availability": lost, "accuracy": fine}
    assert qualities(failed=frozenset({QueryKind.TARGETS})) == dict.fromkeys(slos, lost)
    one = {(QueryKind.LABELLED, PRODUCT): {SECOND}}
    assert qualities(spoiled=one) == {"availability": fine, "accuracy": ["COUNT", "UNAVA"]}
    other = {(QueryKind.LABELLED, ProductKey("catalog", "other")): {SECOND}}
    assert qualities(spoiled=other) == dict.fromkeys(slos, fine)


def test_a_version_is_scraped_where_a_scrape_succeeded():
    tried = {**SCRAPED, (*VERSION, "up"): {FIRST: 0.0, SECOND: 1.0}}
    ((_, scraped),) = assemble_scraped(answered(targets=tried), [target()])
    assert scraped == {SECOND}


def test_facts_are_those_of_the_newest_block():
    answers = answered(
        targets={**SCRAPED, (*VERSION, "duplicates"): {SECOND: 2.0}},
        cpu={
            (*VERSION, ""): {FIRST: 0.9, SECOND: 0.1}, (*VERSION, "waited"): {SECOND: 0.2},
            (*VERSION, "used"): {SECOND: nan},
        },
        memory={VERSION: {SECOND: 0.5}},
    )  # fmt: skip
    ((_, facts),) = assemble_facts(answers, [target()])
    assert facts == TargetFacts(1.0, True, False, 2, 0.1, 0.2, None, 0.5)
    late = {**SCRAPED, (*VERSION, "up"): {SECOND: 0.0}, (*VERSION, "age"): {SECOND: 61.0}}
    ((_, lost),) = assemble_facts(answered(targets=late), [target()])
    assert (lost.coverage, lost.scraped, lost.stale) == (0.0, False, True)
    ((_, nothing),) = assemble_facts(answered(), [target()])
    assert nothing == TargetFacts(None, False, False, 0, None, None, None, None)


def test_a_product_has_the_additional_counts_that_its_target_requests():
    asked = Target(
        key=PRODUCT, versions=("v1", "v2"), service=SERVICE, client_errors=True, counts_pods=True,
        paired=True, markets=("FR", "other"), slos={"accuracy": Indicator(outcomes={})},
    )  # fmt: skip
    answers = answered(
        targets=SCRAPED,
        requests={(*VERSION, SERVICE): {FIRST: 10.0, SECOND: 20.0}},
        requests_bad={
            (*VERSION, SERVICE, "failed"): {FIRST: 1.0}, (*VERSION, SERVICE, "refused"): {FIRST: 2.0},
            (*VERSION, SERVICE, "unknown"): {FIRST: 5.0},
        },
        markets={
            (*VERSION, "outcomes", "good", "FR"): {FIRST: 3.0},
            (*VERSION, "outcomes", "bad", "FR"): {FIRST: 1.0},
        },
        paired={
            (*PRODUCT, "v1", "v2", "correct", "correct"): {FIRST: 7.0},
            (*PRODUCT, "v1", "v2", "correct", "wrong"): {FIRST: 2.0},
            (*PRODUCT, "v2", "v1", "wrong", "wrong"): {FIRST: 9.0},
            (*PRODUCT, "v1", "v1", "correct", "wrong"): {FIRST: 9.0},
        },
    )  # fmt: skip
    found = {
        key[2:]: (blocks[0].quality.name, *blocks[0].count)
        for key, blocks in assemble_blocks(answers, [asked])
    }
    none = ("NO_SERIES", 0, 0)
    assert found == {
        ("v1", REQUESTS): ("COUNTED", 1, 10), ("v2", REQUESTS): none,
        ("v1", CLIENT_ERRORS): ("COUNTED", 7, 15), ("v2", CLIENT_ERRORS): none,
        ("v1", POD_SECONDS): ("COUNTED", 0, 300), ("v2", POD_SECONDS): ("INVALID", 0, 0),
        ("v1", "accuracy@FR"): ("COUNTED", 1, 4), ("v2", "accuracy@FR"): none,
        ("v1", "accuracy@other"): none, ("v2", "accuracy@other"): none,
        ("v2", "@stable-right"): ("COUNTED", 2, 9),
        ("v1", "accuracy"): none, ("v2", "accuracy"): none,
    }  # fmt: skip
    scraped = dict(assemble_scraped(answers, [asked]))
    assert {version.version: at for version, at in scraped.items()} == {
        "v1": {FIRST, SECOND}, "v2": frozenset(),
    }  # fmt: skip


def test_counts_that_any_pod_may_export_require_scrapes_of_all_versions():
    """Those of v1 are stale; v2 has no pods, and what it predicted is scored elsewhere."""
    asked = Target(
        key=PRODUCT, versions=("v1", "v2"), service=SERVICE, paired=True, markets=("FR",),
        slos={"accuracy": Indicator(outcomes={}), "availability": Indicator(availability={})},
    )  # fmt: skip
    v2 = (*PRODUCT, "v2")
    answers = answered(
        targets={**SCRAPED, (*VERSION, "age"): {FIRST: 61.0, SECOND: 60.0}},
        requests={(*v2, SERVICE): {FIRST: 1.0, SECOND: 1.0}},
        labelled={(*v2, "correct"): {FIRST: 1.0, SECOND: 1.0}},
        markets={(*v2, "outcomes", "good", "FR"): {FIRST: 1.0, SECOND: 1.0}},
        paired={(*PRODUCT, "v1", "v2", "correct", "correct"): {FIRST: 1.0, SECOND: 1.0}},
    )
    found = {
        key.slo: [block.quality.name for block in blocks]
        for key, blocks in assemble_blocks(answers, [asked])
        if key.version == "v2"
    }
    stale = ["UNAVAILABLE", "COUNTED"]
    assert found == {
        "accuracy": stale, "accuracy@FR": stale, "@stable-right": stale,
        "availability": ["COUNTED", "COUNTED"], "availability@FR": ["UNAVAILABLE", "NO_SERIES"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "blocks", "expected"),
    [
        ({"unsent": 5.0}, [("COUNTED", 1, 10)], ("COUNTED", 6, 15)),
        ({"unsent": 5.0, "own": 5.0}, [("COUNTED", 1, 10)], ("COUNTED", 1, 10)),
        ({"unsent": 4.0, "own": 5.0, "refused": 2.0}, [("COUNTED", 1, 10)], ("COUNTED", 3, 12)),
        ({"unsent": inf}, [("COUNTED", 1, 10)], ("COUNTED", 1, 10)),
        ({"unsent": 1.0}, [("COUNTED", 1, 10)], ("COUNTED", 2, 11)),
        ({"unsent": 5.0, "routed": 9.4}, [("NO_SERIES", 0, 0)], ("COUNTED", 5, 9)),
        ({"unsent": 5.0, "routed": 3.0}, [("LOW_COVERAGE", 0, 0)], ("COUNTED", 5, 5)),
        ({"unsent": 5.0, "routed": nan}, [("NO_SERIES", 0, 0)], ("COUNTED", 5, 5)),
        ({"unsent": 5.0}, [("INVALID", 0, 0)], ("INVALID", 0, 0)),
        ({"routed": 9.0}, [("NO_SERIES", 0, 0)], ("NO_SERIES", 0, 0)),
    ],
)
def test_requests_without_a_pod_count_as_failures(sent, blocks, expected):
    table = {("catalog-search", fact): {FIRST: value} for fact, value in sent.items()}
    before = [Block(FIRST, Quality[quality], Count(bad, total)) for quality, bad, total in blocks]
    (found,) = Unsent(table, [target()]).added(PRODUCT, before)
    assert (found.quality.name, *found.count) == expected
    assert found.index == FIRST
    other = Target(key=ProductKey("catalog-search", "x"), versions=("v1",), slos={})
    assert Unsent(table, [target(), other]).added(other.key, before) == tuple(before)
    twin = replace(target(), key=ProductKey("catalog", "search"))
    assert Unsent(table, [target(), twin]).added(PRODUCT, before) == tuple(before), "whose are they"


def test_requests_without_a_pod_count_as_failures_of_the_availability_of_stable_only():
    slos = {"availability": Indicator(availability={}), "accuracy": Indicator(outcomes={})}
    asked = Target(key=PRODUCT, versions=("v1", "v2"), slos=slos, service=SERVICE)
    rows = {(*PRODUCT, version, SERVICE): {FIRST: 10.0} for version in ("v1", "v2")}
    answers = answered(
        requests=rows,
        labelled={(*VERSION, "correct"): {FIRST: 10.0}},
        sent={("catalog-search", "unsent"): {FIRST: 5.0}},
    )
    found = {key[2:]: blocks[0].count for key, blocks in assemble_blocks(answers, [asked])}
    assert found == {
        ("v1", "availability"): Count(5, 15), ("v2", "availability"): Count(0, 10),
        ("v1", "accuracy"): Count(0, 10), ("v2", "accuracy"): Count(0, 0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"version": "v1", "revision": "a", "http_response_code": "503"}, ("v1/a", "", "failed")),
        ({"version": "v1", "http_response_code": "404"}, ("v1", "", "unknown")),
        ({"version": "v1", "http_response_code": "405"}, ("v1", "", "unknown")),
        ({"version": "v1", "http_response_code": "429"}, ("v1", "", "refused")),
    ],
)
def test_a_row_of_failed_requests_names_the_class_of_their_status_code(row, key):
    assert table_of(QueryKind.REQUESTS_BAD, row) == {(*PRODUCT, *key): {FIRST: 1.0}}


@pytest.mark.parametrize(
    ("kind", "row", "key"),
    [
        (QueryKind.LATENCY, {"version": "v1", "le": "1"}, ("v1", "", "1.0")),
        (QueryKind.HISTOGRAM, {"endpoint": "/a", "le": "+Inf"}, ("/a", "", "inf")),
        (QueryKind.HISTOGRAM, {"endpoint": "/a", "http_response_code": "503"}, ("/a", "503", "")),
        (QueryKind.COUNTERS, {"version": "v2", "sluicegate_counter": "g"}, ("v2", "g", "")),
        (
            QueryKind.COUNTERS,
            {"version": "v2", "prediction_version": "v1", "prediction_revision": "b"},
            ("v1/b", "", ""),
        ),
        (QueryKind.COUNTERS, {"version": "v2", "revision": "a", "prediction_version": "v0"}, ("v0", "", "")),
        (
            QueryKind.PAIRED,
            {
                "prediction_version": "v1", "prediction_revision": "a", "outcome": "correct",
                "shadow_version": "v2", "shadow_revision": "b", "shadow_outcome": "wrong",
            },
            ("v1/a", "v2/b", "correct", "wrong"),
        ),
        (QueryKind.MEMORY, {"version": "v1", "revision": "a"}, ("v1/a",)),
    ],
)  # fmt: skip
def test_a_row_is_counted_for_the_version_in_its_label(kind, row, key):
    assert table_of(kind, row) == {(*PRODUCT, *key): {FIRST: 1.0}}


def table_of(kind: QueryKind, *rows: dict[str, str]):
    reader = TableReader(kind, step=300)
    for labels in rows:
        metric = {"namespace": PRODUCT[0], "product": PRODUCT[1], **labels}
        reader.take({"metric": metric, "values": [[FIRST * 300, "1"]]})
    return reader.result()


def test_rows_with_the_same_key_are_summed_up_to_two_hundred_rows_per_product():
    row = {"version": "v1"}
    assert table_of(QueryKind.MEMORY, row, row) == {VERSION: {FIRST: 2.0}}
    rows = [{"version": str(number)} for number in range(201)]
    assert len(table_of(QueryKind.PROMQL, *rows[:200])) == 200
    with pytest.raises(MalformedAnswer, match="more than 200 series"):
        table_of(QueryKind.PROMQL, *rows)
    assert len(table_of(QueryKind.MEMORY, *rows)) == 201
