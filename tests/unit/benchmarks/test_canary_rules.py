"""The other tools' rules decide as their documentation says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.canary_rules.mann_whitney import is_high, statistic
from benchmarks.canary_rules.other_tools import ArgoRolloutsLike, FlaggerLike
from sluicegate.api.slos import CanaryEvidence
from sluicegate.simulation.scenario import Scenario, SimulatedVerdict, Stream
from sluicegate.simulation.traffic import SimulatedArms

pytestmark = pytest.mark.slow

ONE = np.arange(1)
SCENARIO = Scenario(
    (Stream("availability", 0.01, CanaryEvidence.REQUIRED, 0.01, 0.01, 600.0),),
    (5, 25, 50),
    60,
    240,
)


def _minute(bad, total=100.0):
    return SimulatedArms(*(np.array([[value]]) for value in (bad, total, 1.0, 900.0)))


def _play(judge, minutes):
    for number, bad in enumerate(minutes, start=1):
        verdict = SimulatedVerdict(int(judge.observe(_minute(*np.atleast_1d(bad)), ONE)[0]))
        if verdict is not SimulatedVerdict.RUNNING:
            return verdict, number
    return SimulatedVerdict.RUNNING, len(minutes)


@pytest.mark.parametrize(
    ("sentence", "minutes", "verdict", "minute"),
    [
        ("ten good minutes lead through 5…50 %", [0.0] * 20, SimulatedVerdict.PROMOTED, 10),
        (
            "a failure costs a minute and no weight",
            [0.0, 9.0] + [0.0] * 20,
            SimulatedVerdict.PROMOTED,
            11,
        ),
        ("ten failures are acted on a minute later", [9.0] * 20, SimulatedVerdict.ROLLED_BACK, 11),
        ("no values are a failure", [(0.0, 0.0)] * 20, SimulatedVerdict.ROLLED_BACK, 11),
    ],
)
def test_the_flagger_rule_decides_like_flagger(sentence, minutes, verdict, minute):
    assert _play(FlaggerLike(SCENARIO, 1), minutes) == (verdict, minute), sentence


@pytest.mark.parametrize(
    ("sentence", "minutes", "verdict", "minute"),
    [
        ("four steps of ten minutes", [0.0] * 50, SimulatedVerdict.PROMOTED, 40),
        (
            "three failed measurements are allowed",
            [9.0] * 15 + [0.0] * 40,
            SimulatedVerdict.PROMOTED,
            40,
        ),
        ("the fourth is not", [9.0] * 50, SimulatedVerdict.ROLLED_BACK, 20),
        ("five errors in a row abort", [(0.0, 0.0)] * 50, SimulatedVerdict.ROLLED_BACK, 25),
    ],
)
def test_the_argo_rollouts_rule_decides_like_argo_rollouts(sentence, minutes, verdict, minute):
    assert _play(ArgoRolloutsLike(SCENARIO, 1), minutes) == (verdict, minute), sentence


samples = st.lists(st.integers(0, 6).map(lambda n: n / 50), min_size=3, max_size=40)


@given(samples, samples)
def test_the_mann_whitney_statistic_equals_scipy(x, y):
    from scipy import stats

    z = statistic(np.array(x), np.array(y))
    if len({*x, *y}) == 1:
        assert z == 0.0
        return
    oracle = stats.mannwhitneyu(x, y, method="asymptotic", alternative="two-sided")
    assert min(1.0, 2 * stats.norm.sf(abs(z))) == pytest.approx(oracle.pvalue, abs=1e-12)


def test_a_shift_beyond_the_tolerance_is_classified_as_high():
    rng = np.random.default_rng(1)
    baseline = rng.normal(10.0, 1.0, 60)
    assert is_high(rng.normal(12.0, 1.0, 60), baseline)
    assert not is_high(rng.normal(10.0, 1.0, 60), baseline)
    assert not is_high(np.full(60, np.nan), baseline)
