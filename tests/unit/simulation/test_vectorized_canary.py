"""The vectorised judge and the engine are one rule: same blocks, same decisions, same block."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sluicegate.simulation import vectorized_test
from sluicegate.simulation.scenario import Imagined, SimulatedVerdict, scenario_of
from sluicegate.simulation.traffic import SimulatedArms, SimulatedTraffic
from sluicegate.simulation.vectorized_canary import RolloutClock, Sequential
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import burst_correlation, level_shift
from sluicegate.stats.sequential_test import block_factor, nearest_null
from tests.support.decisions.canary_products import canary_terms
from tests.support.decisions.engine_canary import Canary, canary_block

pytestmark = pytest.mark.slow

RUNS = 4
SLOS = [("availability", "0.98", "0.02"), ("latency", "0.9", "0.05"), ("accuracy", "0.85", "0.06")]


@st.composite
def imagined_canaries(draw):
    names = [slo[0] for slo in SLOS[: draw(st.integers(1, 3))]]
    ratios = st.sampled_from([0.0, 0.002, 0.01, 0.05, 0.2, 1.0])
    traffic = Imagined(
        draw(st.sampled_from([0.0, 5.0, 60.0, 600.0, 20_000.0])),
        draw(st.sampled_from([0.0, 2.0, 40.0, 400.0])),
        {name: draw(ratios) for name in names},
        {name: draw(ratios) for name in names},
        draw(st.sampled_from([0.0, 0.01, 0.2])),
        draw(st.sampled_from([0.0, 0.8])),
        draw(st.sampled_from([0.0, 7.0])),
    )
    evidence = draw(st.sampled_from(["Required", "IfAvailable", "PostPromotion"]))
    terms = canary_terms(*SLOS[: len(names)], evidence=evidence, maxDurationSeconds=2400)
    return terms, traffic, draw(st.booleans())


def stable_that_changes_level():
    """Its daily swing takes it to where everything is bad, in the hour before the canary."""
    traffic = Imagined(600.0, 0.0, {"availability": 1.0}, {"availability": 0.0}, 0.0, 0.8, 0.0)
    return canary_terms(SLOS[0], evidence="IfAvailable", maxDurationSeconds=2400), traffic, False


def required_without_labels():
    """What is about the answers has none, so the steps before the last don't wait for it."""
    traffic = Imagined(60.0, 0.0, {}, {}, 0.0, 0.0, 0.0)
    return canary_terms(*SLOS, evidence="Required", maxDurationSeconds=2400), traffic, False


def both_below_the_objective():
    """Both arms have the same bad ratio, above what the objective allows; no person approves."""
    bad = {"availability": 1.0, "latency": 0.0}
    traffic = Imagined(60.0, 0.0, bad, bad, 0.0, 0.0, 0.0)
    return canary_terms(*SLOS[:2], evidence="Required", maxDurationSeconds=2400), traffic, False


def hours_of_silence():
    """At one request in two minutes, intervals without any are frequent; the duration is derived."""
    traffic = Imagined(0.5, 0.0, {}, {}, 0.0, 0.8, 0.0)
    return canary_terms(SLOS[0], evidence="Required", maxDurationSeconds=2400), traffic, True


@settings(max_examples=max(settings.default.max_examples // 10, 1))
@given(imagined_canaries(), st.integers(0, 2**20))
@example(canary=stable_that_changes_level(), seed=0)
@example(canary=required_without_labels(), seed=0)
@example(canary=both_below_the_objective(), seed=5)
@example(canary=hours_of_silence(), seed=1)
def test_the_vectorised_canary_and_the_engine_decide_alike_at_the_same_blocks(canary, seed):
    terms, imagined, waits = canary
    scenario = replace(scenario_of(terms, imagined), waits=waits)
    terms = replace(terms, steps=scenario.steps, is_duration_given=not waits)
    traffic = SimulatedTraffic(scenario, RUNS, seed)
    past_bad, past = traffic.past()
    judge = Sequential(scenario, past_bad, past)
    engines = [Canary(terms, scenario, _past(scenario, past_bad, past, run)) for run in range(RUNS)]
    live, clock = np.arange(RUNS), RolloutClock(scenario, RUNS)
    for time in range(2 * scenario.blocks):  # silent blocks use up no time of a derived duration
        arms = traffic.block(judge.share, live)
        verdicts = judge.observe(arms, live)
        is_over = clock.observe(arms, live)
        verdicts[is_over & (verdicts == SimulatedVerdict.RUNNING)] = SimulatedVerdict.INCONCLUSIVE
        end = (time + 1 + scenario.past_blocks) * scenario.block_seconds
        for place, run in enumerate(live):
            theirs = engines[run].observe(canary_block(end, _arms(scenario, arms, place)))
            assert (theirs, time, run) == (verdicts[place], time, run)
            if theirs is SimulatedVerdict.RUNNING:  # an end at the time limit outranks a next step
                assert engines[run].weight == round(judge.share[run] * 100)
        live = live[verdicts == SimulatedVerdict.RUNNING]
        if not live.size:
            break


def _past(scenario, bad, total, run):
    return [
        canary_block(
            (block + 1) * scenario.block_seconds,
            {
                stream.name: (
                    Count(0, 0),
                    Count(int(bad[block, row, run]), int(total[block, row, run])),
                )
                for row, stream in enumerate(scenario.streams)
            },
        )
        for block in range(len(bad))
    ]


def _arms(scenario, arms, place):
    return {
        stream.name: (
            Count(int(arms.canary_bad[row, place]), int(arms.canary[row, place])),
            Count(int(arms.stable_bad[row, place]), int(arms.stable[row, place])),
        )
        for row, stream in enumerate(scenario.streams)
    }


counts = st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
ratios = st.floats(1e-6, 0.6)


@given(
    candidate=counts,
    stable=counts,
    ratio=ratios,
    margin=st.floats(1e-4, 0.3),
    correlation=st.sampled_from([0.0, 0.003, 0.5]),
)
def test_the_vectorised_evidence_factors_equal_those_of_the_engine(
    *, candidate, stable, ratio, margin, correlation
):
    arms = SimulatedArms(*(np.array([float(number)]) for number in (*candidate, *stable)))
    about = tuple(np.array([number]) for number in (ratio, margin, correlation))
    ours = vectorized_test.block_factors(arms, *about)
    engine = block_factor(Count(*candidate), Count(*stable), ratio, margin, correlation=correlation)
    # A sum of up to a million logarithms' worth of events, whose rounding is relative to its terms.
    scale = 1e-9 * (1 + candidate[1] + stable[1])
    assert [float(one[0]) for one in ours] == pytest.approx(engine, rel=1e-8, abs=scale)


@given(st.floats(1, 1e6), st.floats(1, 1e6), ratios, st.floats(1e-4, 0.3))
def test_newtons_method_and_bisection_find_the_same_null(candidate, stable, ratio, margin):
    ours = vectorized_test.nearest_null(
        np.array([candidate]), np.array([stable]), np.array([ratio]), np.array([margin])
    )
    assert ours[0] == pytest.approx(
        nearest_null(candidate, stable, ratio, margin), rel=1e-9, abs=1e-15
    )


@given(st.lists(counts, min_size=1, max_size=90), st.integers(0, 90))
def test_the_vectorised_burst_correlation_equals_that_of_the_engine(blocks, shift):
    bad, total = columns(blocks)
    late = (np.arange(len(blocks)) >= shift)[:, None]
    ours = vectorized_test.burst_correlation(bad, total, late)
    assert ours[0] == pytest.approx(burst_correlation(blocks, shift=shift), rel=1e-9, abs=1e-12)


levels = st.tuples(st.integers(5, 400), st.floats(0, 1), st.integers(0, 40)).map(
    lambda level: [(round(level[0] * level[1]), level[0])] * level[2]
)


@given(st.lists(st.one_of(counts.map(lambda block: [block]), levels), min_size=1, max_size=8))
def test_the_vectorised_level_shift_equals_that_of_the_engine(parts):
    blocks = [block for part in parts for block in part]
    assume(blocks)
    assert vectorized_test.level_shift(*columns(blocks))[0] == level_shift(tuple(blocks))


def columns(blocks):
    return (np.array(column, float)[:, None] for column in zip(*blocks, strict=True))
