"""A replica that is told to stop: it ends in time whatever answers, and hands over to its standby."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.faults import Hang
from tests.support.replicas import HANDOVER_SECONDS, SHIPPED_LEASE, STOP_SECONDS
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(180)

WORKING = 'controller_runtime_active_workers{controller="dataproduct"}'


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_leader_that_nothing_answers_ends_within_5_s_of_the_signal(start, silent):
    extra = {
        **SHIPPED_LEASE,
        "SLUICEGATE_PROMETHEUS_URL": silent,
        "OTEL_EXPORTER_OTLP_ENDPOINT": silent,
    }
    with start(extra=extra) as operator:
        operator.serve("cars")
        operator.proxy.start(Hang())
        operator.apply(operator.routed("cars", serving={"replicas": 2}))
        eventually(lambda: operator.replica.metric(WORKING) > 0, what="work under way")
        operator.proxy.cut()
        assert operator.replica.leads()
        operator.replica.signal(signal.SIGTERM)
        stopped = time.monotonic()
        assert operator.replica.wait() == 0
        exited = time.monotonic() - stopped
        print(f"stopped while nothing answers: exit {exited:.1f} s")
        assert "stopped" in operator.replica.tail()
        assert exited < STOP_SECONDS


def test_a_leader_that_is_stopped_at_work_hands_over_at_once(start):
    with start(name="first", extra=SHIPPED_LEASE) as leader:
        eventually(leader.replica.leads, what="the first leads")
        leader.serve("cars")
        with start(name="second", extra=SHIPPED_LEASE) as standby:
            leader.apply(*(leader.routed(f"vans-{number}") for number in range(20)))
            eventually(lambda: leader.replica.metric(WORKING) > 0, what="work under way")
            leader.replica.signal(signal.SIGTERM)
            stopped = time.monotonic()
            eventually(standby.replica.leads, what="the standby leads")
            taken_over = time.monotonic() - stopped
            assert leader.replica.wait() == 0
            exited = time.monotonic() - stopped
            print(f"stopped at work: takeover {taken_over:.1f} s, exit {exited:.1f} s")
            assert taken_over <= HANDOVER_SECONDS
            assert exited < STOP_SECONDS
            standby.recovers(
                what="a handover", cars=1, **{f"vans-{number}": 1 for number in range(20)}
            )
