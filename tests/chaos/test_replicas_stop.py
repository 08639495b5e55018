"""A replica that gets SIGTERM: it ends in time whatever answers, and hands over to its standby."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.failures.faults import NOT_LEASES, Hang
from tests.support.failures.replicas import (
    SHIPPED_LEASE,
    assert_handed_over_in_time,
    assert_stopped_in_time,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(180), pytest.mark.bar]

WORKING = 'controller_runtime_active_workers{controller="dataproduct"}'


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield the URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_leader_without_any_response_exits_within_5_s_of_the_signal(start, silent):
    extra = {
        **SHIPPED_LEASE,
        "SLUICEGATE_PROMETHEUS_URL": silent,
        "OTEL_EXPORTER_OTLP_ENDPOINT": silent,
    }
    with start(extra=extra) as operator:
        operator.serve("cars")
        # The lease last of all, so that it still leads when it is stopped.
        operator.proxy.start(Hang(), NOT_LEASES)
        operator.apply(operator.routed("cars", serving={"replicas": 2}))
        eventually(lambda: operator.replica.metric(WORKING) > 0, what="work under way")
        operator.proxy.start(Hang())
        operator.proxy.cut()
        assert operator.replica.leads()
        operator.replica.signal(signal.SIGTERM)
        assert operator.replica.wait() == 0
        assert_stopped_in_time(operator.replica)


def test_a_leader_stopped_during_reconciles_releases_its_lease_at_once(start):
    with start(name="first", extra=SHIPPED_LEASE) as leader:
        eventually(leader.replica.leads, what="the first leads")
        leader.serve("cars")
        with start(name="second", extra=SHIPPED_LEASE) as standby:
            leader.apply(*(leader.routed(f"vans-{number}") for number in range(20)))
            eventually(lambda: leader.replica.metric(WORKING) > 0, what="work under way")
            leader.replica.signal(signal.SIGTERM)
            eventually(standby.replica.leads, what="the standby leads")
            assert leader.replica.wait() == 0
            assert_stopped_in_time(leader.replica)
            assert_handed_over_in_time(leader.replica, standby.replica)
            standby.recovers(
                what="a handover", cars=1, **{f"vans-{number}": 1 for number in range(20)}
            )
