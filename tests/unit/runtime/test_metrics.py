"""What the operator exposes: every family documented, every label bounded, by real scrapes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn, row
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.measurement.store import BlockLateness
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.targets import Readings
from sluicegate.prometheus.timing import Timing
from sluicegate.runtime.clock import boot_seconds
from sluicegate.runtime.health import Health, LagMonitor, Limits
from sluicegate.runtime.http_server import Server
from sluicegate.runtime.watch_liveness import Watches
from tests.support.prometheus.exposed_series import families
from tests.support.prometheus.rows import Rows

PAGES = [
    Path(__file__).parents[3] / "docs" / name for name in ("operations.md", "notifications.md")
]
BOUNDED = {
    "controller": "one",
    "name": "one",
    "result": "words of ours",
    "code": "HTTP statuses",
    "method": "HTTP methods",
    "verb": "words of ours",
    "resource": "kinds that are watched or written",
    "cause": "words of ours",
    "state": "an enumeration of the API",
    "priority": "an enumeration of the API",
    "phase": "an enumeration of the API",
    "reason": "an enumeration of the API",
    "remedy": "an enumeration",
    "sink": "the messenger's configuration",
    "urgency": "an enumeration",
    "type": "the catalogue of messages",
}
"""Labels whose values don't grow with the number of products, and why."""
OF_A_PRODUCT = {"owner", "priority", "reason", "version"}
"""A product has one of each at a time: the series are written again for each scrape."""
BY_PRODUCT = {"namespace", "product", "slo", "market"} | OF_A_PRODUCT
"""An SLO has a series for each market that misses it, at most one more than `spec.markets` has."""


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(
        r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([a-z, ]*)\|",
        "".join(page.read_text() for page in PAGES),
        re.MULTILINE,
    )
    return {
        name: (kind, frozenset(label for label in re.split(r"[ ,]+", labels) if label))
        for name, kind, labels in rows
    }


@pytest.mark.slow
def test_each_metric_family_is_documented_with_exactly_its_labels():
    assert documented() == families()


def test_no_metric_label_grows_with_the_number_of_products():
    """BY_PRODUCT is bounded by SLUICEGATE_PRODUCT_METRICS; BOUNDED says what bounds the others."""
    unbounded = {
        name: more
        for name, (_, labels) in families().items()
        if (
            more := labels
            - (BY_PRODUCT if name.startswith("sluicegate_product_") else BOUNDED.keys())
        )
    }
    assert unbounded == {}


@pytest.mark.parametrize(
    "name",
    [
        "controller_runtime_reconcile_total",
        "controller_runtime_reconcile_errors_total",
        "controller_runtime_terminal_reconcile_errors_total",
        "controller_runtime_reconcile_panics_total",
        "controller_runtime_reconcile_time_seconds",
        "controller_runtime_active_workers",
        "controller_runtime_max_concurrent_reconciles",
        "workqueue_depth",
        "workqueue_adds_total",
        "workqueue_retries_total",
        "workqueue_queue_duration_seconds",
        "workqueue_work_duration_seconds",
        "workqueue_unfinished_work_seconds",
        "workqueue_longest_running_processor_seconds",
        "rest_client_requests_total",
        "leader_election_master_status",
    ],
)
def test_the_metrics_of_common_controller_dashboards_exist(name):
    assert name in families()


# ---- real scrapes ---------------------------------------------------------------------------


async def scrape(before_scrape=lambda: None) -> dict[str, float]:
    """Return each sample of /metrics by its name and labels, from a real server."""
    watches = Watches([DATA_PRODUCTS], boot_seconds, lambda _: None)
    primed = asyncio.Event()
    health = Health(LagMonitor(), watches, Limits(), api_silence=lambda: 0.0, is_primed=primed)
    server = Server(health, before_scrape, host="127.0.0.1", port=0)
    port = await server.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            text = await answer.text()
    finally:
        await server.stop()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def test_a_kind_that_is_no_longer_served_has_no_watch_age_metric():
    watches = Watches([DATA_PRODUCTS], boot_seconds, lambda _: None)
    age = f'sluicegate_watch_age_seconds{{resource="{DATA_PRODUCTS.qualified}"}}'
    watches.mark_begun([DATA_PRODUCTS])
    assert age in await scrape(watches.export)
    watches.mark_begun([])
    assert age not in await scrape(watches.export)


async def test_the_age_of_a_watch_without_events_counts_from_its_start():
    now = [1000.0]
    watches = Watches([DATA_PRODUCTS], lambda: now[0], lambda _: None)
    watches.mark_begun([DATA_PRODUCTS])
    now[0] += 500
    watches.mark_begun([DATA_PRODUCTS])
    assert watches.ages() == {DATA_PRODUCTS: 500.0}


@pytest.mark.parametrize(
    ("lie", "result"),
    [
        (None, "answered"),
        (Lie.ERROR_503, "unavailable"),
        (Lie.FORBIDDEN_403, "rejected"),
        (Lie.PARTIAL, "partial"),
        (Lie.NOT_JSON, "malformed"),
    ],
)
async def test_queries_are_counted_by_their_result(lie, result):
    line = f'sluicegate_prometheus_queries_total{{result="{result}"}}'
    before = (await scrape())[line]
    async with (
        PrometheusStandIn(lambda _, indexes, step: [row({indexes[0]: 1}, step)]) as stand_in,
        Prometheus(Endpoint(url=stand_in.url, timeout_seconds=5)) as prometheus,
    ):
        stand_in.lies = {} if lie is None else {"": lie}
        try:
            await prometheus.query_range("up", start=60, end=60, step=60, reader=Rows)
        except PrometheusError:
            assert lie is not None
    after = await scrape()
    assert after[line] == before + 1
    assert after["sluicegate_prometheus_query_duration_seconds_count"] > 0


async def test_a_cancelled_query_is_counted_by_its_result():
    line = 'sluicegate_prometheus_queries_total{result="abandoned"}'
    before = (await scrape())[line]
    asked = asyncio.Event()

    def answer(*_: object) -> list:
        asked.set()
        return []

    async with (
        PrometheusStandIn(answer, lies={"": Lie.HANGS}) as stand_in,
        Prometheus(Endpoint(url=stand_in.url, timeout_seconds=2)) as prometheus,
    ):
        asking = asyncio.ensure_future(
            prometheus.query_range("up", start=60, end=60, step=60, reader=Rows)
        )
        await asked.wait()
        asking.cancel()
        await asyncio.wait([asking])
    assert (await scrape())[line] == before + 1


async def test_a_scrape_has_no_created_series():
    samples = await scrape()
    assert not [name for name in samples if "_created" in name]


# ---- lateness -------------------------------------------------------------------------------

TIMING = Timing(scrape_seconds=30, settle_seconds=30)


def readings(last: int, *, complete: bool = True) -> Readings:
    return Readings(
        block_seconds=300, canary=False, first=last, last=last, blocks={}, means={}, facts={},
        gateway={}, complete=complete, problem="" if complete else "away",
    )  # fmt: skip


def test_the_lateness_of_measurements_counts_from_the_time_the_next_block_is_readable():
    block_lateness = BlockLateness(TIMING)
    now = 300 * 1000 + 60.0  # block 1000 may be read from now on
    assert block_lateness.lateness(now) == 0
    block_lateness.expect([300], now)
    block_lateness.record(readings(1000))
    assert block_lateness.lateness(now + 300) == 0
    assert block_lateness.lateness(now + 310) == 10


def test_an_incomplete_block_is_no_late_measurement():
    block_lateness = BlockLateness(TIMING)
    now = 300 * 1000 + 60.0
    block_lateness.expect([300], now)
    block_lateness.record(readings(1000, complete=False))
    assert block_lateness.lateness(now + 100) == 100


def test_an_unused_block_length_and_a_future_block_are_never_late():
    block_lateness = BlockLateness(TIMING)
    now = 300 * 1000 + 60.0
    block_lateness.expect([300], now)
    block_lateness.expect([], now)
    assert block_lateness.lateness(now + 9999) == 0
    block_lateness.expect([300], now)
    block_lateness.record(readings(1000))
    earlier = now - 3000  # the clock was set back
    block_lateness.expect([300], earlier)
    assert block_lateness.lateness(earlier + 310) == 10
