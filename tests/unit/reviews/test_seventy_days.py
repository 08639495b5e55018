"""Seventy days through the ledger, on a simulated clock: killed at random, it counts each event once."""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.ledger.journal import LATE_DAYS, digest_of
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.day_reader import DayReader
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.rounds import Reviews
from sluicegate.reviews.store import ReviewStore, parse_review
from sluicegate.reviews.subject import subject_of
from tests.support.api_stand_in import ApiStandIn
from tests.support.product_examples import HEX, changed
from tests.support.recorded_days import DAY, NAMESPACE, PRODUCT, History

pytestmark = pytest.mark.slow
ZONE = "Europe/Paris"
BEGIN = int(datetime(2026, 9, 20, tzinfo=ZoneInfo(ZONE)).timestamp())
"""Seventy days later it is December; on 25 October clocks went back, so that day has 25 hours."""
DAYS = 70
KEY = Key(NAMESPACE, PRODUCT)


class Killed(BaseException):
    """The process is gone; nothing of it runs any more."""


class Executioner:
    """A gate that lets a write through, or ends the process before it."""

    def __init__(self, share: float) -> None:
        self._rng, self.share, self.kills = random.Random(5), share, 0

    async def admit(self) -> None:
        if self._rng.random() < self.share:
            self.kills += 1
            raise Killed


class World:
    """One product, its history, and an operator that is started as often as it is killed."""

    def __init__(self, server, prometheus, *, share=0.0, uid="u-1") -> None:
        self.now = float(BEGIN)
        self.server = server
        self.gate = Executioner(share)
        self.history = History(BEGIN, DAYS, lambda: self.now)
        self.prometheus = prometheus
        self.told: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.there = True
        self.uid = uid
        self.decision = None
        self._parsed: dict[str, DataProduct] = {}
        self.stand_in: PrometheusStandIn | None = None
        self.start()

    def start(self) -> None:
        store = ReviewStore(self.server.behind(self.gate))
        self.reviews = Reviews(
            store,
            wall=lambda: self.now,
            exists=lambda _, uid: self.there and uid == self.uid,
            tell=lambda review, where: self.told.append((review.metadata.name, str(where.state))),
            misconfigured=lambda _, text: self.wrong.append(text),
        )
        self.reviews.begin()
        self.reader = DayReader(self.prometheus, Timing())

    def product(self, **review) -> DataProduct:
        """The product as it is now; parsed once in each state."""
        second = self.now >= BEGIN + self.history.switch * DAY
        state = json.dumps([second, self.decision, self.uid, review])
        if state not in self._parsed:
            self._parsed[state] = self._product(second=second, **review)
        return self._parsed[state]

    def _product(self, *, second, **review) -> DataProduct:
        promoted = BEGIN + (self.history.switch * DAY if second else -10 * DAY)
        version = {
            "image": f"registry.example/a@sha256:{HEX}", "service": "Pricing",
            "runtimeImage": "registry.example/rt:1", "source": "Spec", "revision": "",
        }  # fmt: skip
        stable = version | {
            "version": "v2" if second else "v1",
            "promotionTime": rfc3339(promoted),
        }
        first = version | {"version": "v1", "outcome": "Replaced", "endTime": rfc3339(promoted),
                           "promotionTime": rfc3339(BEGIN - 10 * DAY)}  # fmt: skip
        status = {"stable": stable, "history": [first] if second else []}
        if self.decision is not None:
            status["decision"] = self.decision
        slos = [
            {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"},
            {"name": "latency", "indicator": {"latency": {"thresholdMilliseconds": 250}},
             "objective": "0.5"},
            {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.8"},
        ]  # fmt: skip
        cycle = {"every": "Month", "startDate": "2026-09-20", "timeZone": ZONE} | review
        document = changed(
            {"metadata.name": PRODUCT, "metadata.namespace": NAMESPACE, "metadata.uid": self.uid,
             "spec.slos": slos, "spec.dependsOn": [], "spec.model.evaluation": {},
             "spec.retraining.gate": {}, "spec.markets": ["FR", "AT"], "spec.review": cycle,
             "status": status}
        )  # fmt: skip
        return DataProduct.parse(document)

    async def pass_time(self, seconds: float, *, step: float = 3600.0, **review) -> None:
        """Let time go by, with a reconcile and a round each step; who is killed starts anew."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            try:
                if self.there:
                    self.reviews.know(KEY, subject_of(self.product(**review), Timing()))
                await self.reviews.round(self.reader)
            except Killed:
                self.start()

    def all(self):
        path = DATA_PRODUCT_REVIEWS.path(NAMESPACE)
        found = [parse_review(body) for name, body in self.server.objects.items() if path in name]
        return {one.metadata.name: one for one in found}


@asynccontextmanager
async def world(**options):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ApiStandIn())
        stand_in = await stack.enter_async_context(PrometheusStandIn(lambda *_: ()))
        endpoint = Endpoint(url=stand_in.url)
        prometheus = await stack.enter_async_context(Prometheus(endpoint))
        made = World(server, prometheus, **options)
        stand_in.rows = made.history
        made.stand_in = stand_in
        yield made


def counted(reviews):
    """Bad events and all of each SLO by date, of all reviews together."""
    found = {}
    for review in reviews.values():
        for day in review.status.days:
            assert day.date not in found, "a day is in one review alone"
            found[day.date] = {slo.name: (slo.bad, slo.total) for slo in day.slos}
    return found


@pytest.mark.heavy
@pytest.mark.timeout(600)
async def test_the_ledgers_sums_are_an_independent_recounts_to_the_event():
    async with world(share=0.3) as it:
        await it.pass_time((DAYS + LATE_DAYS + 1) * DAY, step=3 * 3600)
        assert it.gate.kills > 5
        reviews = it.all()
        assert list(reviews) == [f"pricing-2026-{month:02}" for month in (9, 10, 11, 12)]
        truth = it.history.recount(ZONE, until=BEGIN + DAYS * DAY)
        ledger = counted(reviews)
        assert {date: ledger[date] for date in truth} == truth
        assert sum(len(one.status.days) for one in reviews.values()) >= DAYS
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
        versions = [one.version for one in reviews["pricing-2026-10"].status.versions]
        assert versions == ["v1", "v2"]


@pytest.mark.timeout(600)
async def test_a_sealed_review_keeps_its_digest_whatever_comes_after():
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


async def test_labels_that_come_three_days_late_are_in_the_day_they_belong_to():
    async with world() as it:
        await it.pass_time(2 * DAY)
        early = counted(it.all())["2026-09-20"]["accuracy"]
        await it.pass_time(4 * DAY)
        late = counted(it.all())["2026-09-20"]["accuracy"]
        truth = it.history.recount(ZONE, until=it.now)["2026-09-20"]["accuracy"]
        assert early != late == truth


async def test_a_day_costs_one_write_and_a_restart_none():
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


async def test_days_that_prometheus_couldnt_be_asked_about_are_filled_in():
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


async def test_each_decision_is_there_once_and_comes_soon():
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
        assert [one.message for one in review.status.decisions] == ["n=0", "n=1", "n=2"]
        assert {one.version for one in review.status.decisions} == {"v1"}


async def test_a_review_outlives_its_product_and_is_sealed_with_what_it_has():
    async with world() as it:
        await it.pass_time(5 * DAY)
        it.there = False
        it.reviews.know(KEY, None)
        await it.pass_time(2 * DAY)
        (review,) = it.all().values()
        assert review.status.seal_reason == "ProductGone"
        assert len(review.status.days) == 5 - 1
        assert review.status.digest == digest_of(review)


async def test_another_product_of_the_name_has_a_review_of_its_own():
    async with world() as it:
        await it.pass_time(3 * DAY)
        it.uid = "0123456789-another"
        it.start()
        await it.pass_time(2 * DAY)
        first, second = it.all().values()
        assert first.status.seal_reason == "ProductGone"
        assert (first.spec.product_ref.uid, second.spec.product_ref.uid) == ("u-1", it.uid)
        assert second.metadata.name == "pricing-2026-09-01234567"


async def test_no_more_reviews_are_kept_than_that_many_sealed_ones():
    async with world() as it:
        await it.pass_time(20 * DAY, step=6 * 3600, every="Week", keep=2)
        assert sorted(it.all()) == [f"pricing-2026-w{week}" for week in (38, 39, 40)]
        await it.pass_time(3 * DAY, step=6 * 3600, every="Week", keep=2)
        assert sorted(it.all()) == [f"pricing-2026-w{week}" for week in (39, 40, 41)]


async def test_a_time_zone_that_isnt_known_is_told_once_with_what_to_write():
    async with world() as it:
        await it.pass_time(DAY, timeZone="Europe/Lutetia")
        assert len(it.wrong) == 1
        assert "Europe/Lutetia" in it.wrong[0]
        assert "Europe/Paris" in it.wrong[0]
        assert not it.all()


async def test_a_sealed_review_waits_for_its_roles_and_says_so():
    async with world() as it:
        await it.pass_time((11 + LATE_DAYS + 1) * DAY)
        assert it.told == []
        review = it.all()["pricing-2026-09"]
        await it.pass_time(DAY * 8)
        assert ("pricing-2026-09", "Overdue") in it.told
        path = DATA_PRODUCT_REVIEWS.path(NAMESPACE, review.metadata.name)
        body = it.server.objects[path]
        at_now = rfc3339(int(it.now))
        signature = {"username": "acb", "role": "DataProductManager", "verdict": "Object",
                     "note": "not by these numbers", "signTime": at_now}  # fmt: skip
        it.server.keep(
            DATA_PRODUCT_REVIEWS, body | {"spec": body["spec"] | {"signOffs": [signature]}}
        )
        await it.pass_time(7200)
        signed = it.all()["pricing-2026-09"]
        assert str(signed.status.state) == "Reviewed"
        assert signed.status.reviewed_by == ("acb",)
        assert digest_of(signed) == signed.status.digest
        assert it.server.objects[path]["metadata"]["labels"]["sluicegate.dev/review"] == "closed"
