"""Products for `benchmarks.ledger`: their ledgers of a month so far, and their measurements."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from benchmarks.prometheus_stand_in import format_value
from sluicegate.api.product import DataProduct
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.journal import DayCounts, with_day, with_versions
from sluicegate.reviews.periods import local_day
from sluicegate.reviews.store import opened_status
from sluicegate.reviews.subject import ReviewSubject, subject_of
from sluicegate.stats.counts import Count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from benchmarks.prometheus_stand_in import Row
    from sluicegate.api.review import DataProductReviewStatus
    from sluicegate.reviews.periods import Period

NAMESPACES: Final = 50
MARKETS: Final = ("AT", "BE", "ES", "FR", "GB", "IT")
SLOS: Final = ("availability", "latency", "accuracy", "conversion")
BOUNDS: Final = ("0.05", "0.1", "0.25", "0.5", "1.0", "+Inf")
MONTH: Final = datetime(2026, 11, 1, tzinfo=UTC)
TODAY: Final = datetime(2026, 11, 30, tzinfo=UTC)
"""Begin of the measured day: 29 days are in the ledger, the last three not final yet."""


def subject(number: int) -> ReviewSubject:
    """Return one product of four SLOs and six markets, with monthly reviews."""
    digest = f"registry.example/bento@sha256:{number:064x}"
    bento = {"image": digest, "version": "v1", "service": "Pricing"}
    runtime = f"registry.example/runtime@sha256:{0:064x}"
    slos = [
        {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"},
        {"name": "latency", "indicator": {"latency": {"thresholdMilliseconds": 250}},
         "objective": "0.99"},
        {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.9"},
        {"name": "conversion", "indicator": {"events": {"indicator": "conversion"}},
         "objective": "0.9"},
    ]  # fmt: skip
    stable = {
        "image": digest, "version": "v1", "service": "Pricing", "runtimeImage": runtime,
        "revision": f"{number:010x}", "source": "Spec", "promotionTime": "2026-10-01T00:00:00Z",
    }  # fmt: skip
    document = {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"name": f"product-{number}", "namespace": namespace_of(number),
                     "uid": f"{number:08x}-0000-4000-8000-000000000000"},
        "spec": {
            "owner": "group:default/team", "markets": list(MARKETS), "slos": slos,
            "model": {"bento": bento},
            "serving": {"runtimeImage": runtime, "market": {"from": "Header"}},
            "review": {"every": "Month", "startDate": "2026-11-01", "keep": 2},
        },
        "status": {"stable": stable},
    }  # fmt: skip
    reviewed = subject_of(DataProduct.parse(document), Timing())
    assert reviewed is not None
    return reviewed


def namespace_of(number: int) -> str:
    """Return one of fifty namespaces."""
    return f"team-{number % NAMESPACES}"


def month_so_far(reviewed: ReviewSubject, period: Period, now: float) -> DataProductReviewStatus:
    """Return a ledger of all ended days, as the operator's visits leave it."""
    today = local_day(int(now), reviewed.cycle.time_zone)
    readiness = reviewed.readiness(today, now)
    status = opened_status(reviewed, period).model_copy(update={"readiness": readiness})
    status = with_versions(status, reviewed.versions, period)
    markets = {market: Count(40, 1_000) for market in MARKETS}
    counts = DayCounts(
        slos=dict.fromkeys(SLOS, Count(240, 6_000)),
        markets=dict.fromkeys(SLOS, markets),
        answers=dict.fromkeys(BOUNDS, 5_000),
        versions={"v1"},
        blocks=1,
        good=1,
    )
    for day in period.days():
        if day.end <= now:
            status = with_day(status, day, counts, now)
    return status


def rows_of(kind: str, indexes: range, step: int, products: set[tuple[str, str]]) -> Iterator[Row]:
    """Yield the rows of each requested product: the same in each block."""
    for namespace, product in sorted(products):
        product_labels = {"namespace": namespace, "product": product}
        series: list[tuple[dict[str, str], int]] = []
        if kind == "targets":
            facts = ("up", "scrapes", "longest")
            series = [({"version": "v1", "sluicegate_fact": fact}, 10) for fact in facts]
        elif kind in {"requests", "requests_bad"}:
            code = {"http_response_code": "500"} if kind == "requests_bad" else {}
            labels = {"version": "v1", "runner_name": "Pricing"} | code
            series = [(labels, 20 if kind == "requests" else 1)]
        elif kind in {"latency", "histogram"}:
            version = {"version": "v1"} if kind == "latency" else {}
            bounds = ("0.25", "+Inf") if kind == "latency" else BOUNDS
            series = [(version | {"le": bound}, 18) for bound in bounds]
        elif kind in {"labelled", "events"}:
            extra_labels = {"indicator": "conversion"} if kind == "events" else {}
            outcomes = ("good", "bad") if kind == "events" else ("correct", "wrong")
            series = [
                ({"prediction_version": "v1", "outcome": one} | extra_labels, 9) for one in outcomes
            ]
        elif kind == "markets":
            series = [
                ({"prediction_version": "v1", "indicator": indicator, "market": market,
                  "outcome": outcome}, 3)
                for indicator in ("availability", "latency:250", "outcomes", "conversion")
                for market in MARKETS for outcome in ("good", "bad")
            ]  # fmt: skip
        revision = f"{int(product.rpartition('-')[2]):010x}"
        for labels, value in series:
            if "version" in labels:
                labels["revision"] = revision
            if "prediction_version" in labels:
                labels["prediction_revision"] = revision
            yield {"metric": product_labels | labels, "values": same(indexes, step, value)}


@cache
def same(indexes: range, step: int, value: int) -> list[list[float | str]]:
    """Return a row's values, the same in each block: shared by the rows of all products."""
    text = format_value(value)
    return [[index * step, text] for index in indexes]


def queried_products(query: str) -> set[tuple[str, str]]:
    """Return the products that a query names, with their namespaces."""
    numbers = {int(one) for one in re.findall(r"product-(\d+)", query)}
    return {(namespace_of(number), f"product-{number}") for number in numbers}


@asynccontextmanager
async def days_from(url: str) -> AsyncIterator[DayReader]:
    """Yield a reader of days of a Prometheus, like the operator's."""
    async with Prometheus(Endpoint(url=url)) as source:
        yield DayReader(source, Timing())
