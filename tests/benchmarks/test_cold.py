"""What a first version costs, counted exactly at one size."""

from __future__ import annotations

import pytest

from tests.benchmarks.measuring import COLD, SIZE, measured


@pytest.mark.timeout(400)
def test_a_first_version_costs_five_writes():
    cold = measured(SIZE, COLD)["cold"]
    assert cold["writesPerObject"] == 5, cold["requests"]
