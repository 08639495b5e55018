"""What a canary costs from its first write until it is promoted, with processes.

tests/unit/virtual/test_virtual_stories counts them on virtual time.
"""

from __future__ import annotations

import pytest

from benchmarks.measure import Plan
from tests.benchmarks.measuring import SIZE, measured

PROMOTIONS = Plan(scenarios=("promotions",), limit_seconds=200.0)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_promotion_takes_eighteen_writes_including_events():
    wave = measured(SIZE, PROMOTIONS)["promotions"]
    assert wave["products"] == 4
    assert wave["writesAndEventsUntilPromoted"] <= 18, wave["requests"]
