"""The client against a server that misbehaves in every way a real one does."""

import asyncio
import threading
from itertools import count

import pytest
from prometheus_client import REGISTRY

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn, patience, row
from sluicegate.prometheus import retention
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusError,
    PrometheusUnavailable,
    QueryRejected,
)
from sluicegate.prometheus.retention import needed_retention, observe_short_retention
from tests.support.prometheus.rows import Rows
from tests.support.waiting import eventually


def two_blocks(kind: str, indexes: range, step: int):
    return [row({index: index * 1.5 for index in indexes}, step, product="x")]


def ask(prometheus: Prometheus, text: str = "up", **how):
    how = {"reader": Rows} | how
    return prometheus.query_range(text, start=300, end=600, step=300, **how)


async def test_a_range_query_returns_rows():
    async with PrometheusStandIn(two_blocks) as server, Prometheus(Endpoint(url=server.url)) as p:
        assert await ask(p) == [{"metric": {"product": "x"}, "values": [[300, "1.5"], [600, "3"]]}]


async def test_a_long_query_is_sent_in_the_request_body():
    text = "sum(" + "x" * 200_000 + ")"
    async with PrometheusStandIn(two_blocks) as server, Prometheus(Endpoint(url=server.url)) as p:
        await ask(p, text)
    assert server.forms[0]["query"] == text
    assert {"start": "300", "end": "600", "step": "300"}.items() <= server.forms[0].items()


async def test_the_prometheus_client_ignores_proxies_of_the_environment(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with PrometheusStandIn(two_blocks) as server, Prometheus(Endpoint(url=server.url)) as p:
        assert await ask(p)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lie", "error", "says"),
    [
        (Lie.REFUSED, PrometheusUnavailable, "can't be reached"),
        (Lie.ERROR_500, PrometheusUnavailable, "HTTP 500"),
        (Lie.REDIRECT, QueryRejected, "HTTP 302"),
        (Lie.HANGS, PrometheusUnavailable, "time"),
        (Lie.TRICKLES, PrometheusUnavailable, "time-out"),
        (Lie.CUT_OFF, PrometheusUnavailable, "can't be reached"),
        (Lie.PARTIAL, PartialAnswer, "incomplete"),
        (Lie.NOT_JSON, MalformedAnswer, "not JSON"),
        (Lie.ENDLESS, MalformedAnswer, "exceeds"),
    ],
)
async def test_each_faulty_response_raises_a_prometheus_error_within_the_timeout(lie, error, says):
    async with PrometheusStandIn(two_blocks, {"": lie}) as server:
        endpoint = Endpoint(url=server.url, timeout_seconds=patience(lie), max_answer_bytes=2**22)
        async with Prometheus(endpoint) as prometheus, asyncio.timeout(20):
            with pytest.raises(PrometheusError, match=says) as caught:
                await ask(prometheus)
    assert type(caught.value) is error


async def test_a_refused_connection_raises_prometheus_unavailable():
    async with PrometheusStandIn(two_blocks) as server:
        url = server.url
    async with Prometheus(Endpoint(url=url)) as prometheus:
        with pytest.raises(PrometheusUnavailable):
            await ask(prometheus)


@pytest.mark.parametrize(("takes", "times"), [(1, 2), (4.7, 2), (4.95, 1), (6, 1)])
async def test_a_connection_that_fails_at_once_is_retried_once(takes, times):
    """Of ten seconds more than a half has to be left, after a pause of a tenth or two."""
    clock, pauses = count(0, takes).__next__, []
    async with (
        PrometheusStandIn(two_blocks, {"": Lie.REFUSED}) as server,
        Prometheus(
            Endpoint(url=server.url, timeout_seconds=10), clock=clock, sleep_seconds=pauses.append
        ) as prometheus,
    ):
        with pytest.raises(PrometheusUnavailable):
            await ask(prometheus)
    assert server.queries.total() == times
    assert [0.1 <= pause <= 0.2 for pause in pauses] == [True] * (times - 1)


async def test_a_refused_query_is_not_retried():
    async with (
        PrometheusStandIn(two_blocks, {"": Lie.FORBIDDEN_403}) as server,
        Prometheus(Endpoint(url=server.url)) as prometheus,
    ):
        with pytest.raises(QueryRejected):
            await ask(prometheus)
    assert server.queries.total() == 1


async def test_a_rotated_token_is_read_again(tmp_path):
    token = tmp_path / "token"
    async with (
        PrometheusStandIn(two_blocks) as server,
        Prometheus(Endpoint(url=server.url, token_file=token)) as prometheus,
    ):
        for text in ("first\n", "second\n"):
            token.write_text(text, encoding="utf-8")
            await ask(prometheus)
    assert server.tokens == ["Bearer first", "Bearer second"]


def test_an_endpoint_may_have_a_concurrency_of_one_and_a_timeout_below_one_second():
    endpoint = Endpoint(url="http://x", timeout_seconds=0.5, connect_seconds=0.5, concurrency=1)
    assert endpoint.concurrency == 1


@pytest.mark.parametrize(
    "limit", [{"timeout_seconds": 0}, {"connect_seconds": 0}, {"concurrency": 0}]
)
def test_an_endpoint_without_any_concurrency_or_timeout_is_refused(limit):
    with pytest.raises(ValueError, match=f"{next(iter(limit))}=0"):
        Endpoint(url="http://prometheus:9090", **limit)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", ""])
def test_a_prometheus_url_without_http_or_https_is_refused(url):
    with pytest.raises(ValueError, match="must start with http"):
        Endpoint(url=url)


async def test_a_missing_token_file_is_an_unavailable_prometheus_and_is_named(tmp_path):
    endpoint = Endpoint(url="http://127.0.0.1:9", token_file=tmp_path / "gone")
    async with Prometheus(endpoint) as prometheus:
        with pytest.raises(PrometheusUnavailable, match="gone"):
            await ask(prometheus)


@pytest.mark.parametrize(("urgent", "allowed"), [(6, 3), (0, 2)])
async def test_at_most_the_allowed_number_of_queries_run_concurrently(urgent, allowed):
    under_way, most = 0, 0
    full = asyncio.Event()

    class Slow(PrometheusStandIn):
        async def _answer(self, request):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if most == allowed:
                full.set()
            await full.wait()
            await asyncio.sleep(0.02)  # in which one too many would come
            under_way -= 1
            return await super()._answer(request)

    async with (
        Slow(two_blocks) as server,
        Prometheus(Endpoint(url=server.url, concurrency=3)) as prometheus,
    ):
        await asyncio.gather(*(ask(prometheus, urgent=number < urgent) for number in range(12)))
    assert most == allowed, "the last place is for the urgent"


async def test_an_urgent_response_is_parsed_before_others():
    reading, finish = threading.Event(), threading.Event()

    class Slow(Rows):
        def take(self, row):
            reading.set()
            finish.wait(20)
            super().take(row)

    async with (
        asyncio.timeout(20),
        PrometheusStandIn(two_blocks) as server,
        Prometheus(Endpoint(url=server.url)) as prometheus,
    ):
        others = [asyncio.create_task(ask(prometheus, reader=Slow)) for _ in range(5)]
        await asyncio.to_thread(reading.wait)
        rows = await ask(prometheus, urgent=True)
        assert len(rows) == 1
        assert not any(other.done() for other in others)
        finish.set()
        assert await asyncio.gather(*others) == [rows] * 5


async def test_with_a_concurrency_of_one_each_kind_of_query_runs():
    async with (
        asyncio.timeout(20),
        PrometheusStandIn(two_blocks) as server,
        Prometheus(Endpoint(url=server.url, concurrency=1)) as prometheus,
    ):
        for how in ({}, {"own_of": "a"}, {"urgent": True}):
            assert await ask(prometheus, **how)


async def test_a_product_query_is_read_in_its_turn_beside_canary_queries():
    turns = []
    async with (
        PrometheusStandIn(two_blocks) as server,
        Prometheus(Endpoint(url=server.url)) as prometheus,
    ):

        class Looking(Rows):
            def take(self, row):
                turns.append((prometheus._turn.locked(), prometheus._urgent_turn.locked()))

        for how in ({"own_of": "a"}, {"urgent": True, "own_of": "a"}, {"urgent": True}, {}):
            await ask(prometheus, reader=Looking, **how)
    assert turns == [(True, False), (True, False), (False, True), (True, False)]


@pytest.mark.parametrize(
    ("seconds", "block", "says"),
    [
        (14 * 86_400, 300, "14.0 days"),
        (15 * 86_400, 300, ""),
        (15 * 86_400, 60, ""),
        (15 * 86_400, 600, "to 29d or more"),
        (29 * 86_400, 600, ""),
        (None, 300, ""),
    ],
)
async def test_a_retention_shorter_than_the_evidence_produces_a_warning(seconds, block, says):
    def limit(kind: str, indexes: range, step: int):
        return [] if seconds is None else [row({indexes[0]: seconds}, step)]

    async with PrometheusStandIn(limit) as server, Prometheus(Endpoint(url=server.url)) as p:
        warning = await observe_short_retention(p, 1_000_000.0, needed_retention(block))
    assert says in warning
    assert bool(says) == bool(warning)


async def test_a_short_retention_is_logged_and_exported_and_an_outage_does_not_stop_the_check(
    monkeypatch, caplog
):
    monkeypatch.setattr(retention, "RETRY_SECONDS", 0.01)
    caplog.set_level("INFO")

    def limit(kind: str, indexes: range, step: int):
        return [row({indexes[0]: 7 * 86_400}, step)]

    server = PrometheusStandIn(limit, {"": Lie.ERROR_503})
    async with server, Prometheus(Endpoint(url=server.url)) as prometheus:
        checking = asyncio.create_task(retention.keep_checking_retention(prometheus))
        await asyncio.to_thread(eventually, lambda: "isn't known" in caplog.text)
        server.lies.clear()
        await asyncio.to_thread(eventually, lambda: "for 7.0 days" in caplog.text)
        assert REGISTRY.get_sample_value("sluicegate_prometheus_retention_short") == 1
        assert not checking.done()
        checking.cancel()
