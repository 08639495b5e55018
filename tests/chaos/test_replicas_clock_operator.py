"""The clock of a real operator at work is stepped by ten minutes, there and back.

It works on as the leader; its standby waits for the lease, and takes over as soon as after any
other end. Both have the lease as it ships.
"""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.replicas import SHIPPED_LEASE, TAKEOVER_SECONDS
from tests.support.scaled_products import ScaledProducts
from tests.support.stepped_clock import SteppedClock
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(300), pytest.mark.bar]

PRODUCTS = 10
TEN_MINUTES = 600


@pytest.mark.parametrize("step", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
def test_an_operator_whose_clock_is_stepped_works_on_and_is_succeeded_in_time(
    control_plane, namespace, start, tmp_path, step
):
    clock = SteppedClock.make(tmp_path)
    products = ScaledProducts(control_plane, namespace, PRODUCTS)
    with start(name="stepped", extra={**SHIPPED_LEASE, **clock.environment}) as leader:
        eventually(leader.replica.leads, what="the first leads")
        products.rescale(1)
        with start(name="right", extra=SHIPPED_LEASE) as standby:
            for offset, pods in ((step, 2), (0, 3), (step, 2)):
                clock.step(offset)
                products.rescale(pods)
                assert leader.replica.leads()
                assert not standby.replica.leads()
            products.scale(1)
            leader.replica.signal(signal.SIGKILL)
            killed = time.monotonic()
            eventually(standby.replica.leads, seconds=TAKEOVER_SECONDS, what="the standby leads")
            print(
                f"takeover from an operator with another clock: {time.monotonic() - killed:.1f} s"
            )
            products.until_scaled(1)
            products.rescale(2)
            products.assert_written_in_turn(leader.account.user, standby.account.user)
