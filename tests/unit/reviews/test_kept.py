"""How long reviews are kept: none stays open indefinitely, and none indefinitely without its product."""

from __future__ import annotations

import pytest

from benchmarks.prometheus_stand_in import Lie
from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.reviews.journal import LATE_DAYS
from sluicegate.reviews.seal import digest_of
from sluicegate.reviews.store import ReviewStore
from tests.support.decisions.ledger_world import KEY, ZONE, counted, world
from tests.support.decisions.recorded_days import DAY, NAMESPACE

pytestmark = pytest.mark.slow
STEP = 12 * 3600


def path(name):
    return DATA_PRODUCT_REVIEWS.path(NAMESPACE, name)


def reasons(it):
    """Why each review is sealed; empty while it is open."""
    return {name: one.status.seal_reason for name, one in it.all().items()}


async def test_a_changed_review_cycle_seals_the_former_review_and_deletes_it_after_its_retention():
    async with world() as it:
        await it.pass_time(5 * DAY, step=STEP / 2)
        await it.pass_time(2 * DAY, step=STEP / 2, every="Week", keep=2)
        assert reasons(it) == {"pricing-2026-09": "CycleChanged", "pricing-2026-w38": ""}
        month = it.all()["pricing-2026-09"]
        assert month.status.digest == digest_of(month)
        assert {"2026-09-20", "2026-09-23"} <= {day.date for day in month.status.days}
        await it.pass_time(21 * DAY, step=STEP / 2, every="Week", keep=2)
        assert sorted(reasons(it)) == [f"pricing-2026-w{week}" for week in (39, 40, 41)]


async def test_a_product_that_is_no_longer_reviewed_has_its_open_review_sealed():
    async with world() as it:
        await it.pass_time(3 * DAY, step=STEP)
        for _ in range(4):  # each reconcile says so again
            it.reviews.update_subject(KEY, None)
            it.now += STEP
            await it.reviews.run_once(it.reader)
        assert reasons(it) == {"pricing-2026-09": "CycleChanged"}


async def test_reviews_of_a_deleted_product_are_deleted_after_their_retention():
    async with world() as it:
        await it.pass_time(11 * DAY, step=STEP, every="Week", keep=2)
        it.there = False
        it.reviews.update_subject(KEY, None)
        await it.pass_time(2 * DAY, step=STEP)
        assert reasons(it) == {"pricing-2026-w38": "PeriodOver", "pricing-2026-w39": "ProductGone"}
        ends = [one.spec.period.end for one in it.all().values()]
        await it.pass_time(ends[0] + 14 * DAY - it.now - 3600, step=STEP)
        assert len(it.all()) == 2
        assert "pricing-2026-w39" not in {name for name, _ in it.told}, "nobody has to sign it"
        assert it.reviews.overview.states == {"NotStarted": 0}
        await it.pass_time(DAY + 7200, step=STEP)
        assert list(it.all()) == ["pricing-2026-w39"]
        await it.pass_time(7 * DAY, step=STEP)
        assert not it.all()


async def test_unarchived_reviews_of_a_deleted_product_are_kept():
    async with world(archived=True) as it:
        await it.pass_time(3 * DAY, step=STEP, every="Week", keep=2)
        it.there = False
        it.reviews.update_subject(KEY, None)
        await it.pass_time(40 * DAY, step=STEP)
        assert reasons(it) == {"pricing-2026-w38": "ProductGone"}


async def test_a_review_with_the_product_label_of_another_product_is_not_deleted():
    async with world() as it:
        await it.pass_time(15 * DAY, step=STEP, every="Week", keep=2)
        kept = it.server.objects[path("pricing-2026-w38")]
        of_another = {**kept["spec"], "productRef": {"name": "stock", "uid": "u-2"}}
        meta = kept["metadata"] | {"name": "stock-2026-w38"}
        it.server.keep(DATA_PRODUCT_REVIEWS, {**kept, "metadata": meta, "spec": of_another})
        meta = kept["metadata"] | {"labels": kept["metadata"]["labels"] | {LABEL_PRODUCT: "gone"}}
        it.server.keep(DATA_PRODUCT_REVIEWS, {**kept, "metadata": meta})
        it.reviews.update_subject(Key(NAMESPACE, "stock"), None)
        it.now += DAY

        await it.pass_time(5 * DAY, step=STEP, every="Week", keep=2)
        assert "stock-2026-w38" in it.all(), (
            "it bears the label of a product that has enough others"
        )
        await it.pass_time(9 * DAY, step=STEP, every="Week", keep=50)
        assert "pricing-2026-w38" in it.all(), "its product keeps more by now"


async def test_a_review_that_cannot_be_written_does_not_prevent_writes_of_others():
    async with world() as it:
        await it.pass_time(11 * DAY, step=STEP, every="Week", keep=2)
        it.there = False
        it.reviews.update_subject(KEY, None)
        it.server.refused.add(path("pricing-2026-w38"))
        await it.pass_time(28 * DAY, step=STEP)
        assert list(it.all()) == ["pricing-2026-w38"]
        it.server.refused.clear()
        await it.pass_time(DAY + STEP, step=STEP)
        assert not it.all()


async def test_a_review_signed_since_its_read_is_not_deleted():
    async with world() as it:
        await it.pass_time(9 * DAY, step=STEP, every="Week")
        read = it.all()["pricing-2026-w38"]
        it.sign("pricing-2026-w38", "Owner")

        assert not await ReviewStore(it.server.behind(it.gate)).drop(read)
        assert "pricing-2026-w38" in it.all()


async def test_a_backward_clock_step_delays_no_review_and_closes_no_later_period():
    async with world() as it:
        it.now += 40 * DAY
        await it.pass_time(STEP, step=STEP)
        it.now -= 40 * DAY
        await it.pass_time(2 * DAY, step=STEP)
        assert reasons(it) == {"pricing-2026-09": "", "pricing-2026-10": ""}
        assert it.all()["pricing-2026-09"].status.days


async def test_a_recreated_product_has_its_review_sealed_at_the_end_of_the_period():
    async with world() as it:
        await it.pass_time(3 * DAY, step=STEP)
        it.uid = "0123456789-another"
        it.start()
        await it.pass_time((8 + LATE_DAYS + 2) * DAY, step=STEP)
        assert reasons(it) == {
            "pricing-2026-09": "ProductGone",
            "pricing-2026-09-01234567": "PeriodOver",
            "pricing-2026-10": "",
        }
        uids = [one.spec.product_ref.uid for one in it.all().values()]
        assert uids == ["u-1", it.uid, it.uid]


async def test_each_review_is_sealed_even_after_weeks_without_measurements():
    async with world() as it:
        await it.pass_time(2 * DAY, step=STEP, every="Week")
        it.stand_in.lies[""] = Lie.ERROR_503
        await it.pass_time(28 * DAY, step=DAY, every="Week")
        it.stand_in.lies.clear()
        await it.pass_time(4 * DAY, step=STEP, every="Week")
        found = reasons(it)
        assert list(found) == [f"pricing-2026-w{week}" for week in range(38, 43)]
        assert [why for name, why in found.items() if name < "pricing-2026-w41"] == [
            "PeriodOver"
        ] * 3


async def test_a_changed_time_zone_applies_from_the_next_review_period():
    async with world() as it:
        await it.pass_time(5 * DAY, step=STEP)
        await it.pass_time(12 * DAY, step=STEP, timeZone="America/New_York")
        september, october = it.all().values()
        truth = it.history.recount(ZONE, until=september.spec.period.end)
        assert counted({"": september}) == truth
        assert (september.status.time_zone, october.status.time_zone) == (ZONE, "America/New_York")
