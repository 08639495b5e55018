"""What is written into a review: days replaced by better ones, decisions once, and who has signed."""

from __future__ import annotations

from datetime import date

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import (
    DataProductReview,
    DataProductReviewStatus,
    MissedMarket,
    ReviewDecision,
    ReviewVersion,
)
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.journal import (
    DAY_SECONDS,
    DayCounts,
    days_to_read,
    with_day,
    with_decision,
    with_missed_markets,
    with_training,
    with_versions,
)
from sluicegate.reviews.periods import Period, zone_of
from sluicegate.reviews.seal import sealed_review
from sluicegate.reviews.signing import signing_state_of, with_signing_state
from sluicegate.reviews.subject import subject_of
from sluicegate.stats.counts import Count
from tests.support.portfolio.products import document

SEPTEMBER = Period("2026-09", date(2026, 9, 1), date(2026, 10, 1), zone_of("UTC"))
DAYS = list(SEPTEMBER.days())
LATE_DAYS = 3
"""Promised (docs/reviews.md), so written as a number here."""
EMPTY = DataProductReviewStatus()


def counts(total, measured=1.0):
    return DayCounts(slos={"accuracy": Count(1, total)}, blocks=100, good=round(100 * measured))


def test_a_day_is_final_once_it_is_read_three_days_after_its_end():
    end = DAYS[0].end
    early = with_day(EMPTY, DAYS[0], counts(10), end + DAY_SECONDS)
    assert not early.days[0].final
    late = with_day(early, DAYS[0], counts(12), end + LATE_DAYS * DAY_SECONDS)
    assert late.days[0].final
    assert (len(late.days), late.days[0].slos[0].total) == (1, 12)


def test_a_day_keeps_an_earlier_read_with_better_coverage():
    known = with_day(EMPTY, DAYS[0], counts(100, 1.0), DAYS[0].end)
    again = with_day(known, DAYS[0], counts(40, 0.4), DAYS[0].end + LATE_DAYS * DAY_SECONDS)
    assert again.days[0].slos[0].total == 100
    assert again.days[0].final


def test_days_to_read_are_past_not_final_and_within_the_retention():
    now = DAYS[5].end + 10
    status = with_day(EMPTY, DAYS[2], counts(1), DAYS[2].end + LATE_DAYS * DAY_SECONDS)
    desired = days_to_read(status, SEPTEMBER, now, oldest_day=DAYS[1].begin)
    assert [day.date.day for day in desired] == [2, 4, 5, 6]


def test_a_day_is_read_after_its_end_and_again_after_late_labels():
    day, late = DAYS[0], LATE_DAYS * DAY_SECONDS
    begun = Period("2026-09", day.date, DAYS[1].date, zone_of("UTC"))

    def desired(status, after):
        return bool(days_to_read(status, begun, day.end + after, oldest_day=0))

    assert (desired(EMPTY, -1), desired(EMPTY, 0)) == (False, True)
    read = with_day(EMPTY, day, counts(10), day.end)
    assert (desired(read, 1), desired(read, late - 1), desired(read, late)) == (False, False, True)
    again = with_day(read, day, counts(12), day.end + late)
    assert not desired(again, 10 * late)


def test_a_day_without_pods_has_the_format_of_earlier_releases():
    """Otherwise the digests of reviews that are sealed already would not hold any more."""
    (day,) = with_day(EMPTY, DAYS[0], counts(10), DAYS[0].end).days
    assert set(day.to_dict()) == {"date", "final", "coverage", "slos"}


def decision(number, kind="Retrain"):
    return ReviewDecision(decision_time=number, type=kind, reason="ModelDecay", version="v1")


def test_the_oldest_decisions_of_a_ledger_are_only_counted():
    status = EMPTY
    for number in range(205):
        status = with_decision(status, decision(number))
        status = with_decision(status, decision(number))
    assert len(status.decisions) == 200
    assert status.decisions[0].decision_time == 5
    assert status.earlier_decisions == {"Retrain/ModelDecay": 5}


def test_the_newest_trainings_of_a_ledger_are_kept():
    ended = [
        EndedTraining(job=f"train-{number}", start_time=number, end_time=number + 60)
        for number in range(202)
    ]
    status = EMPTY
    for one in (*reversed(ended), ended[-1]):
        status = with_training(status, one)
    assert list(status.trainings) == ended[2:], "the newest 200"


def test_a_missed_market_is_recorded_from_its_first_evidence_to_its_recovery():
    first, again = (MissedMarket(slo="accuracy", market="AT", start_time=at) for at in (10, 300))
    other = MissedMarket(slo="latency", market="FR", start_time=20)
    status = with_missed_markets(EMPTY, [first, other], 100)
    status = with_missed_markets(status, [other], 200)
    status = with_missed_markets(status, [again, other], 400)
    assert status.missed_markets == (first.replace(end_time=200), other, again)
    assert with_missed_markets(status, [again, other], 500) == status, "nothing is written again"


def test_a_ledger_without_missed_markets_has_the_format_of_earlier_releases():
    assert with_missed_markets(EMPTY, [], 100).to_dict() == EMPTY.to_dict()


def test_a_ledger_lists_the_versions_that_were_stable_in_its_period():
    def version(name, promoted, until=None):
        return ReviewVersion(version=name, promotion_time=promoted, end_time=until)

    begin, end = SEPTEMBER.begin, SEPTEMBER.end
    served = [
        version("v1", begin - 900, begin - 5),
        version("v2", begin - 5, begin + 50),
        version("v3", begin + 50),
        version("v4", end + 5),
    ]
    status = with_versions(EMPTY, served, SEPTEMBER)
    assert [version.version for version in status.versions] == ["v2", "v3"]
    ended = with_versions(status, [version("v3", begin + 50, end - 1)], SEPTEMBER)
    assert [version.end_time for version in ended.versions] == [begin + 50, end - 1]


def review(*signatures, team=(("acb", "DataProductManager"),), signed_by=("DataProductManager",)):
    made = DataProductReview.model_validate_json(
        json_of(signatures, team, signed_by), by_name=False
    )
    return made.model_copy(
        update={"status": sealed_review(made, SEPTEMBER.end, seal_reason="PeriodOver")}
    )


def json_of(signatures, team, signed_by):
    import json

    return json.dumps(
        {
            "metadata": {"name": "pricing-2026-09", "namespace": "pricing"},
            "spec": {
                "productRef": {"name": "pricing", "uid": "u"},
                "period": {"startTime": "2026-09-01T00:00:00Z", "endTime": "2026-10-01T00:00:00Z"},
                "signOffs": [
                    {"username": user, "role": role, "verdict": verdict, "signTime": moment}
                    for user, role, verdict, moment in signatures
                ],
            },
            "status": {
                "graceDays": 7,
                "signedBy": list(signed_by),
                "team": [{"username": user, "role": role} for user, role in team],
            },
        }
    )


AFTER, EARLY = "2026-10-02T09:00:00Z", "2026-09-20T09:00:00Z"
SOON, LATE = SEPTEMBER.end + 3600, SEPTEMBER.end + 8 * DAY_SECONDS
BOTH = ("DataProductManager", "EngineeringManager")


@pytest.mark.parametrize(
    ("signatures", "signed_by", "now", "state"),
    [
        ([], BOTH[:1], SOON, "ToReview"),
        ([], BOTH[:1], LATE, "Overdue"),
        ([("acb", "DataProductManager", "Agree", AFTER)], BOTH[:1], LATE, "Reviewed"),
        ([("acb", "DataProductManager", "Object", AFTER)], BOTH[:1], LATE, "Reviewed"),
        ([("acb", "DataProductManager", "Skip", AFTER)], BOTH[:1], LATE, "Skipped"),
        ([("acb", "DataProductManager", "Agree", EARLY)], BOTH[:1], SOON, "ToReview"),
        ([("acb", "DataProductManager", "Agree", AFTER)], BOTH, SOON, "ToReview"),
        ([("acb", "DataScientist", "Agree", AFTER)], BOTH[:1], SOON, "ToReview"),
    ],
)
def test_a_review_is_signed_once_each_role_has_signed_after_the_seal(
    signatures, signed_by, now, state
):
    made = review(*signatures, signed_by=signed_by)
    assert str(signing_state_of(made, now).state) == state


def test_an_objection_is_kept_and_a_role_without_members_is_named():
    made = review(("acb", "DataProductManager", "Object", AFTER), signed_by=BOTH)
    where = signing_state_of(made, SOON)
    assert [(one.username, one.verdict) for one in where.signed] == [("acb", "Object")]
    assert (where.missing, where.unfilled) == (("EngineeringManager",), ("EngineeringManager",))
    assert with_signing_state(made.status, where).reviewed_by == ("acb",)


def test_a_ledger_has_the_version_that_a_hold_out_refused_with_its_rows():
    last = {
        "outcome": "Rejected", "reason": "NotShownBetter", "version": "v4", "image": "r@sha256:v4",
        "completionTime": "2026-11-28T10:00:00Z",
        "evaluation": {"accuracy": {"bad": 9, "total": 540}},
        "stableEvaluation": {"accuracy": {"bad": 60, "total": 540}},
    }  # fmt: skip
    slo = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05"}
    spec = {"review": {"startDate": "2026-11-01"}, "slos": [slo]}
    body = document("pricing", "pricing", spec=spec, status={"retraining": {"lastResult": last}})
    subject = subject_of(DataProduct.parse(body), Timing())
    assert subject is not None
    (candidate,) = subject.candidates
    assert (candidate.version, candidate.digest) == ("v4", "sha256:v4")
    assert (candidate.outcome, candidate.reason) == ("Rejected", "NotShownBetter")
    (arms,) = candidate.slos
    assert (arms.hold_out, arms.candidate, arms.stable) == (True, (9, 540), (60, 540))
