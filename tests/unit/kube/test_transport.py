"""What an answer of the API server changes for the requests that follow it."""

from __future__ import annotations

import asyncio
import json
from math import inf

import aiohttp
import pytest
from prometheus_client import REGISTRY

from benchmarks.virtual.event_loop import virtual_loop, virtually
from sluicegate.kube import requests
from sluicegate.kube.backpressure import Backpressure
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import (
    KubeError,
    NotFound,
    TimedOut,
    TooManyRequests,
    Transient,
    Unauthorized,
    WriteFenced,
    from_response,
)
from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.kube.transport import REQUEST_TIME, Transport
from sluicegate.prometheus.metrics import QUERY_TIME
from sluicegate.runtime.write_fence import OpenGate
from tests.support.manual_clock import ManualClock

READ = requests.get_request(CONFIG_MAPS, Key("shop", "a"))
WRITE = requests.patch_request(CONFIG_MAPS, Key("shop", "a"), {}, field_manager="test")
DATE = "Sun, 29 Nov 2026 08:00:00 GMT"


class Server:
    """Plays the API server: each answer is a status and its headers, or an error of the connection."""

    def __init__(self, *answers) -> None:
        self.answers, self.asked = list(answers), 0

    async def exchange(self, request, most=None):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return status, b'{"kind": "X"}', headers

    async def close(self) -> None:
        """Nothing is open."""


async def test_the_server_time_advances_with_the_monotonic_clock():
    clock = ManualClock()
    transport = Transport(Server(200, (404, {"Date": DATE}), 200), clock=clock)
    assert transport.server_time() is None
    await transport.send(READ)
    assert transport.server_time() is None
    with pytest.raises(NotFound):
        await transport.send(READ)
    clock.now += 7
    assert transport.server_time() == 1_795_939_200 + 7
    await transport.send(READ)
    assert transport.server_time() == 1_795_939_200 + 7


@pytest.mark.parametrize(
    ("status", "heard"),
    [
        (200, True),
        (404, True),
        (409, True),
        (422, True),
        (401, False),
        (429, False),
        (500, False),
        (503, False),
    ],
)
async def test_a_successful_response_ends_the_silence_of_the_api_server(status, heard):
    clock, silences = ManualClock(), []
    server = Server(200, status, status, 200)
    transport = Transport(server, clock=clock, on_return=silences.append)
    assert transport.silence() == inf
    await transport.send(READ)
    clock.now += 5
    if status == 200:
        await transport.send(READ)
    else:
        with pytest.raises(KubeError):
            await transport.send(READ)
    assert transport.silence() == (0 if heard else 5)
    assert silences == ([inf, 5] if heard else [inf])


@pytest.mark.parametrize(
    ("status", "taken"), [(199, False), (200, True), (299, True), (300, False)]
)
async def test_only_a_2xx_response_counts_as_successful(status, taken):
    transport = Transport(Server(status))
    if taken:
        assert await transport.send(READ) == {"kind": "X"}
    else:
        with pytest.raises(KubeError, match=f"{status}"):
            await transport.send(READ)


async def test_no_request_is_sent_before_the_retry_after_of_a_429_ends():
    clock = ManualClock()
    server = Server((429, {"Retry-After": "20"}), 200)
    transport = Transport(server, clock=clock)
    with pytest.raises(TooManyRequests):
        await transport.send(READ)
    clock.now += 15
    with pytest.raises(TooManyRequests, match="not sent") as caught:
        await transport.send(READ)
    assert (caught.value.retry_after, caught.value.status, server.asked) == (5, 429, 1)
    clock.now += 5
    assert await transport.send(READ) == {"kind": "X"}


async def test_a_read_with_a_refused_token_is_retried_once_and_a_write_is_not():
    server = Server(401, 200, 401, 401, 401)
    transport = Transport(server)
    assert await transport.send(READ) == {"kind": "X"}
    for request, times in ((WRITE, 3), (READ, 5)):
        with pytest.raises(Unauthorized):
            await transport.send(request)
        assert server.asked == times


@virtually
async def test_a_request_without_a_response_times_out():
    class Hanging(Server):
        async def exchange(self, request, most=None):
            await asyncio.Event().wait()

    for request, seconds in ((READ, 10), (WRITE, 3)):
        begun = virtual_loop().time()
        with pytest.raises(TimedOut, match=f"no answer in {seconds}.0 s"):
            await Transport(Hanging()).send(request)
        assert virtual_loop().time() - begun == pytest.approx(seconds, abs=0.01)


def counted(**labels: str) -> float:
    return REGISTRY.get_sample_value("rest_client_requests_total", labels) or 0.0


async def test_each_request_is_counted_by_its_status():
    server = Server(200, OSError("broken"), aiohttp.ClientError("gone"))
    transport = Transport(server)
    before = [counted(code=code, method="GET", verb="get") for code in ("200", "<error>")]
    await transport.send(READ)
    for error in ("OSError: broken", "ClientError: gone"):
        with pytest.raises(Transient, match=error) as caught:
            await transport.send(READ)
        assert (caught.value.status, caught.value.reason) == (0, "")
    after = [counted(code=code, method="GET", verb="get") for code in ("200", "<error>")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 2]


@pytest.mark.parametrize(
    ("metric", "bounds"),
    [
        (REQUEST_TIME.labels(verb="get"), [0.005, 0.025, 0.1, 0.25, 0.5, 1, 3, 10, 30, inf]),
        (QUERY_TIME, [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, inf]),
    ],
)
def test_the_request_duration_histogram_covers_the_longest_timeout(metric, bounds):
    (found,) = metric.collect()
    assert (
        sorted({float(sample.labels["le"]) for sample in found.samples if "le" in sample.labels})
        == bounds
    )


def test_the_longest_requested_pause_applies():
    clock = ManualClock()
    backpressure = Backpressure(clock)
    assert backpressure.left == 0
    for seconds, left in ((7, 7), (3, 7), (300, 300)):
        backpressure.pause_for(seconds)
        assert backpressure.left == left
    clock.now += 299
    assert backpressure.left == 1
    clock.now += 2
    assert backpressure.left == 0


@virtually
async def test_a_waiting_request_continues_after_the_last_requested_pause():
    backpressure = Backpressure(virtual_loop().time)
    backpressure.pause_for(5)
    waiting = asyncio.create_task(backpressure.wait())
    await asyncio.sleep(3)
    backpressure.pause_for(10)
    await waiting
    assert virtual_loop().time() == pytest.approx(13, abs=0.01)
    await backpressure.wait()
    assert virtual_loop().time() == pytest.approx(13, abs=0.01)


@virtually
async def test_reads_and_writes_wait_for_the_end_of_a_requested_pause():
    server = Server((429, {"Retry-After": "20"}), 200, 200)
    transport = Transport(server, clock=virtual_loop().time)
    api = KubeApi(transport, OpenGate(), field_manager="test")
    key = Key("shop", "a")
    with pytest.raises(TooManyRequests):
        await api.get(CONFIG_MAPS, key)
    await asyncio.gather(api.get(CONFIG_MAPS, key), api.patch(CONFIG_MAPS, key, {}))
    assert virtual_loop().time() == pytest.approx(20, abs=0.01)
    assert server.asked == 3


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, {"reason": "NotFound", "message": "no a"}, "get /x: 404 NotFound: no a"),
        (502, "<html>", "get /x: 502: <html>"),
        (429, "Too many requests, try later.\n", "get /x: 429: Too many requests, try later."),
        (502, "x" * 600, "get /x: 502: " + "x" * 500),
        (500, [], "get /x: 500: []"),
        (500, {"message": None, "reason": None}, 'get /x: 500: {"message": null, "reason": null}'),
    ],
)
def test_an_error_message_has_the_request_and_the_response(status, body, text):
    sent = body if isinstance(body, str) else json.dumps(body)
    error = from_response("get /x", status, sent.encode(), {})
    assert str(error) == text
    assert error.status == status
    assert error.reason == ("NotFound" if status == 404 else "")


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "-3"}, {}, 0), ({"Retry-After": "2.5"}, {"retryAfterSeconds": 9}, 2.5),
        ({"Retry-After": "soon"}, {"retryAfterSeconds": 9}, 9), ({}, [], 1), ({}, None, 1),
        ({"Retry-After": DATE}, {}, 1), ({"Retry-After": "301"}, {}, 300),
    ],
)  # fmt: skip
def test_the_pause_after_a_429_follows_its_header_or_body_with_at_most_five_minutes(
    headers, details, seconds
):
    error = from_response("get /x", 429, json.dumps({"details": details}).encode(), headers)
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == seconds


class Refusing:
    """A gate that lets no write pass."""

    async def admit(self):
        raise WriteFenced("no lease")


async def test_a_dry_run_bypasses_the_write_gate():
    sent = []

    class Recording(Server):
        async def exchange(self, request, most=None):
            sent.append(request)
            return await super().exchange(request, most)

    api = KubeApi(Transport(Recording(200)), Refusing(), field_manager="test")
    body = {"metadata": {"namespace": "shop", "name": "a"}}
    assert await api.try_apply(CONFIG_MAPS, body) == {"kind": "X"}
    assert dict(sent[0].query) == {"fieldManager": "test", "force": "true", "dryRun": "All"}
    with pytest.raises(WriteFenced):
        await api.apply(CONFIG_MAPS, body)
    assert len(sent) == 1


async def test_a_client_of_a_user_sends_writes_and_dry_runs_on_its_behalf_and_reads_as_itself():
    sent = []

    class Recording(Server):
        async def exchange(self, request, most=None):
            sent.append(request)
            return await super().exchange(request, most)

    user = "system:serviceaccount:shop:tenant"
    transport = Transport(Recording(*[200] * 6))
    api = KubeApi(transport, OpenGate(), field_manager="test").as_user(user)
    body = {"metadata": {"namespace": "shop", "name": "a"}}
    key = Key("shop", "a")
    await api.apply(CONFIG_MAPS, body)
    await api.try_apply(CONFIG_MAPS, body)
    await api.create(CONFIG_MAPS, body)
    await api.patch(CONFIG_MAPS, key, body)
    await api.delete(CONFIG_MAPS, key)
    assert {request.headers for request in sent} == {(("Impersonate-User", user),)}
    sent.clear()
    await api.get(CONFIG_MAPS, key)
    assert [request.headers for request in sent] == [()]


@pytest.mark.parametrize(
    ("status", "answer", "served"),
    [
        (200, {"resources": [{"name": "pods"}, {"name": "configmaps"}]}, True),
        (200, {"resources": [{"name": "pods"}]}, False),
        (200, {"resources": None}, False),
        (404, {}, False),
    ],
)
async def test_a_kind_is_served_if_its_api_group_lists_it(status, answer, served):
    class Listing(Server):
        async def exchange(self, request, most=None):
            return status, json.dumps(answer).encode(), {}

    api = KubeApi(Transport(Listing()), Refusing(), field_manager="test")
    assert await api.served(CONFIG_MAPS) is served
