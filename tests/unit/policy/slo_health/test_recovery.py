"""A fall that has ended: found by as much evidence as the fall itself, and forgotten then."""

import pytest

from sluicegate.api.engine import SloRecord
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import Diagnosis
from sluicegate.policy.diagnosis.symptoms import present_now
from sluicegate.policy.slo_health.messages import describe
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


def judged(*hours, missed=False):
    """Return the verdict after hours with these bad ratios, of a version that was accepted with 10 %."""
    rows = [(round(ratio * LABELS), LABELS) for ratio in hours for _ in range(BLOCKS)]
    known = baseline(SLO, 4000, 40_000)
    now = len(rows)
    return judge(
        SLO, series(*rows), baseline=known, now=now, since=0, drift_since=0, shown_since=0,
        missed=missed,
    )  # fmt: skip


GOOD = (ACCEPTED,) * 24
FALLEN = (*GOOD, 0.4, 0.4)


def test_a_lasting_drop_is_no_recovery():
    result = judged(*FALLEN)
    assert result.drift.level is Level.MISSED
    assert result.drift.recovery_block is None
    assert not result.is_calm


def test_an_slo_is_met_again_once_recovery_evidence_reaches_the_bound_of_the_drop():
    result = judged(*FALLEN, *GOOD[:3])
    assert result.drift.statistic > result.drift.bound
    assert result.drift.level is Level.MET
    assert result.drift.recovery_block == len(FALLEN) * BLOCKS
    assert result.is_calm


@pytest.mark.parametrize("worse", [0.8, 1.0, 1.5])
def test_an_slo_that_regains_only_a_small_part_of_its_drop_has_not_recovered(worse):
    result = judged(*FALLEN, *[ACCEPTED + 0.05 * worse] * 48)
    assert result.drift.recovery_block is None
    assert result.drift.level is Level.MISSED


@pytest.mark.parametrize("hours", [12, 240])
def test_a_second_drop_ends_a_recovery_of_any_length_within_the_hour(hours):
    assert judged(*FALLEN, *GOOD[:12] * (hours // 12), 0.4).drift.level is Level.MISSED


def test_an_slo_with_hourly_noise_recovers_later_than_a_steady_one():
    assert judged(*FALLEN, *GOOD[:4]).drift.recovery_block is not None
    assert judged(*FALLEN, 0.03, 0.17, 0.03, 0.17).drift.recovery_block is None


@pytest.mark.parametrize(("cause", "bad"), [("Recovered", False), ("ModelDecay", True)])
def test_bad_blocks_before_a_recovery_are_no_evidence_of_a_new_drop(cause, bad):
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


@pytest.mark.parametrize("hour", [4, 20])
@pytest.mark.parametrize("fallen", [0.16, 0.25])
def test_a_drop_on_the_first_day_stays_missed_through_the_second_day(hour, fallen):
    """From 24 hours on, the hours before and after it look like a season of one day."""
    for known in range(hour + 3, 53):
        result = judged(*[ACCEPTED] * hour, *[fallen] * (known - hour), missed=True)
        assert (known, result.drift.level) == (known, Level.MISSED)
        assert not result.is_calm


@pytest.mark.parametrize("hours", [17, 26, 40])
def test_a_drop_on_the_first_day_recovers_on_either_day_with_the_evidence_that_found_it(hours):
    rows = [*[ACCEPTED] * 4, *[0.25] * hours]
    assert not judged(*rows, ACCEPTED, missed=True).is_calm
    assert judged(*rows, *[ACCEPTED] * 4, missed=True).is_calm


@pytest.mark.parametrize("objective", [{}, {"objective": "0.3"}], ids=["", "with an objective"])
@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.13, ""), (0.4, "the evidence of a drop (maxDrop 5 points) is 0.0, of the ")],
)
def test_an_slo_that_is_met_shows_the_evidence_of_a_drop_beyond_max_drop_while_it_grows(
    objective, ratio, text
):
    slo = judged_by(
        {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05", **objective}
    ).slos[0]
    rows = [(10, 100)] * (24 * BLOCKS) + [(round(100 * ratio), 100)] * (BLOCKS - 1)
    now, known = len(rows), baseline(slo, 4000, 40_000)
    result = judge(
        slo, series(*rows), baseline=known, now=now, since=0, drift_since=0, shown_since=now - 11
    )
    assert result.state is SloState.MET
    said = describe(result, BLOCK)
    assert ("the evidence" in said) is bool(text)
    assert text in said
