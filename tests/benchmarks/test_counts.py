"""What the operator writes, reads and asks, counted exactly at one size."""

from __future__ import annotations

import pytest

from tests.benchmarks.measuring import SIZE, Found, steady

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def at_rest() -> Found:
    """Return some blocks in which nothing changes, and a restart."""
    return steady(SIZE)


def test_a_restart_writes_nothing(at_rest):
    assert at_rest["restart"]["writes"] == 0, at_rest["restart"]["requests"]


def test_a_restart_reads_lists_of_kinds_and_no_single_products(at_rest):
    requests = at_rest["restart"]["requests"]
    reads = sum(count for verb, count in requests.items() if verb.startswith("get "))
    assert reads <= 1, requests  # the lease


def test_idle_products_cause_no_writes(at_rest):
    assert at_rest["steady"]["writes"] == 0, at_rest["steady"]["requests"]


def test_a_block_of_all_products_takes_eight_queries(at_rest):
    assert at_rest["steady"]["queriesPerBlock"] == 8
