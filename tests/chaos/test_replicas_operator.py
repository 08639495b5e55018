"""Two real operators at work: the leader fails, and no object has two writers.

What each wrote is read from the API server's audit log. The lease is as it ships. Failures that no
process is needed for are in tests/unit/virtual/test_virtual_replicas.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.apiserver.scaled_products import ScaledProducts
from tests.support.failures.faults import LEASES, WRITES, Delay, Hang, Requests
from tests.support.failures.replicas import SHIPPED_LEASE, TAKEOVER_SECONDS
from tests.support.waiting import eventually, took

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.failures.proxied_operator import ProxiedOperator

pytestmark = [pytest.mark.timeout(300), pytest.mark.bar]

PRODUCTS = 5
LATE_SECONDS = 45.0
"""Much longer than a takeover takes."""
CONFLICT = 409
DEPLOYMENTS = Requests(methods=("PATCH",), path=r"/deployments/", dry_run=False)


@pytest.fixture
def products(control_plane, namespace):
    return ScaledProducts(control_plane, namespace, PRODUCTS)


@pytest.fixture
def pair(start, products):
    """Return a leader that has made all products, and its standby."""

    @contextmanager
    def begin() -> Iterator[tuple[ProxiedOperator, ProxiedOperator]]:
        with start(name="first", extra=SHIPPED_LEASE) as leader:
            eventually(leader.replica.leads, what="the first leads")
            with start(name="second", extra=SHIPPED_LEASE) as standby:
                products.rescale(1)
                yield leader, standby

    return begin


def is_succeeded(standby: ProxiedOperator, *, what: str) -> None:
    began = time.monotonic()
    eventually(standby.replica.leads, seconds=TAKEOVER_SECONDS, what=f"a successor after {what}")
    took(time.monotonic() - began, TAKEOVER_SECONDS, f"takeover after {what}")


def test_a_leader_that_is_killed_or_frozen_beyond_its_lease_is_succeeded(pair, products):
    with pair() as (leader, standby):
        leader.replica.signal(signal.SIGSTOP)
        products.scale(2)
        is_succeeded(standby, what="a freeze")
        products.until_scaled(2)
        woken = time.monotonic()
        leader.replica.signal(signal.SIGCONT)
        eventually(leader.alive, what="the former leader is alive")
        eventually(lambda: not leader.replica.leads(), what="it knows that it lost")
        products.rescale(1)
        assert standby.replica.leads()
        assert not leader.proxy.matching(WRITES, since=woken), "it knew before it wrote"
        products.assert_written_in_turn(leader.account.user, standby.account.user)
        standby.replica.signal(signal.SIGKILL)
        products.scale(3)
        is_succeeded(leader, what="a kill")
        products.until_scaled(3)


def test_late_writes_of_a_former_leader_process_are_refused(pair, products):
    with pair() as (leader, standby):
        late = leader.proxy.start(Delay(LATE_SECONDS), DEPLOYMENTS)
        began = time.monotonic()
        products.scale(2)
        eventually(lambda: leader.proxy.matching(DEPLOYMENTS, since=began), what="writes are sent")
        leader.proxy.start(Hang(), LEASES)
        is_succeeded(standby, what="writes came late and renewals hung")
        products.until_scaled(2)
        sent = leader.proxy.matching(DEPLOYMENTS, since=began)
        eventually(
            lambda: all(one.answer for one in sent), seconds=2 * LATE_SECONDS, what="all arrive"
        )
        assert {one.answer for one in sent} == {CONFLICT}
        leader.proxy.end(late)
        leader.proxy.restore()
        products.rescale(3)
        assert leader.alive()
        assert not leader.replica.leads()
        products.assert_written_in_turn(leader.account.user, standby.account.user)
