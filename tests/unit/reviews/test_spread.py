"""When ledgers are visited: never in a crowd, and some together, so that they share their queries."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime

import pytest

from benchmarks.ledger_products import subject
from sluicegate.reviews.schedule import next_visit_time

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 11, 11, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def visits():
    """The next visit of each of 5,000 products that were visited this noon."""
    one = subject(1)
    later = MIDNIGHT + 3600 * 22
    found = []
    for number in range(5000):
        key = one.key._replace(namespace=f"team-{number % 50}", name=f"product-{number}")
        it = type(one)(**{name: getattr(one, name) for name in one.__slots__} | {"key": key})
        found.append(next_visit_time(it, later))
    return found


def test_the_review_of_each_product_is_updated_within_21_hours_after_midnight(visits):
    after = [moment - MIDNIGHT - 24 * 3600 for moment in visits]
    assert min(after) >= 600
    assert max(after) <= 21 * 3600


def test_review_updates_of_five_thousand_products_are_spread_and_share_queries(visits):
    slots = Counter(visits)
    assert len(slots) == 20 * 3600 // 300
    mean = len(visits) / len(slots)
    assert max(slots.values()) <= mean + 5 * math.sqrt(mean)
    hours = Counter(int(moment // 3600) for moment in visits)
    assert max(hours.values()) <= 1.2 * len(visits) / 20
