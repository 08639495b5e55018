"""How far a block of a version can be trusted, from its targets' scrapes."""

from __future__ import annotations

import pytest

from sluicegate.prometheus.scrape_coverage import Scrape, Scrapes
from sluicegate.slo.queries import Fact

OWNER, VERSION = ("shop", "search"), "v1"
BLOCK, INTERVAL = 300, 30
ALL = BLOCK / INTERVAL


def scrape(*, attempted: float = ALL, **facts: float) -> Scrape | None:
    """Block 7 of a version; some pod of another product was scraped so often."""
    table = {(*OWNER, VERSION, Fact[name]): {7: value} for name, value in facts.items()}
    table["else", "where", "v", Fact.LONGEST] = {7: attempted}
    made = Scrapes(table, block_seconds=BLOCK, interval_seconds=INTERVAL)
    return made.of((*OWNER, VERSION), 7)


def test_a_block_with_only_successful_scrapes_has_full_coverage():
    found = scrape(SCRAPES=ALL, UP=ALL, AGE=5)
    assert found == Scrape(1.0, scraped=True, stale=False, duplicated=0, pod_seconds=BLOCK)


@pytest.mark.parametrize(
    "facts", [{"UP": 0}, {}], ids=["all failed", "none is told to have succeeded"]
)
def test_a_block_with_only_failed_scrapes_has_no_coverage(facts):
    found = scrape(SCRAPES=ALL, **facts)
    assert found == Scrape(0.0, scraped=False, stale=False, duplicated=0)


def test_scrapes_that_prometheus_never_attempted_reduce_the_coverage():
    found = scrape(SCRAPES=5, UP=4, attempted=5)
    assert found is not None
    assert found.coverage == pytest.approx(4 / 5 * 5 / 10)
    assert found.pod_seconds == pytest.approx(4 * INTERVAL / (5 / 10))


def test_a_pod_counts_for_its_own_time_where_it_is_scraped_more_often_than_configured():
    facts = (Fact.UP, Fact.SCRAPES, Fact.LONGEST)
    every_second = {6: 300.0, 7: 120.0}  # the pod is deleted after two minutes of block 7
    table = {(*OWNER, VERSION, fact): every_second for fact in facts}
    table |= {("other", "shop", VERSION, fact): {6: ALL, 7: ALL} for fact in facts}
    scrapes = Scrapes(table, block_seconds=BLOCK, interval_seconds=INTERVAL)

    def pod_seconds(*owner: str) -> list[float]:
        return [scrapes.of(owner, index).pod_seconds for index in (6, 7)]

    assert pod_seconds(*OWNER, VERSION) == [300, 120]
    assert pod_seconds("other", "shop", VERSION) == [BLOCK, BLOCK]


@pytest.mark.parametrize(("age", "stale"), [(2 * INTERVAL, False), (2 * INTERVAL + 1, True)])
def test_two_intervals_without_a_sample_make_a_target_stale(age, stale):
    found = scrape(SCRAPES=ALL, UP=ALL, AGE=age)
    assert found is not None
    assert found.stale is stale


def test_a_target_without_a_sample_is_absent_and_not_stale():
    table = {(*OWNER, VERSION, fact): {7: 4.0} for fact in (Fact.SCRAPES, Fact.UP, Fact.LONGEST)}
    found = Scrapes(table, block_seconds=1, interval_seconds=0.25).of(OWNER, 7)
    assert found == Scrape(1.0, scraped=True, stale=False, duplicated=0, pod_seconds=1.0)


def test_several_targets_of_a_version_have_the_newest_sample_and_summed_scrapes():
    table = {
        (*OWNER, version, fact): {7: value}
        for version, age in (("v1", 500.0), ("v2", 4.0))
        for fact, value in ((Fact.SCRAPES, ALL), (Fact.UP, ALL), (Fact.AGE, age))
    }
    table["else", "where", "v", Fact.LONGEST] = {7: 3 * ALL}  # no more than all can be attempted
    made = Scrapes(table, block_seconds=BLOCK, interval_seconds=INTERVAL)
    assert made.of(OWNER, 7) == Scrape(
        1.0, scraped=True, stale=False, duplicated=0, pod_seconds=2 * BLOCK
    )
    assert made.of((*OWNER, "v1"), 8) is None
    assert made.of(("else", "where"), 7) is None
    assert made.indexes(OWNER) == {7}
