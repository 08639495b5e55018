"""A split that isn't the one that was asked for: seen in the gateway's counts, else in the pods'."""

from __future__ import annotations

import pytest

from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.canary.analysis import assess
from sluicegate.policy.model.decision import StartRollout
from sluicegate.policy.model.observed import CanaryBlock, Observed
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.transitions import apply_decision, with_share
from sluicegate.slo.blocks import BlockValue, Quality
from sluicegate.stats.counts import Count
from tests.support.decisions.scenarios import product

AVAILABILITY = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.5"}
V1, V2 = Release("v1"), Release("v2")
BEGIN = 30_000
ROUTE = {"parentRefs": [{"name": "web", "namespace": "gateway"}]}


def mismatch(pods: tuple[int, int], sent: list[tuple[int, int] | None], weight: int = 25):
    """The wrong share that is told of a canary; counts a block are of (candidate, stable)."""
    terms = terms_of(
        DataProduct.parse(product(AVAILABILITY, rollout={"steps": [weight]}, route=ROUTE))
    )
    status = DataProductStatus(
        stable=Version.of(V1, VersionSource.SPEC, promotion_time=0),
        spec_model=SpecModel.of(V1, Outcome.PROMOTED, 0),
    )
    start = StartRollout(
        reason="ModelChanged", message="", candidate=V2, source=VersionSource.SPEC, weight=weight
    )
    status = apply_decision(terms, status, start, BEGIN)
    status = status.replace(candidate=with_share(status.candidate, weight, BEGIN))
    ours, theirs = (
        {AVAILABILITY["name"]: BlockValue(Quality.COUNTED, Count(0, total))} for total in pods
    )
    blocks = tuple(
        CanaryBlock(BEGIN + 60 * number, Quality.COUNTED, theirs, ours, sent=one)
        for number, one in enumerate(sent, start=4)
    )
    observed = Observed(block=1, canary_blocks=blocks, canary_block_seconds=60)
    return assess(terms, status, status.candidate, observed).mismatch


@pytest.mark.parametrize(
    ("pods", "sent", "told"),
    [
        ((25, 75), [(25, 75)] * 5, None),
        ((10, 90), [None] * 5, None),
        ((10, 90), [(25, 75)] * 5, None),
        ((25, 75), [(10, 90)] * 5, 0.1),
        ((0, 100), [(25, 75)] * 5, None),
        ((25, 75), [(0, 100)] * 5, 0.0),
        ((25, 75), [(60, 40)] * 5, 0.6),
        ((25, 75), [(0, 10)] * 5, None),
        ((25, 75), [(10, 90)] * 4, None),
        ((25, 75), [(10, 90)] * 4 + [(20, 80)], None),
        ((25, 75), [(10, 90)] * 4 + [None], None),
        ((25, 75), [(10, 90)] * 4 + [(0, 0)], None),
        ((25, 75), [(0, 0)] * 5, None),
        ((25, 75), [(0, 16)] * 5, 0.0),
        ((25, 75), [(125, 875), (500, 500)] * 3, None),
        ((25, 75), [(125, 876)] * 5, 125 / 1001),
        ((25, 75), [(500, 499)] * 5, 500 / 999),
    ],
    ids=[
        "as asked", "small by the pods", "callers past the gateway", "too small", "only in the gateway",
        "none", "too many", "too few to tell", "too few blocks", "not in each", "one unknown",
        "one without any", "none came", "twenty were expected", "the half and twice",
        "less than the half", "more than twice",
    ],
)  # fmt: skip
def test_a_share_of_the_gateways_requests_is_within_half_and_twice_the_weight(pods, sent, told):
    assert mismatch(pods, sent) == (None if told is None else pytest.approx(told))
