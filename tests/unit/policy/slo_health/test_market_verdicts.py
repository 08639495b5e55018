"""By market: bad and good are shown, what isn't shown is Unknown, and one that is bad alone is named."""

from __future__ import annotations

import random

import pytest

from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.market_verdicts import (
    MarketLimit,
    MarketState,
    is_met,
    judge_markets,
    only_bad_market,
)
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.calendar import CLOCK
from sluicegate.stats.counts import Count

BAD, OK, UNKNOWN = SloState.MISSED, SloState.MET, SloState.UNKNOWN
TENTH, EIGHTH = MarketLimit(0.10, 7, CLOCK), MarketLimit(0.12, 7, CLOCK)


@pytest.mark.parametrize(
    ("bad", "total", "met"),
    [
        (0, 0, False),
        (0, 10, False),
        (0, 24, False),
        (0, 25, True),
        (11, 100, False),
        (5, 100, True),
    ],
)
def test_few_events_do_not_prove_that_a_market_is_within_its_limit(bad, total, met):
    assert is_met(Count(bad, total), 0.10) is met


@pytest.mark.parametrize(("bad", "state"), [(2, UNKNOWN), (9, UNKNOWN), (12, UNKNOWN), (30, BAD)])
def test_a_market_is_bad_only_by_many_bad_events(bad, state):
    """Of twice as many: two of four are no evidence for a cell among seven over years."""
    (found,) = judge_markets({"AT": series((bad, 2 * bad))}, 1000, TENTH)
    assert found.state is state


def test_a_bad_market_recovers_once_its_evidence_falls_below_half_of_the_bound():
    """Not as soon as its share in the newest window is within the limit."""
    bad, good = [(15, 40)] * 3, [(3, 40)]
    states = [
        judge_markets({"AT": series(*[(3, 40)] * 24, *bad, *good * blocks)}, 1026 + blocks, TENTH)
        for blocks in range(12)
    ]
    missed = [found.state is BAD for (found,) in states]
    assert missed == sorted(missed, reverse=True), "it is bad, and then no more"
    assert 2 <= missed.count(True) <= 10


def test_a_market_alarm_persists_over_a_restart_while_half_of_its_evidence_is_left():
    counts = [(15, 40)]
    (now,) = judge_markets({"AT": series(*counts)}, 1000, TENTH)
    (before,) = judge_markets({"AT": series(*counts)}, 1000, TENTH, were_bad={"AT"})
    assert (now.state, before.state) == (UNKNOWN, BAD)


@pytest.mark.parametrize(("allowed", "state"), [(0.0, BAD), (1.0, OK)])
def test_a_market_limit_of_0_or_100_percent_is_judged_without_an_error(allowed, state):
    (found,) = judge_markets({"AT": series((19, 20))}, 1000, MarketLimit(allowed, 7, CLOCK))
    assert found.state is state


def test_evaluating_markets_block_by_block_equals_evaluating_all_blocks_at_once():
    """The evidence of whole sums is kept between two evaluations."""
    dice, counts, kept = random.Random(3), [], Series()
    for index in range(1000, 1200):
        counts.append((dice.randint(0, 6), 30))
        kept.record(Block(index, Quality.COUNTED, Count(*counts[-1])))
        step = judge_markets({"AT": kept}, index, TENTH)
    assert step == judge_markets({"AT": series(*counts)}, 1199, TENTH)


@pytest.mark.parametrize(
    ("blocks", "state"), [(1, BAD), (100, BAD), (260, BAD), (300, UNKNOWN), (5000, UNKNOWN)]
)
def test_an_alarm_of_a_market_without_events_ends_after_a_day(blocks, state):
    counts = [(3, 40)] * 24 + [(20, 40)] * 6 + [(0, 0)] * blocks
    (found,) = judge_markets({"AT": series(*counts)}, 1029 + blocks, TENTH, were_bad={"AT"})
    assert found.state is state
    assert (found.count.total > 0) is (state is BAD), "what is Missed has events"


@pytest.mark.parametrize("newest", range(1100, 1113))
def test_market_evidence_of_expired_blocks_is_kept_in_hourly_sums(newest):
    """The oldest single block lies within an hour: the blocks before it in that hour count, too."""
    bad = range(newest - 85, newest - 71)
    counts = [(1, 10) if index < bad.start else (10, 10) for index in range(1000, bad.stop)]
    counts += [(0, 0)] * 72
    (found,) = judge_markets({"AT": series(*counts)}, newest, MarketLimit(0.12, 7, CLOCK))
    assert found.state is BAD


def test_late_blocks_of_a_market_count_in_the_next_evaluation():
    late = series(*[(1, 10)] * 100)
    judge_markets({"AT": late}, 1103, TENTH)
    for index in range(1100, 1104):
        late.record(Block(index, Quality.COUNTED, Count(10, 10)))
    (found,) = judge_markets({"AT": late}, 1104, TENTH)
    assert found.state is BAD


def series(*counts):
    made = Series()
    for index, (bad, total) in enumerate(counts, start=1000):
        made.record(Block(index, Quality.COUNTED, Count(bad, total)))
    return made


def test_a_market_that_turns_bad_is_reported_within_four_blocks():
    """Austria's prices shift: a third of its predictions are wrong, where a tenth was."""
    before = [(4, 40)] * 12
    for blocks in (1, 2, 3, 4):
        shifted = series(*before, *[(13, 40)] * blocks)
        good = series(*[(3, 40)] * (12 + blocks))
        states = judge_markets({"AT": shifted, "FR": good}, 1011 + blocks, EIGHTH)
        if states[0].state is BAD:
            break
    assert [(state.market, state.state) for state in states] == [("AT", BAD), ("FR", OK)]
    assert only_bad_market(states).market == "AT"


def test_a_market_is_judged_by_six_hours_if_one_hour_has_too_few_events():
    few = series(*[(0, 1)] * 72)
    (state,) = judge_markets({"BE": few}, 1071, TENTH)
    assert (state.state, state.count.total) == (OK, 72)


def test_markets_are_ordered_bad_unknown_good_and_the_worst_first():
    made = {
        "FR": series((1, 400)), "AT": series((90, 200)), "BE": series((1, 3)),
        "IT": series((150, 200)),
    }  # fmt: skip
    states = judge_markets(made, 1000, TENTH)
    assert [state.market for state in states] == ["IT", "AT", "BE", "FR"]
    assert [state.state for state in states] == [BAD, BAD, UNKNOWN, OK]


@pytest.mark.parametrize(
    ("states", "market"),
    [
        ((BAD, OK, OK), "AT"),
        ((BAD, OK, UNKNOWN), "AT"),
        ((BAD, UNKNOWN, UNKNOWN), None),  # it isn't known whether it is alone
        ((BAD, BAD, OK), None),
        ((OK, OK, OK), None),
    ],
)
def test_a_market_is_bad_alone_only_if_another_market_is_proved_good(states, market):
    named = zip(("AT", "FR", "IT"), states, strict=True)
    found = only_bad_market(MarketState(name, state, Count(1, 2)) for name, state in named)
    assert (found and found.market) == market
