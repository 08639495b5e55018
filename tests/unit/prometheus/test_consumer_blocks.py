"""Outcomes of consumers by the versions of their upstream, from answers to blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate.measurement.consumer_blocks import ConsumerArms
from sluicegate.prometheus.block_assembly import Answers
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.consumer_blocks import assemble_consumers
from sluicegate.prometheus.query_batch import needs_of
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.targets import ProductKey, Readings, Target
from sluicegate.slo.blocks import Quality
from sluicegate.slo.consumer_series import OUTCOMES, events_of
from sluicegate.slo.queries import QueryKind
from sluicegate.stats.counts import Count

if TYPE_CHECKING:
    from sluicegate.prometheus.result_table import Table

FIRST, LAST = 1000, 1001
PRICING, SEARCH = ProductKey("pricing", "pricing"), ProductKey("catalog", "search")
STABLE, CANDIDATE = "v1/aa", "v2/bb"
TARGET: Final = Target(
    key=PRICING, versions=(STABLE, CANDIDATE), slos={}, canary_from=0, consumers=(SEARCH,)
)
UP: Final[Table] = {
    (*SEARCH, "v7/cc", fact): {FIRST: value, LAST: value}
    for fact, value in (("up", 4.0), ("scrapes", 4.0), ("longest", 4.0), ("age", 5.0))
}


def row(upstream="", revision="", indicator="", outcome="", age="", result="", owner=SEARCH):
    return (*owner, upstream, revision, indicator, outcome, age, result)


def of(revision, outcome, age="30", upstream="pricing/pricing"):
    return row(upstream, revision, outcome=outcome, age=age)


def met(result):
    return row("pricing/pricing", result=result)


ROWS: Final[Table] = {
    of("aa", "correct"): {LAST: 60.0}, of("aa", "wrong"): {LAST: 6.0}, of("aa", "wrong", "300"): {LAST: 4.0},
    of("bb", "correct"): {LAST: 50.0}, of("bb", "wrong"): {LAST: 9.0},
    of("zz", "wrong"): {LAST: 99.0}, of("bb", "wrong", upstream="pricing/other"): {LAST: 99.0},
    row("pricing/pricing", "bb", "click", "bad"): {LAST: 3.0},
    row("pricing/pricing", "bb", "click", "good"): {LAST: 4.0},
    met("one"): {LAST: 97.0}, met("mixed"): {LAST: 2.0}, met("unmarked"): {LAST: 1.0},
    row(outcome="correct", age="30"): {FIRST: 80.0}, row(outcome="wrong", age="30"): {FIRST: 20.0},
}  # fmt: skip


def blocks(tables, **failing):
    answers = Answers(
        range(FIRST, LAST + 1),
        60,
        15.0,
        {QueryKind.TARGETS: UP, QueryKind.UPSTREAMS: tables},
        **failing,
    )
    kept = CanaryBlocks()
    found = dict(assemble_consumers(answers, [TARGET]))
    kept.record(Readings(block_seconds=60, canary=True, first=FIRST, last=LAST, blocks=found))
    cases = (("catalog/search/accuracy", OUTCOMES), ("catalog/search/clicks", events_of("click")))
    arms = ConsumerArms(
        kept, PRICING, STABLE, CANDIDATE,
        consumer="catalog/search", cases=cases, seconds=60, begins=FIRST,
    )  # fmt: skip
    return arms.blocks()


def test_consumer_outcomes_count_for_the_answering_revision_and_all_of_them_before_the_rollout():
    before, now = blocks(ROWS)
    accuracy = "catalog/search/accuracy"
    assert before.counts.stable[accuracy].count == Count(20, 100)
    assert before.counts.ages.stable_total[0] == 100
    assert not before.counts.candidate
    assert now.counts.stable[accuracy].count == Count(10, 70)
    assert now.counts.candidate[accuracy].count == Count(9, 59)
    assert now.counts.candidate["catalog/search/clicks"].count == Count(3, 7)
    assert now.counts.ages.within(1) == (Count(9, 59), Count(6, 66))
    assert now.counts.ages.within(2) == (Count(9, 59), Count(10, 70))
    assert (now.requests, now.mixed, now.unmarked) == (100, 2, 1)


def test_a_consumer_block_without_a_query_result_is_no_evidence():
    qualities = {
        block.counts.quality for block in blocks({}, failed=frozenset({QueryKind.UPSTREAMS}))
    }
    assert qualities == {Quality.UNAVAILABLE}


def test_a_consumer_without_series_has_blocks_without_requests():
    assert [(block.counts.quality, block.requests) for block in blocks({})] == [
        (Quality.COUNTED, 0)
    ] * 2


def test_a_consumer_block_with_unreadable_rows_is_no_evidence():
    spoiled = {(QueryKind.UPSTREAMS, SEARCH): {LAST}}
    assert [block.counts.quality for block in blocks(ROWS, spoiled=spoiled)] == [
        Quality.COUNTED,
        Quality.UNAVAILABLE,
    ]


def test_the_consumer_query_names_only_products_with_consumers():
    assert needs_of([TARGET]).asks(QueryKind.UPSTREAMS)
    assert not needs_of([Target(key=SEARCH, versions=(), slos={})]).asks(QueryKind.UPSTREAMS)
    scope = named_scope([TARGET])
    assert (scope.namespaces, scope.products) == (("catalog", "pricing"), ("pricing", "search"))
