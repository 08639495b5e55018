"""The demonstration of a release that is bad for a consumer sets only what both teams would set."""

from __future__ import annotations

import copy

from demo.consumers import (
    CONSUMER,
    evidence_lines,
    is_served,
    with_consumer,
    with_evidence,
)
from demo.samples import PRICING, RANKING
from sluicegate.api.product import DataProduct
from sluicegate.policy.model.consumers import planned_evidence


def test_both_sample_products_with_the_fields_of_the_demonstration_are_valid():
    pricing, ranking = PRICING.file(), RANKING.file()
    before = copy.deepcopy((pricing, ranking))
    upstream, consumer = with_consumer(pricing), with_evidence(ranking)
    assert (pricing, ranking) == before
    assert DataProduct.parse(upstream).spec.rollout.consumers.names == (CONSUMER,)
    (evidence,) = planned_evidence(DataProduct.parse(consumer))
    assert "pricing/pricing" in evidence


def product(generation: int, **conditions: str) -> dict[str, object]:
    rows = [{"type": name, "status": status} for name, status in conditions.items()]
    status = {"observedGeneration": 2, "conditions": rows}
    return {"metadata": {"generation": generation}, "status": status}


def test_pods_follow_once_the_newest_spec_is_ready_and_nothing_reconciles():
    assert is_served(product(2, Ready="True"))
    assert not is_served(product(3, Ready="True"))
    assert not is_served(product(2, Ready="True", Reconciling="True"))
    assert not is_served(product(2, Ready="False"))


def test_the_evidence_has_the_shares_of_good_events_of_both_versions():
    row = {"candidateBad": 30, "candidateTotal": 100, "stableBad": 50, "stableTotal": 1000}
    none = row | {"candidateBad": 0, "candidateTotal": 0}
    assert list(evidence_lines({"accuracy": row, "latency": none})) == [
        "accuracy: 70.0 % (n=100), stable 95.0 % (n=1,000)",
        "latency: –, stable 95.0 % (n=1,000)",
    ]
