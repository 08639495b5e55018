"""Which time counts against a candidate: what an operator observed."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import MAX_ABSENCES, TimeInterval
from sluicegate.api.versions import CandidatePhase, Probation
from sluicegate.policy.model.attended_time import (
    MIN_SECONDS,
    attended_seconds,
    rollout_seconds,
    with_absences,
    without_probation,
)
from tests.support.decisions.judged import START, candidate, parked, serving

HOUR = 3600


def away(begin: float, end: float) -> TimeInterval:
    """Return an absence, in hours after the rollout began."""
    return TimeInterval(begin=START + int(begin * HOUR), end=START + int(end * HOUR))


@pytest.mark.parametrize(
    ("sentence", "absences", "hours"),
    [
        ("without an absence all time counts", [], 10),
        ("an absence counts for nothing", [away(2, 7)], 5),
        ("absences that overlap count once", [away(2, 7), away(3, 8)], 4),
        ("what began before counts from the start on", [away(-5, 1)], 9),
        ("what ended before is forgotten", [away(-5, -1)], 10),
        ("what ends later was read off a clock that is set back", [away(9, 30)], 10),
        ("a takeover counts", [TimeInterval(begin=START, end=START + MIN_SECONDS - 1)], 10),
    ],
)
def test_the_duration_of_a_rollout_counts_only_time_with_a_leading_operator(
    sentence, absences, hours
):
    now = START + 10 * HOUR
    status = with_absences(serving(candidate=candidate(5)), absences, now)
    assert rollout_seconds(status, status.candidate, now) == hours * HOUR, sentence


def test_suspensions_and_absences_of_the_operator_are_excluded_from_the_duration():
    now = START + 10 * HOUR
    one = candidate(5, suspended_seconds=HOUR)
    status = with_absences(serving(candidate=one), [away(2, 7)], now)
    assert rollout_seconds(status, one, now) == 4 * HOUR


def test_an_outage_that_lasts_does_not_count_before_its_end_either():
    status = serving(candidate=candidate(5)).with_engine(outage_start_time=START + 3 * HOUR)
    assert rollout_seconds(status, status.candidate, START + 4 * HOUR) == 3 * HOUR
    earlier = status.with_engine(outage_start_time=START - HOUR)
    assert rollout_seconds(earlier, earlier.candidate, START + HOUR) == 0


def test_status_keeps_absences_only_during_a_rollout_and_up_to_its_limit():
    now = START + 1000 * HOUR
    many = [away(2 * n, 2 * n + 1 + n / 100) for n in range(40)]
    status = with_absences(serving(candidate=candidate(5)), many, now)
    assert status.engine.absences == tuple(many[-MAX_ABSENCES:]), "the longest"
    assert with_absences(status, many[:3], now) is not None
    for one in (None, parked(candidate(5))):  # without a probation
        assert with_absences(status.replace(candidate=one), many, now).engine.absences == ()


def test_recording_the_same_absence_twice_leaves_status_unchanged():
    now = START + 10 * HOUR
    waits = candidate(5, phase=CandidatePhase.AWAITING_APPROVAL)
    status = with_absences(serving(candidate=waits), [away(2, 7)], now)
    assert with_absences(status, [away(2, 7)], now + HOUR) is status
    assert attended_seconds(status, START + 3 * HOUR, now) == 3 * HOUR


def test_a_probation_keeps_absences_until_it_is_over():
    now = START + 10 * HOUR
    trial = Probation(version="v2", against="v1", start_time=START)
    status = with_absences(serving(probation=trial), [away(2, 7), away(-5, -1)], now)
    assert status.engine.absences == (away(2, 7),)
    assert without_probation(status).engine.absences == ()
    assert without_probation(status.replace(candidate=candidate(5))).engine.absences != ()
