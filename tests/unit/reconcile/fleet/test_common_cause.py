"""What is so at the same time, as one namespace sees it: its own products, and others' as one."""

from __future__ import annotations

import pytest

from sluicegate.reconcile.fleet.common_cause import Overlaps, Silence, SimultaneousProducts


def test_without_degradations_no_products_overlap():
    assert Overlaps([], {}).largest("catalog") == SimultaneousProducts(0, 0, 0.0)


def test_degradation_spans_that_share_one_moment_overlap():
    spans = [("catalog", (0, 10)), ("catalog", (10, 20)), ("catalog", (21, 30))]
    assert Overlaps(spans, {"catalog": 4}).largest("catalog").in_own_namespace == 2


def test_another_namespace_counts_as_at_most_one_product_by_its_degraded_share():
    spans = [("catalog", (0, 10)), *[("pricing", (5, 9))] * 3]
    overlaps = Overlaps(spans, {"catalog": 2, "pricing": 4})
    assert overlaps.largest("catalog") == SimultaneousProducts(1, 1, 0.75)
    assert overlaps.largest("pricing") == SimultaneousProducts(3, 1, 0.5)
    assert overlaps.largest("of-nobody") == SimultaneousProducts(0, 2, 1.25)
    assert overlaps.largest("catalog").parties == 2


SILENT = {"catalog": [True, True, False], "pricing": [True, False], "search": [True]}


def silence(*namespaces: str) -> Silence:
    """Return products with outcomes, which are silent as listed, and one without."""
    flags = [(name, {"outcomes": mute}) for name in namespaces for mute in SILENT[name]]
    return Silence([*flags, ("support", {"latency": False})])


def test_silent_products_of_other_namespaces_count_only_by_their_share():
    found = silence("catalog", "pricing", "search")
    assert found.shares("catalog") == {"outcomes": (2 + 1 / 2 + 1) / (3 + 2)}
    assert found.shares("search") == {"outcomes": (1 + 2 / 3 + 1 / 2) / (1 + 2)}
    assert found.shares("support") == {"outcomes": pytest.approx((2 / 3 + 1 / 2 + 1) / 3)}


def test_two_products_of_one_namespace_share_a_cause_without_others():
    assert silence("catalog").shares("catalog") == {"outcomes": 2 / 3}


def test_few_silent_products_share_no_cause():
    found = silence("pricing", "search")
    assert found.shares("pricing") == {}
    assert found.shares("support") == {}
