"""What products did in days that follow one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.prometheus_stand_in import PrometheusStandIn, Row, patience, row
from sluicegate.api.product import DataProduct
from sluicegate.measurement.store import target_of
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.day_reader import DayReader
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.timing import Timing
from tests.support.decisions.scenarios import AVAILABILITY, product
from tests.support.prometheus.measured_world import ProductBlocks, World

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400
BEGIN = 20_000 * DAY
STATUS = {
    "stable": {
        "version": "v1",
        "image": "registry.example/m@sha256:a",
        "runtimeImage": "",
        "revision": "a",
        "source": "Spec",
        "promotionTime": "2020-01-01T00:00:00Z",
    }
}


def rows(kind: str, indexes: range, step: int) -> Iterator[Row]:
    """One request a block of a product, and a histogram of one answer an hour."""
    if kind == "histogram":
        labels = {"namespace": "catalog", "product": "search", "le": "+Inf"}
        yield row(dict.fromkeys(indexes, 1.0), step, **labels)
    else:
        yield from World([ProductBlocks(product="search", requests=1)])(kind, indexes, step)


async def test_an_hour_at_the_border_of_two_days_counts_in_one_of_them():
    target = target_of(DataProduct.parse({**product(AVAILABILITY), "status": STATUS}), Timing())
    assert target is not None
    spans = [(BEGIN, BEGIN + DAY), (BEGIN + DAY, BEGIN + 2 * DAY)]
    async with (
        PrometheusStandIn(rows, {}) as server,
        Prometheus(Endpoint(url=server.url, timeout_seconds=patience())) as prometheus,
    ):
        found = await DayReader(prometheus, Timing()).read([target], spans)
    assert [found[target.key, span].answers for span in spans] == [{"+Inf": 24}] * 2
