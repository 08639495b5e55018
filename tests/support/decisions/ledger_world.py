"""One product, seventy days of it, and the operator's ledgers on a simulated clock."""

from __future__ import annotations

import json
import random
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from benchmarks.prometheus_stand_in import PrometheusStandIn
from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.schedule import Reviews
from sluicegate.reviews.store import ReviewStore, parse_review
from sluicegate.reviews.subject import subject_of
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.decisions.recorded_days import DAY, NAMESPACE, PRODUCT, History
from tests.support.samples.product_examples import HEX, changed

if TYPE_CHECKING:
    from sluicegate.api.review import DataProductReview

ZONE = "Europe/Paris"
BEGIN = int(datetime(2026, 9, 20, tzinfo=ZoneInfo(ZONE)).timestamp())
"""Seventy days later it is December; on 25 October summer time ends, so that day has 25 hours."""
DAYS = 70
KEY = Key(NAMESPACE, PRODUCT)


class Killed(BaseException):
    """The process has ended."""


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

    def __init__(self, server, prometheus, *, share=0.0, uid="u-1", archived=False) -> None:
        self.archived = archived
        self.now = float(BEGIN)
        self.server = server
        self.gate = Executioner(share)
        self.history = History(BEGIN, DAYS, lambda: self.now)
        self.prometheus = prometheus
        self.told: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.woken: list[Key] = []
        self.there = True
        self.uid = uid
        self.serving: dict[str, object] = {}
        self.decision = None
        self.trained: dict[str, object] | None = None
        self.conditions: list[dict[str, object]] = []
        self.missed: dict[str, str] = {}
        """Markets that miss accuracy, each with the time since when."""
        self._parsed: dict[str, DataProduct] = {}
        self.stand_in: PrometheusStandIn | None = None
        self.start()

    def start(self) -> None:
        store = ReviewStore(self.server.behind(self.gate), archived=self.archived)
        self.reviews = Reviews(
            store,
            wall_clock=lambda: self.now,
            product_exists=lambda _, uid: self.there and uid == self.uid,
            emit_state=lambda review, where: self.told.append(
                (review.metadata.name, str(where.state))
            ),
            emit_misconfigured=lambda _, text: self.wrong.append(text),
            requeue=self.woken.append,
        )
        self.reviews.begin()
        self.reader = DayReader(self.prometheus, Timing())

    def product(self, **review) -> DataProduct:
        """Return the product as it is now; parsed once in each state."""
        second = self.now >= BEGIN + self.history.switch * DAY
        versions = [
            second, self.decision, self.trained, self.uid, self.conditions, self.serving, self.missed, review,
        ]  # fmt: skip
        state = json.dumps(versions)
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
        if self.trained is not None:
            status["retraining"] = {"lastJob": self.trained}
        if self.conditions:
            status["conditions"] = self.conditions
        if self.missed:
            status["engine"] = {"slos": {"accuracy": {"missedMarkets": self.missed}}}
            named = [
                {"market": market, "state": "Missed", "missedStartTime": since}
                for market, since in self.missed.items()
            ]
            status["slos"] = [{"name": "accuracy", "state": "Met", "markets": named}]
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
            | {f"spec.serving.{name}": value for name, value in self.serving.items()}
        )  # fmt: skip
        return DataProduct.parse(document)

    async def pass_time(self, seconds: float, *, step: float = 3600.0, **review) -> None:
        """Let time go by, with a reconcile and a round each step; a killed replica restarts."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            try:
                if self.there:
                    self.reviews.update_subject(KEY, subject_of(self.product(**review), Timing()))
                await self.reviews.run_once(self.reader)
            except Killed:
                self.start()

    def sign(self, name: str, role: str, **fields: str) -> None:
        """Sign a review as a user now."""
        body = self.server.objects[DATA_PRODUCT_REVIEWS.path(NAMESPACE, name)]
        signature = {"username": "acb", "role": role, "verdict": "Agree", "note": "",
                     "signTime": rfc3339(int(self.now))} | fields  # fmt: skip
        signed = {**body["spec"], "signOffs": [*body["spec"].get("signOffs", ()), signature]}
        self.server.keep(DATA_PRODUCT_REVIEWS, {**body, "spec": signed})

    def all(self, *, readable: bool = False) -> dict[str, DataProductReview]:
        """Return the reviews by name; of those that can't be read none, or an AssertionError."""
        path = DATA_PRODUCT_REVIEWS.path(NAMESPACE)
        reviews = [parse_review(body) for name, body in self.server.objects.items() if path in name]
        assert readable or None not in reviews
        return {review.metadata.name: review for review in reviews if review is not None}


@asynccontextmanager
async def world(**options):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ApiStandIn())
        stand_in = await stack.enter_async_context(PrometheusStandIn(lambda *_: ()))
        endpoint = Endpoint(url=stand_in.url)
        prometheus = await stack.enter_async_context(Prometheus(endpoint))
        new = World(server, prometheus, **options)
        stand_in.rows = new.history
        new.stand_in = stand_in
        yield new


def counted(reviews):
    """Return bad events and all of each SLO by date, of all reviews together."""
    counts = {}
    for review in reviews.values():
        for day in review.status.days:
            assert day.date not in counts, "a day is in one review alone"
            counts[day.date] = {slo.name: (slo.bad, slo.total) for slo in day.slos}
    return counts
