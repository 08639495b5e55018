"""The limits of what is asked, as numbers: promises to Prometheus, and to the products beside one."""

from __future__ import annotations

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus import (
    block_reader,
    client,
    past_blocks,
    quarantine,
    query_batch,
    query_scopes,
    result_table,
    retention,
    timing,
)
from sluicegate.prometheus.targets import ProductKey, Readings, Target, TargetFacts
from sluicegate.reviews import day_reader, hour_reader
from sluicegate.slo import blocks, queries
from sluicegate.slo.queries import Needs, QueryKind

DAY = 86_400


@pytest.mark.parametrize(
    ("limit", "number"),
    [
        (block_reader.LONGEST_QUERY, 10_000),  # Prometheus refuses more than 11,000 points
        (block_reader.LONGEST_CANARY, 50_000),
        (block_reader.NAMED_PRODUCTS_SHARE, 0.5),
        (client.OWN_SECONDS, 10.0),
        (day_reader.STEP, 300),
        (hour_reader.HOUR, 3_600),
        (past_blocks.FETCH_SECONDS, 120.0),
        (past_blocks.MAX_POINTS, 1_200),
        (quarantine.LONGEST_PAUSE_SECONDS, 600),
        (quarantine.TRIES_PER_FETCH, 16),
        (query_batch.MAX_SPLITS, 128),
        (query_batch.TIMES_HALVED, 3),
        (query_batch.ALONE_SECONDS, 15.0),
        (query_scopes.NAMES_PER_SCOPE, 5_000),
        (queries.NAMES_PER_QUERY, 50),
        (queries.LONGEST_QUERY, 8 * 2**20),
        (result_table.MAX_OWN_ROWS, 200),
        (retention.MIN_RETENTION_SECONDS, 15 * DAY),
        (retention.RETRY_SECONDS, 600.0),
        (retention.needed_retention(600), 29 * DAY),
        (timing.LONGEST_CANARY_BLOCK, 60),
        (timing.SCRAPES_PER_BLOCK, 4),
        (blocks.SINGLE_BLOCKS, 72),
        (blocks.MIN_COVERAGE, 0.8),
        (blocks.RING_SLACK, 1.02),
    ],
)
def test_each_query_limit_has_the_documented_value(limit, number):
    assert limit == number


def test_a_target_requests_no_optional_query_by_default():
    key, slos = ProductKey("a", "b"), {"slo": Indicator(outcomes={})}
    assert Target(key=key, versions=("v1",), slos=slos) == Target(
        key=key, versions=("v1",), slos=slos, block_seconds=300, service="", renamed=(),
        canary_from=None, evidence_from=0, client_errors=False, counts_pods=False, markets=(),
        paired=False, consumers=(),
    )  # fmt: skip
    assert TargetFacts() == TargetFacts(None, False, False, 0, None, None, None, None)
    kept = Readings(block_seconds=300, canary=False, first=1, last=1)
    assert (kept.complete, kept.problem, kept.gateway, kept.failed) == (True, "", None, frozenset())
    nothing = Needs(frozenset(), False, False, False, frozenset(), frozenset(), False, False)
    assert Needs.of([]) == Needs() == nothing
    asked = {kind for kind in QueryKind if nothing.asks(kind)}
    assert asked == set(QueryKind) - {
        QueryKind.LATENCY, QueryKind.LABELLED, QueryKind.LABELLED_BY_AGE, QueryKind.PAIRED, QueryKind.EVENTS,
        QueryKind.MARKETS, QueryKind.COUNTERS, QueryKind.GAUGES, QueryKind.UPSTREAMS,
    }  # fmt: skip
