"""A fall that has ended: found by as much evidence as the fall itself, and forgotten then."""

import pytest

from sluicegate.api.engine import SloRecord
from sluicegate.api.status import Diagnosis
from sluicegate.policy.diagnosis.symptoms import present_now
from sluicegate.policy.slo_health.ratio_slo import judge
from sluicegate.slo.burn_rate import Level
from tests.support.decisions.judged import (
    BLOCK,
    baseline,
    judged_by,
    observed,
    series,
    serving,
    stable,
)

BLOCKS = 12
LABELS = 100
"""A block."""
ACCEPTED = 0.1
SLO = judged_by({"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05"}).slos[0]


def judged(*hours):
    """The verdict after hours with these bad ratios, of a version that was accepted with 10 %."""
    rows = [(round(ratio * LABELS), LABELS) for ratio in hours for _ in range(BLOCKS)]
    known = baseline(SLO, 4000, 40_000)
    now = len(rows)
    return judge(SLO, series(*rows), baseline=known, now=now, since=0, drift_since=0, shown_since=0)


GOOD = (ACCEPTED,) * 24
FALLEN = (*GOOD, 0.4, 0.4)


def test_a_fall_that_lasts_has_not_recovered():
    result = judged(*FALLEN)
    assert result.drift.level is Level.MISSED
    assert result.drift.recovered is None
    assert not result.calm


def test_a_fall_that_has_ended_is_met_again_once_the_evidence_reaches_the_same_bound():
    result = judged(*FALLEN, *GOOD[:3])
    assert result.drift.statistic > result.drift.bound
    assert result.drift.level is Level.MET
    assert result.drift.recovered == len(FALLEN) * BLOCKS
    assert result.calm


@pytest.mark.parametrize("worse", [0.8, 1.0, 1.5])
def test_answers_that_stay_worse_by_most_of_the_drop_have_not_recovered(worse):
    result = judged(*FALLEN, *[ACCEPTED + 0.05 * worse] * 48)
    assert result.drift.recovered is None
    assert result.drift.level is Level.MISSED


@pytest.mark.parametrize("hours", [12, 240])
def test_the_hour_of_a_second_fall_ends_the_recovery_however_long_it_lasted(hours):
    assert judged(*FALLEN, *GOOD[:12] * (hours // 12), 0.4).drift.level is Level.MISSED


def test_hours_that_scatter_recover_later_than_steady_ones():
    assert judged(*FALLEN, *GOOD[:4]).drift.recovered is not None
    assert judged(*FALLEN, 0.03, 0.17, 0.03, 0.17).drift.recovered is None


@pytest.mark.parametrize(("cause", "bad"), [("Recovered", False), ("ModelDecay", True)])
def test_a_bad_time_before_a_recovery_is_no_evidence_that_the_present_is_bad_again(cause, bad):
    """Hours of 11.5 % after the fall are surely worse than accepted, and no fall by half of `maxDrop`."""
    terms = judged_by({"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05"})
    rows = [(40, LABELS)] * 60 + [(10, LABELS)] * 4 + [(23, 2 * LABELS)] * 36
    found = judge(
        SLO, series(*rows), baseline=baseline(SLO, 4000, 40_000), now=len(rows), since=0,
        drift_since=0, shown_since=0,
    )  # fmt: skip
    status = serving(
        stable=stable(accuracy=baseline(SLO, 4000, 40_000)),
        slos={"accuracy": SloRecord(degraded=True, terms_hash=SLO.indicator_hash)},
        diagnosis=Diagnosis(cause=cause, message="…", diagnosis_time=64 * BLOCK),
    )
    read = observed(block=len(rows), series={"v1": {"accuracy": series(*rows)}})

    present = present_now(terms, status, read, found, stable=status.stable)

    assert present.bad is bad
