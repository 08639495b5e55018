"""Seventy days through the ledger, on a simulated clock: killed at random, it counts each event once."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.prometheus_stand_in import Lie
from sluicegate.api.base import rfc3339
from sluicegate.api.review import ReadinessCheck
from sluicegate.reviews.journal import LATE_DAYS
from sluicegate.reviews.resource_hours import hours_of
from sluicegate.reviews.seal import digest_of
from tests.support.decisions.ledger_world import BEGIN, DAYS, KEY, ZONE, counted, world
from tests.support.decisions.recorded_days import DAY

pytestmark = [pytest.mark.heavy, pytest.mark.slow]


@pytest.mark.timeout(600)
async def test_the_ledger_sums_equal_an_independent_count_exactly():
    async with world(share=0.3) as it:
        await it.pass_time((DAYS + LATE_DAYS + 1) * DAY, step=3 * 3600)
        assert it.gate.kills > 5
        reviews = it.all()
        assert list(reviews) == [f"pricing-2026-{month:02}" for month in (9, 10, 11, 12)]
        truth = it.history.recount(ZONE, until=BEGIN + DAYS * DAY)
        ledger = counted(reviews)
        assert {date: ledger[date] for date in truth} == truth
        assert sum(len(review.status.days) for review in reviews.values()) >= DAYS
        by_market = Counter()
        for review in reviews.values():
            for day in review.status.days:
                for slo in day.slos:
                    if slo.name == "accuracy":
                        by_market.update({name: of[1] for name, of in slo.markets.items()})
        assert by_market == it.history.recount_markets()
        october = reviews["pricing-2026-10"].status
        assert (len(october.days), october.days[24].date) == (31, "2026-10-25")
        assert all(day.final for day in october.days)
        versions = [version.version for version in reviews["pricing-2026-10"].status.versions]
        assert versions == ["v1", "v2"]


@pytest.mark.timeout(600)
async def test_a_sealed_review_keeps_its_digest_despite_later_data():
    async with world(share=0.2) as it:
        await it.pass_time((11 + LATE_DAYS + 1) * DAY, step=3 * 3600)
        first = it.all()["pricing-2026-09"]
        assert first.status.seal_time is not None
        assert first.status.seal_time >= first.spec.period.end
        assert first.status.digest == digest_of(first)
        await it.pass_time(20 * DAY, step=3 * 3600)
        again = it.all()["pricing-2026-09"]
        assert digest_of(again) == first.status.digest
        assert again.status.days == first.status.days
        changed_day = again.status.days[0].model_copy(update={"coverage": "0.1"})
        forged = again.model_copy(
            update={"status": again.status.model_copy(
                update={"days": (changed_day, *again.status.days[1:])})}
        )  # fmt: skip
        assert digest_of(forged) != first.status.digest


async def test_labels_three_days_late_count_for_the_day_of_their_prediction():
    async with world() as it:
        await it.pass_time(2 * DAY)
        early = counted(it.all())["2026-09-20"]["accuracy"]
        await it.pass_time(4 * DAY)
        late = counted(it.all())["2026-09-20"]["accuracy"]
        truth = it.history.recount(ZONE, until=it.now)["2026-09-20"]["accuracy"]
        assert early != late == truth


async def test_a_ledger_day_has_pod_hours_pod_requests_and_series_of_slos_only():
    scaled = {"replicas": None, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}}
    async with world() as it:
        it.serving = scaled | {
            "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}}
        }
        await it.pass_time(2 * DAY)
        it.serving = scaled | {"resources": {"requests": {"cpu": "2"}}}
        await it.pass_time(4 * DAY)
        (review,) = it.all().values()
        assert {slo.name for day in review.status.days for slo in day.slos} == {
            "availability", "latency", "accuracy",
        }  # fmt: skip
        first, *_, last = review.status.days
        assert first.final
        assert (first.pod_seconds, first.pod_requests) == (DAY, {"cpu": "500m", "memory": "2Gi"})
        assert last.pod_requests == {"cpu": "2"}


async def test_a_review_takes_one_write_per_day_and_none_per_restart():
    async with world() as it:
        await it.pass_time(3 * DAY + 22 * 3600)  # each product's visit is within 21 hours
        before = len(it.server.writes)
        for _ in range(5):
            it.start()
            await it.pass_time(1200, step=300)
        assert len(it.server.writes) == before
        start = len(it.server.writes)
        await it.pass_time(5 * DAY)
        assert len(it.server.writes) - start == 5


async def test_a_review_period_takes_five_writes_besides_those_of_its_days():
    """It is opened; its last three days are read again, which seals it; and a label says so."""
    async with world() as it:
        await it.pass_time(6 * DAY, step=8 * 3600, every="Week")
        before = len(it.server.writes)
        await it.pass_time(7 * DAY, step=8 * 3600, every="Week")
        assert len(it.server.writes) - before == 7 + 5


async def test_days_of_a_prometheus_outage_are_filled_in_later():
    async with world() as it:
        await it.pass_time(2 * DAY)
        it.stand_in.lies[""] = Lie.ERROR_503
        await it.pass_time(2 * DAY, step=6 * 3600)
        assert len(counted(it.all())) <= 2
        it.stand_in.lies.clear()
        await it.pass_time(5 * DAY, step=6 * 3600)
        truth = it.history.recount(ZONE, until=BEGIN + 4 * DAY)
        ledger = counted(it.all())
        assert {date: ledger[date] for date in truth} == truth


async def test_each_decision_is_in_the_ledger_once_and_soon():
    async with world() as it:
        await it.pass_time(DAY)
        for number in range(3):
            it.decision = {
                "type": "Retrain", "reason": "ModelDecay", "message": f"n={number}",
                "decisionTime": rfc3339(int(it.now) + number),
            }  # fmt: skip
            await it.pass_time(60, step=20)
            it.start()  # nothing is lost by that
            await it.pass_time(7200)
        (review,) = it.all().values()
        assert [decision.message for decision in review.status.decisions] == ["n=0", "n=1", "n=2"]
        assert {decision.version for decision in review.status.decisions} == {"v1"}
        assert {one.name for one in review.status.readiness} == set(ReadinessCheck)


async def test_a_missed_market_is_in_the_ledger_soon_with_begin_and_end_in_each_period():
    async with world() as it:
        await it.pass_time(9 * DAY)  # 29 September
        began = int(it.now) - 3600
        it.missed = {"AT": rfc3339(began)}
        await it.pass_time(60, step=20)
        it.start()  # nothing is lost by that
        await it.pass_time(3 * DAY)
        ended, it.missed = it.now, {}
        await it.pass_time(60, step=20)
        first, second = (one.status.missed_markets for _, one in sorted(it.all().items()))
        assert [(one.market, one.start_time, one.end_time) for one in first] == [
            ("AT", began, None)
        ]
        (one,) = second
        assert (one.slo, one.start_time) == ("accuracy", began)
        assert ended <= one.end_time <= ended + 60


async def test_each_training_is_in_the_ledger_of_the_period_of_its_end_once():
    async with world(share=0.2) as it:
        await it.pass_time(9 * DAY + 7200)
        for number in range(4):  # from 29 September to 2 October
            began, ended = (rfc3339(int(it.now) - ago) for ago in (5400, 1800))
            it.trained = {"job": f"train-{number}", "startTime": began, "endTime": ended,
                          "requests": {"cpu": "4"}}  # fmt: skip
            await it.pass_time(DAY)
        assert it.gate.kills
        first, second = (one.status for _, one in sorted(it.all().items()))
        assert [training.job for training in first.trainings] == ["train-0", "train-1"]
        assert [training.job for training in second.trainings] == ["train-2", "train-3"]
        hours = hours_of((), second.trainings)
        assert (hours.trainings, hours.training, hours.trained) == (2, 2, {"cpu": 8})
        await it.pass_time(3 * DAY)
        (sealed, _) = (one for _, one in sorted(it.all().items()))
        assert sealed.status.digest == digest_of(sealed)
        without = sealed.model_copy(update={"status": sealed.status.replace(trainings=())})
        assert sealed.status.digest != digest_of(without)


async def test_the_review_of_a_deleted_product_is_kept_and_sealed():
    async with world() as it:
        await it.pass_time(5 * DAY)
        it.there = False
        it.reviews.update_subject(KEY, None)
        await it.pass_time(2 * DAY)
        (review,) = it.all().values()
        assert review.status.seal_reason == "ProductGone"
        assert len(review.status.days) == 5 - 1
        assert review.status.digest == digest_of(review)


async def test_at_most_the_configured_number_of_sealed_reviews_is_kept():
    async with world() as it:
        await it.pass_time(20 * DAY, step=6 * 3600, every="Week", keep=2)
        assert sorted(it.all()) == [f"pricing-2026-w{week}" for week in (38, 39, 40)]
        await it.pass_time(3 * DAY, step=6 * 3600, every="Week", keep=2)
        assert sorted(it.all()) == [f"pricing-2026-w{week}" for week in (39, 40, 41)]


async def test_an_unknown_time_zone_of_a_review_is_reported_once_with_an_example():
    async with world() as it:
        await it.pass_time(DAY, timeZone="Europe/Lutetia")
        (due,) = it.reviews.conditions(it.product(timeZone="Europe/Lutetia"))
        assert (due.type, due.reason) == ("ReviewDue", "ReviewMisconfigured")
        assert "spec.review.timeZone 'Europe/Lutetia' isn't in the IANA database" in due.message
        assert len(it.wrong) == 1
        assert "Europe/Lutetia" in it.wrong[0]
        assert "Europe/Paris" in it.wrong[0]
        assert not it.all()
