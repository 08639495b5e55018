"""An alarm that begins at the bound, and lasts until half of the evidence is used up."""

from __future__ import annotations

from math import log

import pytest

from sluicegate.stats.lasting_alarm import advance_alarm, begin_alarm, cusum_bank_of_odds

BANK = cusum_bank_of_odds(0.12, (2.0, 4.0), 1000.0)
BAD, GOOD, FEW = (9, 20), (1, 20), (1, 10)


def after(*blocks, phi=1.0):
    return advance_alarm(begin_alarm(BANK, 100), BANK, blocks, phi)


def test_the_alarm_bound_depends_on_the_numbers_of_alternatives_and_units():
    assert BANK.alarm_bound == pytest.approx(log(2 * 1000))
    assert [each.ratio for each in BANK.alternatives] == pytest.approx([0.24 / 1.12, 0.48 / 1.36])


def test_the_mean_likelihood_ratio_at_the_limit_is_one():
    for each in BANK.alternatives:
        mean = 0.12 * each.ratio / 0.12 + 0.88 * (1 - each.ratio) / 0.88
        assert mean == pytest.approx(1.0)
        assert each.per_bad == pytest.approx(log(each.ratio / 0.12))
        assert each.per_good == pytest.approx(log((1 - each.ratio) / 0.88))


@pytest.mark.parametrize(
    ("blocks", "lasts"),
    [
        ((BAD,), False),
        ((BAD, BAD), True),
        ((BAD, BAD, FEW), True),
        ((BAD, BAD, GOOD, GOOD), False),
        ((BAD, BAD, GOOD, GOOD, BAD), False),
        ((BAD, BAD, BAD, BAD, GOOD, GOOD), False),
    ],
    ids=[
        "evidence below the bound is no alarm",
        "an alarm begins at the bound",
        "it lasts above half of it",
        "it ends below half of it",
        "it doesn't begin again before the bound",
        "a long alarm ends as soon as a short one",
    ],
)
def test_a_lasting_alarm_begins_at_the_bound_and_ends_below_half_of_it(blocks, lasts):
    assert after(*blocks).is_lasting is lasts


def test_the_dispersion_divides_the_alarm_evidence():
    assert after(BAD, phi=2.0).values == pytest.approx([s / 2 for s in after(BAD).values])


def test_the_alarm_span_begins_after_the_last_block_without_evidence():
    found = after(GOOD, GOOD, BAD)
    assert (found.begin_block, found.next_block) == (102, 103)
    assert begin_alarm(BANK, 100).begin_block == 100


def test_advancing_an_alarm_by_many_blocks_equals_advancing_block_by_block():
    blocks = [BAD, GOOD, BAD, BAD, GOOD]
    step = begin_alarm(BANK, 100)
    for block in blocks:
        step = advance_alarm(step, BANK, [block])
    assert step == after(*blocks)


def test_an_alarm_ends_and_resets_all_alternatives_together():
    """All begin from 0 then."""
    ended = after(BAD, BAD, GOOD, GOOD)
    assert not ended.is_lasting
    assert (ended.statistic, ended.begin_block) == (0.0, 104)
