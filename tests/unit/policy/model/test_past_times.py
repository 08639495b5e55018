"""Times in status that lie in the future, because the clock was set back since."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import SloRecord, Streak, TimeInterval
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.policy.model.past_times import AHEAD_SECONDS, without_future
from sluicegate.policy.model.retries import LONGEST_RETRY_SECONDS
from tests.support.decisions.judged import START, candidate, parked, serving

DAY = 86_400
BLOCK = 60


def seen(status, now=START):
    return without_future(status, now, block_seconds=BLOCK)


@pytest.mark.parametrize(
    ("sentence", "ahead", "counts"),
    [
        ("what begins tomorrow begins now", DAY, 0),
        ("clocks of two replicas differ by seconds", AHEAD_SECONDS, AHEAD_SECONDS),
        ("what has begun stays", -DAY, -DAY),
    ],
)
def test_a_rollout_that_begins_in_the_future_begins_now(sentence, ahead, counts):
    status = seen(serving(candidate=candidate(5)), now=START - ahead)
    assert status.candidate.start_time - (START - ahead) == counts, sentence
    assert status.candidate.shares[0].start_time - (START - ahead) == counts, sentence


def test_a_retry_is_due_within_the_longest_wait():
    waiting = serving(candidate=parked(candidate(5)))
    far = waiting.replace(candidate=waiting.candidate.replace(retry_time=START + DAY))
    assert seen(far).candidate.retry_time == START + LONGEST_RETRY_SECONDS
    soon = waiting.replace(candidate=waiting.candidate.replace(retry_time=START + 60))
    assert seen(soon) is soon


def test_the_retry_of_a_lost_training_is_due_within_the_longest_wait():
    far = serving().with_retraining(retry_time=START + DAY)
    assert seen(far).retraining.retry_time == START + LONGEST_RETRY_SECONDS
    soon = serving().with_retraining(retry_time=START + LONGEST_RETRY_SECONDS)
    assert seen(soon) is soon


def test_the_end_time_of_a_cooldown_is_unchanged():
    status = serving().replace(retraining=RetrainingStatus(next_allowed_time=START + 9 * DAY))
    assert seen(status) is status


def test_a_streak_with_a_future_block_number_is_discarded():
    days = [
        Streak(
            first=(START + offset) // BLOCK, last=(START + offset) // BLOCK, evaluations=1, fresh=1
        )
        for offset in (-DAY, DAY)
    ]
    records = {
        "accuracy": SloRecord(streak=days[0], recovery_streak=days[1]),
        "latency": SloRecord(steady_start_time=START - DAY),
    }
    status = serving().with_engine(slos=records)
    after = seen(status).engine.slos
    assert (after["accuracy"].streak, after["accuracy"].recovery_streak) == (days[0], None)
    assert after["latency"] is records["latency"]


def test_an_interval_that_ends_in_the_future_ends_now():
    interval = TimeInterval(begin=START - 60, end=START + DAY)
    record = SloRecord(ignored_intervals=(interval,))
    after = seen(serving().with_engine(slos={"accuracy": record})).engine.slos["accuracy"]
    assert after.ignored_intervals == (TimeInterval(begin=START - 60, end=START),)
