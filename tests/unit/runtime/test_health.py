"""The probes, asked over HTTP: of a loop that stalls, of a real process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sluicegate.kube.resources import CONFIG_MAPS
from sluicegate.runtime.health import Health, LagMonitor, Limits
from sluicegate.runtime.http_server import Server
from sluicegate.runtime.watch_liveness import Watches
from tests.support.apiserver.kubeconfigs import kubeconfig_of
from tests.support.processes.running import free_port, start, stop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

BEAT = 0.05
SLICE = 3 * BEAT
"""How long the loop is held at a time: a timer set before it is late by two beats after it."""


def get(port: int, path: str, *, seconds: float = 10) -> tuple[int, str]:
    """Return status and text; 0 when there is no answer in time."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


@dataclass
class Probed:
    """An event loop in a thread of its own, with the operator's pulse, health and server."""

    limits: Limits
    port: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    stalling: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.port = self._run(self._start())

    def stall(self) -> None:
        """Hold the loop again and again, until `stalling` is cleared."""
        self.stalling.set()
        self.loop.call_soon_threadsafe(self._hold)

    def end(self) -> None:
        self.stalling.clear()
        self._run(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def _hold(self) -> None:
        if self.stalling.is_set():
            time.sleep(SLICE)  # what is being tested: work that doesn't give way
            self.loop.call_soon(self._hold)

    async def _start(self) -> int:
        pulse, self.primed = LagMonitor(BEAT), asyncio.Event()
        watches = Watches([CONFIG_MAPS], time.monotonic, lambda _: None)
        health = Health(pulse, watches, self.limits, api_silence=lambda: 0.0, is_primed=self.primed)
        self._beating = asyncio.ensure_future(pulse.run())
        self._server = Server(health, lambda: None, host="127.0.0.1", port=0)
        return await self._server.start()

    async def _stop(self) -> None:
        self._beating.cancel()
        await asyncio.wait([self._beating])
        await self._server.stop()


@pytest.fixture
def probed() -> Iterator[Probed]:
    one = Probed(Limits(lag=BEAT, watch_age=600))
    try:
        yield one
    finally:
        one.end()


@pytest.mark.slow
def test_healthz_reports_a_repeatedly_stalled_event_loop_with_its_lag_and_the_limit(probed):
    eventually(lambda: get(probed.port, "/healthz") == (200, "ok\n"), what="a quiet loop")
    probed.stall()
    status, text = eventually(
        lambda: [one for one in [get(probed.port, "/healthz")] if one[0] == 503],
        what="it is noticed",
    )[0]
    assert status == 503
    assert text.startswith("the event loop is late by 0.")
    assert text.endswith("s or more 10 times in a row (at most 0.05 s)\n")
    probed.stalling.clear()
    eventually(lambda: get(probed.port, "/healthz") == (200, "ok\n"), what="it recovers")


def test_a_blocked_event_loop_answers_no_probe(probed):
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        release.wait(60)

    probed.loop.call_soon_threadsafe(hold)
    assert held.wait(30)
    try:
        assert get(probed.port, "/healthz", seconds=0.5)[0] == 0
    finally:
        release.set()
    eventually(lambda: get(probed.port, "/healthz")[0] == 200, what="it turns again")


def test_readyz_succeeds_once_the_caches_are_filled(probed):
    assert get(probed.port, "/readyz") == (503, "the caches are not primed yet\n")
    probed.loop.call_soon_threadsafe(probed.primed.set)
    eventually(lambda: get(probed.port, "/readyz") == (200, "ok\n"), what="ready")


# ---- a real process, without a server to talk to -------------------------------------------------

TOKEN = "aVerySecretTokenOfTheTest.0123456789"
PASSWORD = "hunter2hunter2"


@dataclass
class Operator:
    port: int
    log: Path
    process: object

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def operator(tmp_path) -> Iterator[Operator]:
    """Yield `sluicegate run`, whose API server refuses connections."""
    kubeconfig = kubeconfig_of(tmp_path, f"https://127.0.0.1:{free_port()}", token=TOKEN)
    port, log = free_port(), tmp_path / "log"
    program = Path(sys.executable).with_name("sluicegate")
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "SLUICEGATE_METRICS_PORT": str(port),
        "SLUICEGATE_LOG_LEVEL": "Debug",
        "SLUICEGATE_PROMETHEUS_URL": f"http://user:{PASSWORD}@127.0.0.1:{free_port()}",
    }
    process = start([str(program), "run"], log=log, env=environment)
    try:
        eventually(lambda: get(port, "/healthz")[0] == 200, seconds=60, what="it starts")
        yield Operator(port, log, process)
    finally:
        process.send_signal(signal.SIGCONT)
        stop(process, signal.SIGKILL)


@pytest.mark.slow
def test_without_an_api_server_the_operator_is_live_and_not_ready(operator):
    assert get(operator.port, "/readyz") == (503, "the caches are not primed yet\n")
    eventually(lambda: "retried in" in operator.log.read_text(), what="it says that it waits")
    assert get(operator.port, "/healthz") == (200, "ok\n")
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(30) == 0
    lines = operator.lines()
    assert all({"ts", "level", "logger", "message"} <= line.keys() for line in lines)
    assert {"debug", "info", "warning"} <= {line["level"] for line in lines}
    assert [line["message"] for line in lines if line["logger"] == "sluicegate.manager"] == [
        "started",
        "stopping",
        "stopped",
    ]
    text = operator.log.read_text()
    assert TOKEN not in text
    assert PASSWORD not in text


@pytest.mark.slow
def test_a_frozen_process_answers_no_probe_and_resumes_when_continued(operator):
    operator.process.send_signal(signal.SIGSTOP)
    assert get(operator.port, "/healthz", seconds=1)[0] == 0
    operator.process.send_signal(signal.SIGCONT)
    eventually(lambda: get(operator.port, "/healthz") == (200, "ok\n"), what="it answers again")
