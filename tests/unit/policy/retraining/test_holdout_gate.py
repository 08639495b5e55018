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


def test_a_version_that_is_no_remedy_names_its_chance_beside_that_of_a_remedy():
    """The interval of its difference excludes 0, at a confidence that a remedy doesn't have."""
    assert no_remedy({"accuracy": Pairs(519, 10, 3, 8)}, ["accuracy"]) == (
        "it isn't shown to be a remedy: of 13 rows in which one version alone is right in accuracy it is"
        " right in 10, as an equal version is with a probability of 4.6 %; a remedy has at most 1.0 %"
    )
