"""By market: bad and good are shown, what isn't shown is Unknown, and one that is bad alone is named."""

from __future__ import annotations

import random

import pytest

from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.markets import MarketState, judge, judge_markets, lone_bad_market
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count

BAD, OK, UNKNOWN = SloState.MISSED, SloState.MET, SloState.UNKNOWN


@pytest.mark.parametrize(
    ("bad", "total", "state"),
    [
        (0, 0, UNKNOWN),
        (2, 10, UNKNOWN),  # twice what is allowed, of ten
        (0, 10, UNKNOWN),  # none of ten
        (0, 24, UNKNOWN),
        (0, 25, OK),
        (20, 100, BAD),
        (11, 100, UNKNOWN),
        (5, 100, OK),
    ],
)
def test_few_events_show_neither_good_nor_bad(bad, total, state):
    assert judge(Count(bad, total), 0.10) is state


def test_a_bad_market_stays_bad_until_its_own_share_is_within_what_is_allowed():
    assert judge(Count(11, 100), 0.10, was_bad=True) is BAD
    assert judge(Count(9, 100), 0.10, was_bad=True) is UNKNOWN


@pytest.mark.parametrize("share", [0.05, 0.10])
def test_a_market_that_is_within_its_objective_is_rarely_called_bad(share):
    """By Wilson's bound at 95 %: in about one block of twenty at the very edge, and less within it."""
    rng = random.Random(7)
    called = 0
    for _ in range(2000):
        bad = sum(rng.random() < share for _ in range(200))
        called += judge(Count(bad, 200), 0.10) is BAD
    assert called <= 0.07 * 2000


def series(*counts):
    made = Series()
    for index, (bad, total) in enumerate(counts, start=1000):
        made.record(Block(index, Quality.COUNTED, Count(bad, total)))
    return made


def test_a_market_that_turns_bad_is_shown_within_three_blocks():
    """Austria's prices shift: a third of its predictions are wrong, where a tenth was."""
    before = [(4, 40)] * 12
    for blocks in (1, 2, 3):
        shifted = series(*before, *[(13, 40)] * blocks)
        good = series(*[(3, 40)] * (12 + blocks))
        states = judge_markets({"AT": shifted, "FR": good}, 1011 + blocks, 0.12)
        if states[0].state is BAD:
            break
    assert [(one.market, one.state) for one in states] == [("AT", BAD), ("FR", OK)]
    assert lone_bad_market(states).market == "AT"


def test_where_an_hour_says_too_little_six_speak():
    few = series(*[(0, 1)] * 72)
    (state,) = judge_markets({"BE": few}, 1071, 0.10)
    assert (state.state, state.count.total) == (OK, 72)


def test_the_worst_come_first_and_unknown_stands_between_bad_and_good():
    made = {
        "FR": series((1, 400)), "AT": series((90, 200)), "BE": series((1, 3)),
        "IT": series((150, 200)),
    }  # fmt: skip
    states = judge_markets(made, 1000, 0.10)
    assert [one.market for one in states] == ["IT", "AT", "BE", "FR"]
    assert [one.state for one in states] == [BAD, BAD, UNKNOWN, OK]


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
def test_a_market_is_bad_alone_only_if_another_is_shown_good(states, market):
    named = zip(("AT", "FR", "IT"), states, strict=True)
    found = lone_bad_market(MarketState(name, state, Count(1, 2)) for name, state in named)
    assert (found and found.market) == market
