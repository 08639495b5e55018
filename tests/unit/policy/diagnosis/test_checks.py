"""Why a product is degraded: each cause outside the model, and what objects first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import CheckVerdict, Diagnosis
from sluicegate.policy.diagnosis.checks import (
    AUTO_CHECKS,
    OUTSIDE_CHECKS,
    PROBATION_CHECKS,
    diagnose,
)
from sluicegate.policy.diagnosis.symptoms import Symptoms
from sluicegate.policy.diagnosis.traffic_load import Load
from sluicegate.policy.model.observed import Facts, InputReading, Portfolio
from sluicegate.policy.slo_health.current_level import PresentLevel
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.policy.slo_health.serving_skew import SkewComparison
from tests.support.decisions.judged import judged_by, stable
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, LATENCY

DAY = 86_400
AVAILABLE, FAST, ACCURATE = judged_by(AVAILABILITY, LATENCY, ACCURACY).slos
KNOWN = Facts(cpu_throttled=False, memory_pressure=False)
NORMAL = Load(100.0, 100.0, accepted=True)


def symptoms(slo=ACCURATE, **fields) -> Symptoms:
    """Return a degraded SLO of which nothing outside the model is known to be the cause."""
    worst = fields.pop("worst", SloResult(slo, SloState.MISSED, Reason.OBJECTIVE_MISSED))
    known = {
        "facts": KNOWN,
        "portfolio": Portfolio(),
        "problem": None,
        "stable": stable(),
        "can_return": False,
        "age_seconds": 10 * DAY,
        "day_seconds": DAY,
        "load": NORMAL,
        "present": PresentLevel(bad=True, message="still bad"),
        "releases": tuple,
        "now": 0,
        **fields,
    }
    return Symptoms(worst=worst, degraded=(worst,), **known)


def cause(found: Symptoms, checks=AUTO_CHECKS) -> Reason:
    return diagnose(found, checks).cause


@pytest.mark.parametrize(
    ("bad", "statistic", "text"),
    [
        (
            240,
            0.0,
            "as good as at its acceptance: 76.0 % (n=1,000), which is below the objective of 80.0 %",
        ),
        (240, 9.0, "it no longer fits its data"),
        (80, 0.0, "it no longer fits its data"),
    ],
    ids=["an objective that no version has reached", "a fall", "an objective that was reached"],
)
def test_a_miss_without_a_fall_is_diagnosed_by_the_objective(bad, statistic, text):
    baseline = Baseline(bad=bad, total=1000, source=BaselineSource.EVALUATION, start=0, end=0)
    worst = SloResult(
        ACCURATE,
        SloState.MISSED,
        Reason.OBJECTIVE_MISSED,
        baseline=baseline,
        drift=Drift(statistic, bound=8.0, decides=True),
    )
    assert diagnose(symptoms(worst=worst), AUTO_CHECKS).message.endswith(text)


@pytest.mark.parametrize(
    ("slo", "remains"),
    [
        (ACCURATE, Reason.MODEL_DECAY),
        (FAST, Reason.MODEL_TOO_SLOW),
        (AVAILABLE, Reason.AVAILABILITY_ONLY),
    ],
)
def test_a_diagnosis_without_any_failed_check_has_the_default_cause_of_its_indicator(slo, remains):
    found = diagnose(symptoms(slo), AUTO_CHECKS)
    assert found.cause is remains
    assert not found.outside
    assert [finding.verdict for finding in found.findings] == [CheckVerdict.CLEAR] * len(
        AUTO_CHECKS
    )


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (Facts(cpu_throttled=True, memory_pressure=False), Reason.CPU_THROTTLED),
        (Facts(cpu_throttled=False, memory_pressure=True), Reason.MEMORY_PRESSURE),
        (Facts(cpu_throttled=True, memory_pressure=None), Reason.CPU_THROTTLED),
        (Facts(cpu_throttled=None, memory_pressure=True), Reason.MEMORY_PRESSURE),
        (Facts(cpu_throttled=None, memory_pressure=False), Reason.INFRASTRUCTURE_UNKNOWN),
        (Facts(cpu_throttled=False, memory_pressure=None), Reason.INFRASTRUCTURE_UNKNOWN),
        (Facts(), Reason.INFRASTRUCTURE_UNKNOWN),
    ],
)
def test_slow_answers_have_an_external_cause_until_resources_are_known_to_suffice(facts, reason):
    found = diagnose(symptoms(FAST, facts=facts), AUTO_CHECKS)
    assert found.cause is reason
    assert found.outside


@pytest.mark.parametrize("checks", [AUTO_CHECKS, OUTSIDE_CHECKS, PROBATION_CHECKS])
@pytest.mark.parametrize(
    ("slo", "reason"),
    [
        (FAST, Reason.NODE_BUSY),
        (AVAILABLE, Reason.AVAILABILITY_ONLY),
        (ACCURATE, Reason.MODEL_DECAY),
    ],
)
def test_a_busy_node_explains_slow_answers_on_probation_too(slo, reason, checks):
    assert cause(symptoms(slo, facts=replace(KNOWN, node_busy=True)), checks) is reason


@pytest.mark.parametrize("slo", [ACCURATE, AVAILABLE])
@pytest.mark.parametrize("facts", [Facts(), Facts(cpu_throttled=True, memory_pressure=True)])
def test_missing_resources_do_not_explain_wrong_answers_or_failures(slo, facts):
    assert not diagnose(symptoms(slo, facts=facts), AUTO_CHECKS).outside


@pytest.mark.parametrize(
    ("slo", "load", "objects"),
    [
        (FAST, Load(300.0, 100.0, accepted=True), False),  # 3 times the normal load is normal
        (FAST, Load(301.0, 100.0, accepted=True), True),
        (AVAILABLE, Load(301.0, 100.0, accepted=False), True),
        (ACCURATE, Load(900.0, 100.0, accepted=True), False),
        (FAST, None, False),
    ],
)
def test_more_than_three_times_the_normal_load_explains_slow_answers_and_failures(
    slo, load, objects
):
    assert (cause(symptoms(slo, load=load)) is Reason.TRAFFIC_ANOMALY) is objects


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"problem": Reason.PROMETHEUS_UNAVAILABLE}, Reason.PROMETHEUS_UNAVAILABLE),
        ({"present": PresentLevel(bad=False, message="fine now")}, Reason.RECOVERED),
        ({"facts": replace(KNOWN, upstream_degraded=("a",))}, Reason.UPSTREAM_DEGRADED),
        ({"portfolio": Portfolio(products=9, degraded_products=3)}, Reason.COMMON_CAUSE),
    ],
)
@pytest.mark.parametrize("checks", [AUTO_CHECKS, OUTSIDE_CHECKS, PROBATION_CHECKS])
def test_external_causes_explain_any_degraded_slo_on_probation_too(fields, reason, checks):
    assert cause(symptoms(**fields), checks) is reason


def test_a_missing_block_of_the_degraded_slo_gives_its_own_reason_as_cause():
    worst = SloResult(ACCURATE, SloState.UNKNOWN, Reason.LOW_COVERAGE)
    assert cause(symptoms(worst=worst)) is Reason.LOW_COVERAGE


@pytest.mark.parametrize(
    "fields",
    [
        {"facts": replace(KNOWN, pods_unhealthy=True)},
        {"facts": replace(KNOWN, cpu_throttled=True)},
        {"load": Load(900.0, 100.0, accepted=True)},
    ],
)
def test_unhealthy_pods_and_resources_of_a_release_on_probation_are_caused_by_the_release(fields):
    found = symptoms(FAST, **fields)
    assert diagnose(found, AUTO_CHECKS).outside
    assert not diagnose(found, PROBATION_CHECKS).outside


def test_a_known_cause_has_precedence_over_insufficient_data():
    silent = PresentLevel(bad=None, message="3 events")
    assert cause(symptoms(present=silent)) is Reason.INSUFFICIENT_DATA
    ill = replace(KNOWN, pods_unhealthy=True)
    assert cause(symptoms(present=silent, facts=ill)) is Reason.PODS_UNHEALTHY


@pytest.mark.parametrize(
    ("fields", "recent"),
    [
        ({"can_return": True, "age_seconds": DAY - 1}, True),
        ({"can_return": True, "age_seconds": DAY}, False),
        ({"can_return": False, "age_seconds": 0}, False),
        ({"can_return": True, "age_seconds": 0, "stable": stable().replace(restored=True)}, False),
    ],
    ids=["young", "a day old", "nothing to go back to", "it came back itself"],
)
def test_a_release_is_a_possible_cause_for_one_day_unless_it_is_a_restored_version(fields, recent):
    """Else two versions would replace each other indefinitely."""
    assert (cause(symptoms(**fields)) is Reason.RECENT_RELEASE) is recent


@pytest.mark.parametrize(
    ("slo", "skew", "reason"),
    [
        (ACCURATE, None, Reason.MODEL_DECAY),
        (ACCURATE, SkewComparison(differs=True, message="…"), Reason.SERVING_SKEW),
        (
            ACCURATE,
            SkewComparison(differs=True, message="…", since_release=True),
            Reason.CODE_NOT_DATA,
        ),
        (ACCURATE, SkewComparison(differs=False, message="…"), Reason.MODEL_DECAY),
        (ACCURATE, SkewComparison(differs=None, message="…"), Reason.MODEL_DECAY),
        (AVAILABLE, SkewComparison(differs=True, message="…"), Reason.AVAILABILITY_ONLY),
    ],
)
@pytest.mark.parametrize("checks", [AUTO_CHECKS, OUTSIDE_CHECKS])
def test_a_training_whose_scores_contradict_live_answers_gives_the_cause_of_wrong_answers(
    slo, skew, reason, checks
):
    assert cause(symptoms(slo, skew=skew), checks) is reason


def test_a_recent_release_has_precedence_over_a_contradicting_training():
    skewed = symptoms(
        can_return=True, age_seconds=3600, skew=SkewComparison(differs=True, message="…")
    )
    assert cause(skewed) is Reason.RECENT_RELEASE
    assert cause(skewed, OUTSIDE_CHECKS) is Reason.SERVING_SKEW


FRESH = InputReading("prices", "", 7200, 600.0)
KEPT = InputReading("offers", "contracts/offers.yaml", None, 0.0)


@pytest.mark.parametrize(
    ("inputs", "reason", "says"),
    [
        ((FRESH, KEPT), Reason.MODEL_DECAY, "no longer fits"),
        ((replace(FRESH, value=7201.0), KEPT), Reason.INPUT_STALE, "the newest data of prices are"),
        ((FRESH, replace(KEPT, value=2.0)), Reason.INPUT_CHANGED, "offers breaks 2 rules of contracts/offers.yaml"),
        ((replace(FRESH, value=None), replace(KEPT, value=None)), Reason.MODEL_DECAY, "no longer fits"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("checks", [AUTO_CHECKS, OUTSIDE_CHECKS])
def test_a_late_or_contract_breaking_input_is_the_cause_of_wrong_predictions(
    inputs, reason, says, checks
):
    found = diagnose(symptoms(facts=replace(KNOWN, inputs=inputs)), checks)
    assert found.cause is reason
    assert says in found.message
    assert (
        diagnose(symptoms(AVAILABLE, facts=replace(KNOWN, inputs=inputs)), checks).cause
        is Reason.AVAILABILITY_ONLY
    )


def test_an_input_without_a_value_is_reported_as_unknown():
    unread = replace(KNOWN, inputs=(replace(FRESH, value=None),))
    (finding,) = (
        finding
        for finding in diagnose(symptoms(facts=unread), AUTO_CHECKS).findings
        if finding.check is Reason.INPUT_STALE
    )
    assert (finding.verdict, finding.message) == (
        CheckVerdict.UNKNOWN, "the age of prices is unknown: its promql has no value"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (replace(FRESH, value=9000.0), replace(FRESH, value=None), Reason.INPUT_STALE),
        (replace(KEPT, value=1.0), replace(KEPT, value=None), Reason.INPUT_CHANGED),
        (replace(FRESH, value=9000.0), FRESH, Reason.MODEL_DECAY),
        (FRESH, replace(FRESH, value=None), Reason.MODEL_DECAY),
    ],
)
def test_an_input_remains_the_cause_until_it_has_a_good_value(before, now, expected):
    """Another input without a value, which was never bad, holds nothing."""
    other = replace(FRESH, name="clicks", value=None)
    first = diagnose(symptoms(facts=replace(KNOWN, inputs=(before, other))), AUTO_CHECKS)
    status = Diagnosis(cause=first.cause, message=first.message, diagnosis_time=0)
    for _ in range(2):
        facts = replace(KNOWN, inputs=(now, other))
        second = diagnose(symptoms(facts=facts, earlier=status), AUTO_CHECKS)
        assert second.cause is expected
        status = Diagnosis(cause=second.cause, message=second.message, diagnosis_time=0)
