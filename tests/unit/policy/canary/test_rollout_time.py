"""How much of its longest duration a rollout has used, and when it ends without a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.engine import TimeInterval
from sluicegate.policy.canary.block_checks import is_silent, silent_intervals
from sluicegate.policy.canary.rollout_defaults import rollout_end
from sluicegate.policy.canary.rollout_time import LONGEST_SECONDS
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.slo.blocks import Quality
from tests.support.decisions.judged import (
    CANARY,
    START,
    both_arms,
    candidate,
    judged_by,
    observed,
    serving,
)

AVAILABLE = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.9"}
SOME, NONE = {"availability": (0, 9)}, {"availability": (0, 0)}
HOUR = 3600
DERIVED = judged_by(AVAILABLE, rollout={"steps": [50]})
CHOSEN = judged_by(AVAILABLE, rollout={"steps": [50], "maxDurationSeconds": 4 * HOUR})


def minutes(*numbers: int) -> list[CanaryBlock]:
    """Return minutes with requests, then minutes without, and so on."""
    blocks: list[CanaryBlock] = []
    for place, number in enumerate(numbers):
        counts = SOME if place % 2 == 0 else NONE
        blocks += both_arms(counts, counts, number, begin=START + CANARY * len(blocks))
    return blocks


UNMEASURED = CanaryBlock(START + 9 * CANARY, Quality.UNAVAILABLE)


def interval(first: int, last: int) -> TimeInterval:
    """Return an interval in minutes since the first share."""
    return TimeInterval(begin=START + CANARY * first, end=START + CANARY * last)


@pytest.mark.parametrize(
    ("sentence", "numbers", "intervals"),
    [
        ("four minutes count as time", (3, 4, 1), ()),
        ("five minutes are silence", (3, 5, 1), (interval(3, 8),)),
        ("silence that goes on", (3, 7), (interval(3, 10),)),
        ("two nights, with many blocks between", (3, 200, 300, 6), (interval(3, 203), interval(503, 509))),
    ],
)  # fmt: skip
def test_five_minutes_or_more_without_requests_are_silence(sentence, numbers, intervals):
    assert silent_intervals(minutes(*numbers), CANARY) == intervals, sentence


def test_a_request_of_stable_alone_ends_silence_and_an_unmeasured_block_does_not():
    quiet = minutes(0, 3)
    unmeasured = CanaryBlock(START + 4 * CANARY, Quality.LOW_COVERAGE)
    later = both_arms(NONE, NONE, 2, begin=unmeasured.end)
    assert silent_intervals([*quiet, unmeasured, *later], CANARY) == (interval(0, 6),)
    of_stable = both_arms(NONE, SOME, 1, begin=START + 3 * CANARY)
    assert silent_intervals([*quiet, *of_stable, *later], CANARY) == ()


@pytest.mark.parametrize(
    ("sentence", "blocks", "silent"),
    [
        ("one quiet minute", minutes(3, 1), False),
        ("five quiet minutes", minutes(3, 5), True),
        ("a request after them", minutes(3, 5, 1), False),
        ("an unmeasured minute", [*minutes(3), UNMEASURED], False),
        ("an unmeasured minute after five quiet ones", [*minutes(3, 5), UNMEASURED], True),
    ],
)
def test_only_measured_blocks_without_events_show_that_no_request_comes(sentence, blocks, silent):
    assert is_silent(blocks, CANARY) is silent, sentence


@pytest.mark.parametrize(
    ("sentence", "terms", "absences", "remaining_seconds"),
    [
        ("a derived duration counts the hour with requests", DERIVED, (), 3 * HOUR),
        ("a chosen one counts all of it", CHOSEN, (), 2 * HOUR),
        ("an absence in the silence counts once", DERIVED, (interval(70, 90),), 3 * HOUR),
        ("an absence beside it counts, too", DERIVED, (interval(30, 60),), 3.5 * HOUR),
    ],
)
def test_a_derived_duration_counts_the_time_with_requests(
    sentence, terms, absences, remaining_seconds
):
    now = START + 2 * HOUR
    status = serving(candidate=candidate(50), absences=absences)
    assert rollout_end(terms, status, observed(minutes(60, 60)), now) == now + remaining_seconds, (
        sentence
    )


def test_a_rollout_without_any_request_ends_after_fourteen_days():
    status = serving(candidate=candidate(50))
    silent = [replace(block, end=block.end + LONGEST_SECONDS) for block in minutes(0, 60)]
    now = silent[-1].end
    assert rollout_end(DERIVED, status, observed([*minutes(0, 1), *silent]), now) == now
