"""Gauges: the weaker path, and that it is as careful with what is missing."""

import math
import random

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.canary.gauge_evidence import weigh
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.decision import StartRollout
from sluicegate.policy.model.observed import NO_OTHER_PRODUCTS, CanaryBlock, Observed
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.policy.slo_health.gauge_slo import present_level
from sluicegate.slo.blocks import Quality
from sluicegate.slo.means import Means
from sluicegate.stats.counts import NOTHING
from sluicegate.stats.gauge import (
    DAILY_BOUND,
    HOURLY_BOUND,
    difference_interval,
    gauge_baseline,
    gauge_cusum,
    is_beyond_bound,
)
from tests.support.decisions.judged import judged_by

BASKET = {
    "name": "basket",
    "indicator": {"gauge": {"metric": "mean_basket_value", "bound": "80"}},
    "maxDrop": "4",
}
V1, V2 = Release("v1"), Release("v2")


def history(last, value, slo=BASKET):
    """Evaluate a gauge block by block; the value of block i is value(i), None for none."""
    terms = judged_by(slo)
    status = DataProductStatus(
        stable=Version.of(V1, VersionSource.SPEC, promotion_time=0),
        spec_model=SpecModel.of(V1, Outcome.PROMOTED, 0),
    )
    readings, found = Means(), []
    for index in range(1, last + 1):
        readings.record(index, value(index))
        observed = Observed(
            block=index,
            gauges={"v1": {"basket": readings}},
            desired=V1,
            portfolio=NO_OTHER_PRODUCTS,
        )
        evaluation = evaluate(terms, status, observed, index * 300)
        status = carry_out_at_once(terms, evaluation.status, evaluation.decision, index * 300)
        found.append(evaluation)
    return found


def noise(seed, mean=100.0, spread=2.0):
    source = random.Random(seed)
    values = {}
    return lambda index: values.setdefault(index, source.gauss(mean, spread))


def test_the_gauge_cusum_follows_the_documented_formula():
    baseline = gauge_baseline([9.0, 11.0] * 14)
    assert baseline.mean == 10
    s = 0.0
    values = [30.0, 8.0, 7.0, 12.0, 6.0]
    for value in values:
        s = max(0.0, s - (value - 10) / baseline.deviation - 0.5)
    assert gauge_cusum(values, baseline) == s


@pytest.mark.parametrize("values", [[], [9.0, 11.0] * 13 + [9.0], [1.0] * 40])
def test_a_gauge_baseline_requires_enough_blocks_with_variance(values):
    assert gauge_baseline(values) is None


def test_the_gauge_bounds_give_at_most_one_false_alarm_in_ten_years():
    assert (HOURLY_BOUND, DAILY_BOUND) == (9.5, 5.0)


@pytest.mark.parametrize(
    ("values", "beyond"),
    [
        ([79, 79, 79], True),
        ([79, 81, 79, 79], True),
        ([79, 79, 81, 81], False),
        ([79], False),
        ([79, 79, 80], False),
        ([79, 79, 81, 81, 79], False),
        ([81, 79, 79, 81, 79], True),
    ],
)
def test_a_gauge_bound_is_missed_if_three_of_four_blocks_exceed_it(values, beyond):
    assert is_beyond_bound(values, 80) is beyond


def test_a_gauge_difference_between_versions_requires_twenty_pairs():
    assert difference_interval([0.1] * 20, 0.05) is None, "it never varies"
    assert difference_interval([*[0.1, -0.1] * 9, 0.1], 0.05) is None
    interval = difference_interval([0.1, -0.1] * 10, 0.05)
    rho2 = (-2 * math.log(0.1) + math.log(1 - 2 * math.log(0.1))) / 60
    sd = math.sqrt(0.01 * 20 / 19)
    spread = 20 * rho2 + 1
    width = sd * math.sqrt(2 * spread / (400 * rho2) * math.log(math.sqrt(spread) / 0.1))
    assert (interval.lower, interval.upper) == pytest.approx((-width, width), abs=1e-12)


def test_a_gauge_below_its_bound_starts_a_training():
    value = noise(1)
    found = history(160, lambda index: value(index) - (30 if index > 100 else 0))
    decided = [e.decision.reason for e in found if e.decision.type != "Hold"]
    assert decided == ["ModelDecay"]
    assert "Basket is at" in next(e for e in found if e.decision.type == "Retrain").decision.message


def test_a_gauge_without_a_bound_detects_a_small_drop_once_its_baseline_is_recorded():
    slo = {**BASKET, "indicator": {"gauge": {"metric": "mean_basket_value"}}}
    value = noise(2)
    found = history(12 * 60, lambda index: value(index) - (3 if index > 12 * 40 else 0), slo)
    assert found[100].slos[0].reason == "InsufficientData"
    assert found[12 * 40 - 1].slos[0].state == "Met"
    assert found[-1].slos[0].state == "Missed"


def test_a_gauge_may_be_better_when_lower():
    slo = {
        **BASKET,
        "indicator": {
            "gauge": {"metric": "mean_error", "direction": "LowerIsBetter", "bound": "5"}
        },
    }
    found = history(60, lambda index: 2.0 if index < 30 else 9.0, slo)
    assert found[20].slos[0].state == "Met"
    assert found[-1].slos[0].state == "Missed"


@pytest.mark.parametrize(
    ("gone", "reason"),
    [(lambda i: None if i > 40 else 100.0, "Stale"), (lambda _i: None, "NoData")],
)
def test_a_gauge_that_is_missing_is_unknown_and_starts_nothing(gone, reason):
    found = history(45, gone)
    assert found[-1].slos[0].reason == reason
    assert {e.decision.type for e in found} == {"Hold"}


def test_a_gauge_pushed_only_once_becomes_stale():
    found = history(100, lambda index: None if index > 40 else 100.0)
    assert {one.slos[0].reason for one in found[41:]} == {"Stale"}


@pytest.mark.slow
def test_values_of_a_gauge_before_a_gap_start_no_training_after_the_gap():
    slo = {**BASKET, "indicator": {"gauge": {"metric": "mean_basket_value"}}}
    value = noise(2)

    def given_value(index):
        if index < 480:
            return value(index)
        return value(index) - 30 if index < 493 else value(index) if index >= 560 else None

    found = history(562, given_value, slo)
    assert found[494].slos[0].reason == "Stale"
    assert found[559].slos[0].state == "Missed"
    assert {one.decision.type for one in found} == {"Hold"}
    assert found[559].decision.reason in {"NotConfirmed", "InsufficientData"}


def canary(difference, blocks, seed=5):
    """Return a rollout judged by a gauge alone; the decisions until one ends it."""
    terms = judged_by(BASKET, rollout={"steps": [50]})
    status = DataProductStatus(
        stable=Version.of(V1, VersionSource.SPEC, promotion_time=0),
        spec_model=SpecModel.of(V1, Outcome.PROMOTED, 0),
    )
    start = StartRollout(
        reason="ModelChanged", message="", candidate=V2, source=VersionSource.SPEC, weight=50
    )
    status = carry_out_at_once(terms, status, start, 30_000)
    source, seen, decisions = random.Random(seed), [], []
    for index in range(101, 101 + blocks):
        base = source.gauss(100, 5)
        pair = (base + difference + source.gauss(0, 1), base)
        seen.append(CanaryBlock(index * 300, Quality.COUNTED, gauges={"basket": pair}))
        readings = {"basket": Means([(index, base)])}
        observed = Observed(
            block=index,
            gauges={"v1": readings},
            canary_blocks=tuple(seen),
            canary_block_seconds=300,
        )
        evaluation = evaluate(terms, status, observed, index * 300)
        decisions.append(evaluation.decision)
        status = evaluation.status
    return decisions


def test_a_candidate_that_is_worse_by_a_gauge_is_rolled_back():
    reasons = [decision.reason for decision in canary(-4.0, 47)]
    assert "CanaryWorse" in reasons


def test_a_product_with_only_a_gauge_needs_no_requests_for_a_promotion():
    assert {decision.type for decision in canary(0.0, 47)} == {"Hold"}


# ---- at present, and beside a candidate -------------------------------------------------------
TERMS = judged_by(BASKET)
(SLO,) = TERMS.slos
ROLLOUT = {"steps": [5, 50], "maxDurationSeconds": 24 * 600}
SHOWN = Baseline.of(NOTHING, 0, 0, BaselineSource.PRODUCTION, mean=100.0, deviation=2.0)


def newest(*values, at=1000):
    """Return values of the blocks up to this one, the newest last; None for none."""
    first = at - len(values) + 1
    return Means((first + number, one) for number, one in enumerate(values) if one is not None)


@pytest.mark.parametrize(
    ("values", "baseline", "bad"),
    [
        ([100, 100, None, None], SHOWN, None),
        ([100, 100, None, 100], SHOWN, False),
        ([79, 79, None, 79], None, True),
        ([81, 79, 79, 81], None, False),
        ([90] * 4, None, False),
        ([90] * 4, SHOWN.replace(deviation=0.0), False),
        ([90] * 4, SHOWN, True),
        ([97] * 8, SHOWN, None),
        ([97] * 64, SHOWN, True),
        ([80] * 8 + [None] * 4 + [97, 97, None, 97], SHOWN, None),
    ],
    ids=[
        "two values are too few", "as accepted", "below its bound", "two of four miss it",
        "nothing else is accepted", "nothing ever varied", "surely fallen", "too few to tell",
        "long enough to tell", "what was before a silence isn't the present",
    ],
)  # fmt: skip
def test_the_current_level_of_a_gauge_is_bad_good_or_unknown(values, baseline, bad):
    found = present_level(SLO, newest(*values), baseline, now=1000, since=1000 - len(values))
    assert found.bad is bad


@pytest.mark.parametrize(
    ("evidence", "seconds", "differences", "required"),
    [
        ("Required", 86_400, [], True),
        ("IfAvailable", 60, [0.1], True),
        ("IfAvailable", 60, [], False),  # the pods may not expose it
        ("IfAvailable", 600, [0.1], True),  # 20 pairs, and two blocks after each change of weight
        ("IfAvailable", 601, [0.1], False),
        ("PostPromotion", 60, [0.1], False),
    ],
)
def test_gauge_evidence_is_required_according_to_canary_evidence_and_existing_values(
    evidence, seconds, differences, required
):
    basket = {**BASKET, "canaryEvidence": evidence}
    terms = judged_by(basket, rollout=ROLLOUT)
    (slo,) = terms.slos
    found = weigh(slo, differences, terms, slos=1, block_seconds=seconds)
    assert (found.required, found.pairs) == (required, len(differences))


def test_a_gauge_with_only_a_bound_is_not_required_as_evidence():
    """It allows no difference, and no number of values shows that there is none."""
    slo = {"name": "basket", "indicator": BASKET["indicator"], "canaryEvidence": "IfAvailable"}
    terms = judged_by(slo)
    assert not weigh(terms.slos[0], [0.1], terms, slos=1, block_seconds=60).required
