"""Labels whose delay depends on the outcome: how often a worse candidate is promoted, an equal one rolled back.

Seeds are fixed. `LABEL_DELAY_RUNS=400` simulates more canaries a row.
"""

from __future__ import annotations

import os
from math import ceil, log
from statistics import median

import numpy as np
import pytest
from scipy.stats import binom

from sluicegate.slo.label_ages import AGE_BOUNDS_SECONDS, covered_classes
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.late_labels import LabelledBlock, label_evidence
from sluicegate.stats.sequential_test import ALPHA

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
RUNS = int(os.environ.get("LABEL_DELAY_RUNS", "24"))
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
BLOCK, BLOCKS, LOOK_BACK = 300, 4 * 288, 12
PER_SECOND, WRONG, MARGIN = 0.5, 0.1, 0.015
BOUND = log(1 / ALPHA)
SHAPES = {
    "both after an hour": (HOUR, HOUR),
    "wrong answers known a day later": (5 * MINUTE, DAY),
    "right answers known a day later": (DAY, 5 * MINUTE),
    "wrong answers known hours later": (30 * MINUTE, 4 * HOUR),
    "right answers known hours later": (4 * HOUR, 30 * MINUTE),
    "wrong answers known half a day later": (MINUTE, 12 * HOUR),
}
"""Mean delays of labels of right and of wrong answers, exponential, in seconds."""
SOME = ("wrong answers known a day later", "right answers known a day later")
"""Shapes that each run simulates: those in which a comparison of all labels fails most."""


def labels(source, begin, end, per_second, wrong, delays):
    """Outcome, time of arrival and class of age of the labels of one version's predictions."""
    number = source.poisson(per_second * (end - begin))
    made = begin + source.random(number) * (end - begin)
    bad = source.random(number) < wrong
    delay = np.where(
        bad, source.exponential(delays[1], number), source.exponential(delays[0], number)
    )
    return (
        bad,
        np.floor((made + delay) / BLOCK).astype(int),
        np.searchsorted(AGE_BOUNDS_SECONDS, delay),
    )


def counts(source, candidate_wrong, delays):
    """Labels by (candidate, bad, class, block), from an hour before a canary of four days at 50 %."""
    found = np.zeros((2, 2, len(AGE_BOUNDS_SECONDS) + 1, LOOK_BACK + BLOCKS), int)
    half, end = PER_SECOND / 2, BLOCKS * BLOCK
    made = (
        (0, labels(source, -6 * max(delays), 0, PER_SECOND, WRONG, delays)),
        (0, labels(source, 0, end, half, WRONG, delays)),
        (1, labels(source, 0, end, half, candidate_wrong, delays)),
    )
    for candidate, (bad, block, age) in made:
        read = (block >= -LOOK_BACK) & (block < BLOCKS)
        where = (candidate, bad[read].astype(int), age[read], block[read] + LOOK_BACK)
        np.add.at(found, where, 1)
    return found


def labelled_blocks(found):
    """Return the same counts as blocks, whose labels are compared up to the class that the canary covers."""
    every, upto = found.sum(axis=(0, 2)), found.cumsum(axis=2)
    for place in range(LOOK_BACK + BLOCKS):
        total = Count(int(every[1, place]), int(every[:, place].sum()))
        classes = covered_classes((place - LOOK_BACK - WARM_UP_BLOCKS) * BLOCK)
        if not classes:
            yield LabelledBlock(0, NOTHING, NOTHING, total)
            continue
        stable, candidate = (
            Count(int(arm[1, classes - 1, place]), int(arm[:, classes - 1, place].sum()))
            for arm in upto
        )
        yield LabelledBlock(classes, candidate, stable, total)


def verdict(blocks):
    """The first verdict of a look after each hour, and the seconds until then."""
    for hour in range(1, BLOCKS // 12 + 1):
        evidence, *_ = label_evidence(blocks[: LOOK_BACK + 12 * hour], NOTHING, margin=MARGIN)
        if evidence.promote_evidence >= BOUND:
            return "promoted", hour * HOUR
        if evidence.roll_back >= BOUND:
            return "rolled back", hour * HOUR
    return "none", BLOCKS * BLOCK


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(shape, marks=() if shape in SOME else pytest.mark.grid, id=shape)
        for shape in SHAPES
    ],
)
@pytest.mark.parametrize("worse", [True, False], ids=["worse by the margin", "equal"])
def test_delays_that_depend_on_the_outcome_keep_both_error_rates(shape, worse):
    delays, verdicts = SHAPES[shape], []
    for seed in range(RUNS):
        source = np.random.default_rng([seed, int(worse), *map(int, delays)])
        found = counts(source, WRONG + MARGIN * worse, delays)
        verdicts.append(verdict(list(labelled_blocks(found))))
    ends = [end for end, _ in verdicts]
    wrong = ends.count("promoted" if worse else "rolled back")
    right = ends.count("rolled back" if worse else "promoted")
    typical = median(seconds for _, seconds in verdicts) / HOUR
    print(f"{shape}, worse {worse}: wrong {wrong}, right {right} of {RUNS}, median {typical:.0f} h")
    assert wrong <= binom.ppf(0.999, RUNS, ALPHA)
    assert right + wrong >= ceil(0.8 * RUNS)
    assert typical * HOUR <= 1.5 * max(DAY, *delays)
