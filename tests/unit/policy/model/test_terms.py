"""What a spec means in numbers."""

from __future__ import annotations

import pytest

from tests.support.decisions.judged import judged_by

CLICKS = {"name": "clicks", "indicator": {"events": {}}}


@pytest.mark.parametrize(
    ("fields", "accepted", "least"),
    [
        ({"objective": "0.9"}, None, 24.35),
        ({"objective": "0.9", "maxDrop": "0.02"}, 0.5, 24.35),
        ({"maxDrop": "0.1"}, None, 24.35),
        ({"maxDrop": "0.1"}, 0.4, 2.71),
        ({"maxDrop": "0.2"}, 0.9, 0.0),  # all of them may be bad
    ],
)
def test_least_events_is_the_number_of_good_events_that_proves_a_ratio_within_its_limit(
    fields, accepted, least
):
    """1.645² (1 − q)/q of them, where q is what may be bad."""
    (slo,) = judged_by({**CLICKS, **fields}).slos
    assert slo.min_events(accepted) == pytest.approx(least, abs=0.01)
