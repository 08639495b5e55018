"""Lives whose data go wrong, whose world drifts, or both: the cause that is named, and what is trained for it."""

from __future__ import annotations

import pytest

from tests.support.lives.data_faults import Fault, draw_data_fault

NAMED = {
    Fault.UNIT: "ServingSkew",
    Fault.FEATURE: "ServingSkew",
    Fault.BOTH: "ServingSkew",
    Fault.FEED: "InputStale",
    Fault.DRIFT: "ModelDecay",
}


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [2, 3, 5, 6, 8, 11])
def test_the_cause_of_wrong_answers_is_diagnosed_and_only_a_drift_starts_a_training(seed):
    life = draw_data_fault(seed)
    outcome = life.live()
    assert NAMED[life.fault] in outcome.causes
    if life.is_of_data:
        assert outcome.after_report == 0
        assert outcome.trainings == (0 if life.fault is Fault.FEED else 1)
    else:
        assert outcome.trainings >= 1
        assert outcome.healed
