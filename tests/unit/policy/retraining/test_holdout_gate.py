"""Which versions that aren't worse on the hold-out can't help."""

from __future__ import annotations

import pytest

from sluicegate.policy.retraining.holdout_gate import no_remedy
from sluicegate.stats.paired import Pairs

SAME, BETTER, AS_GOOD = Pairs(3600, 0, 0, 400), Pairs(3400, 200, 10, 390), Pairs(3400, 50, 50, 500)


@pytest.mark.parametrize(
    ("pairs", "degraded", "says"),
    [
        ({"accuracy": SAME}, [], "it can't help, as it is right and wrong in the same rows"),
        ({"accuracy": SAME}, ["accuracy"], "in all 4,000"),
        ({"accuracy": SAME}, ["latency"], ""),
        ({"accuracy": AS_GOOD}, [], ""),
        ({"accuracy": AS_GOOD}, ["accuracy"], "it isn't shown to be a remedy"),
        ({"accuracy": BETTER}, ["accuracy"], ""),
        ({"accuracy": AS_GOOD, "clicks": BETTER}, ["accuracy", "clicks"], ""),
        ({}, ["accuracy"], ""),
    ],
)  # fmt: skip
def test_a_version_without_changed_rows_or_a_better_degraded_slo_is_no_remedy(
    pairs, degraded, says
):
    found = no_remedy(pairs, degraded)
    assert says in found
    assert bool(found) is bool(says)
