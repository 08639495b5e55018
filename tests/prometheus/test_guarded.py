"""A Prometheus behind TLS of a private CA, a bearer token and a tenant, reached as the chart sets it up.

The reverse proxy demands all three, and an error names the one that is missing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.cli.operations.doctor_prometheus import PrometheusReader, prometheus_findings
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target, VersionKey
from sluicegate.prometheus.timing import Timing
from sluicegate.settings import parse_settings
from sluicegate.wiring import endpoint_of
from tests.support.apiserver.chart import environment_of, rendered, volumes_of
from tests.support.processes.http_server import answering
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.guarded import TENANT, TOKEN, Guard, forward_proxy, guarded
from tests.support.prometheus.server import prometheus, rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sluicegate.prometheus.endpoint import Endpoint
    from sluicegate.prometheus.targets import Readings

pytestmark = pytest.mark.timeout(300)

BLOCK = 5
LABELS = {"namespace": "shop", "product": "pricing", "version": "v1", "revision": "a1", "pod": "p-0"}  # fmt: skip
VERSION = VersionKey("shop", "pricing", "v1")
TARGET = Target(
    key=ProductKey("shop", "pricing"),
    versions=("v1",),
    slos={"availability": Indicator(availability={})},
    block_seconds=BLOCK,
    service="Pricing",
)


@pytest.fixture(scope="module")
def server(prometheus_program: Path, tmp_path_factory) -> Iterator[str]:
    """Yield a real Prometheus that has scraped a product for some blocks."""
    served = [0]

    def page(_: bytes) -> str:
        served[0] += 10
        labels = 'endpoint="/price",http_response_code="200",service_name="Pricing"'
        return f"bentoml_service_request_total{{{labels}}} {served[0]}\n"

    with answering(page) as address:
        job = {
            "job_name": "products", "scrape_interval": "1s", "scrape_timeout": "1s",
            "static_configs": [{"targets": [address], "labels": LABELS}],
        }  # fmt: skip
        folder = tmp_path_factory.mktemp("prometheus")
        with prometheus(prometheus_program, folder, {"scrape_configs": [job]}) as url:
            counted = "count_over_time(bentoml_service_request_total[1m]) > 12"
            eventually(lambda: rows(url, counted), seconds=90, what="two blocks of scrapes")
            yield url


@pytest.fixture
def guard(server: str, tmp_path: Path) -> Iterator[Guard]:
    with guarded(server, tmp_path) as started:
        yield started


def chart_endpoint(guard: Guard, folder: Path) -> Endpoint:
    """Return the endpoint by the settings that the chart renders, with its mounts as folders on this disk."""
    objects = rendered(
        "--set", f"settings.prometheusUrl={guard.url},networkPolicy.enabled=false",
        "--set", "prometheus.token.secretName=token,prometheus.ca.configMapName=ca",
        "--set", f"prometheus.tenant={TENANT},prometheus.headers.secretName=headers",
    )  # fmt: skip
    settings = parse_settings(environment_of("operator", objects))
    mounts = volumes_of("operator", objects)
    contents = {
        "token": TOKEN,
        "ca": guard.authority.read_text(encoding="utf-8"),
        "headers": "X-Team: platform\n",
    }
    files = {}
    for name in ("ca", "token", "headers"):
        mounted = getattr(settings, f"prometheus_{name}_file")
        (place,) = (path for path in mounts if mounted.is_relative_to(path))
        volume = mounts[place]
        source = volume.get("secret", volume.get("configMap"))
        assert name in {source.get("secretName"), source.get("name")}
        assert [item["path"] for item in source["items"]] == [mounted.name]
        files[name] = folder / f"{name}-file"
        files[name].write_text(contents[name], encoding="utf-8")
    return replace(
        endpoint_of(settings),
        ca_file=files["ca"],
        token_file=files["token"],
        headers_file=files["headers"],
    )


async def blocks(endpoint: Endpoint, server: str) -> tuple[Readings, ...]:
    (now,) = (float(row["value"][0]) for row in rows(server, "vector(1)"))
    timing = Timing(scrape_seconds=1, settle_seconds=0)
    async with Prometheus(endpoint) as client:
        reader = BlockReader(client, EvaluationSettings(timing=timing))
        return await fetch_all(reader, [TARGET], now)


async def test_the_operator_reads_its_blocks_through_tls_token_and_tenant(guard, server, tmp_path):
    readings = await blocks(chart_endpoint(guard, tmp_path), server)

    assert all(reading.complete for reading in readings), [reading.problem for reading in readings]
    counts = [
        reading.blocks[SeriesKey(*VERSION, "availability")]
        for reading in readings
        if reading.blocks
    ]
    assert counts
    assert guard.passed
    for headers in guard.passed:
        assert headers["X-Scope-OrgID"] == TENANT
        assert headers["X-Team"] == "platform"


async def test_the_operator_reads_its_blocks_through_a_proxy_that_is_set_and_no_other(
    guard, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no server listens there
    targets: list[str] = []
    with forward_proxy(targets) as proxy:
        endpoint = replace(chart_endpoint(guard, tmp_path), proxy=proxy)
        readings = await blocks(endpoint, server)
    assert all(reading.complete for reading in readings), [reading.problem for reading in readings]
    assert set(targets) == {guard.url.removeprefix("https://")}


MISSING = {
    "without the CA": ({"ca_file": None}, "SLUICEGATE_PROMETHEUS_CA_FILE"),
    "without the token": ({"token_file": None}, "SLUICEGATE_PROMETHEUS_TOKEN_FILE"),
    "without the tenant": ({"tenant": ""}, "SLUICEGATE_PROMETHEUS_TENANT"),
    "with another tenant": ({"tenant": "stock"}, "does not accept the tenant stock"),
    "through a proxy that does not answer": (
        {"proxy": "http://user:word@127.0.0.1:9"}, "the proxy http://127.0.0.1:9",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), MISSING.values(), ids=MISSING)
async def test_an_error_names_the_missing_setting_for_the_operator_and_for_doctor(
    guard, server, tmp_path, changed, words
):
    endpoint = replace(chart_endpoint(guard, tmp_path), **changed)

    problems = {block.problem for block in await blocks(endpoint, server)}

    assert problems
    for problem in problems:
        assert words in problem
        assert f"Prometheus at {guard.url}" in problem
        assert "word" not in problem.replace(words, "")
        assert " object at " not in problem
    with PrometheusReader(endpoint) as reader:
        (finding,) = await asyncio.to_thread(
            lambda: list(prometheus_findings(reader, parse_settings({})))
        )
    assert words in finding.line()
    assert not guard.passed


async def test_a_token_file_that_is_not_mounted_is_named(guard, server, tmp_path):
    endpoint = replace(chart_endpoint(guard, tmp_path), token_file=tmp_path / "none")

    (problem,) = {block.problem for block in await blocks(endpoint, server)}

    assert f"SLUICEGATE_PROMETHEUS_TOKEN_FILE ({tmp_path / 'none'}) can't be read" in problem
