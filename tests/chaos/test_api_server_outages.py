"""An API server that hangs: connections are made, and nothing answers, for longer than a lease.

tests/unit/virtual/test_virtual_api_server has all other ways to be away, for five minutes each.
"""

from __future__ import annotations

import time

import pytest

from tests.support.failures.proxied_operator import RECOVERY_SECONDS
from tests.support.waiting import eventually, took

pytestmark = [pytest.mark.timeout(300), pytest.mark.bar]

OUTAGE_SECONDS = 40


def test_changes_made_during_an_outage_of_the_api_server_are_reconciled_after_it(
    operator, promises
):
    operator.serve("cars")
    with operator.proxy.frozen():
        began = time.monotonic()
        operator.apply(operator.routed("cars", serving={"replicas": 2}), operator.routed("late"))
        operator.plane.kubectl(
            "delete", "service", "cars", "-n", operator.namespace, "--wait=false"
        )
        eventually(lambda: not operator.replica.leads(), what="it stops leading")
        while time.monotonic() < began + OUTAGE_SECONDS:  # its length is what is tested
            assert operator.alive()
            time.sleep(1)
    ended = time.monotonic()
    eventually(
        lambda: operator.well(cars=2, late=1) and operator.has_service("cars"),
        seconds=2 * RECOVERY_SECONDS,
        what="all is as if it had never been away",
    )
    took(time.monotonic() - ended, RECOVERY_SECONDS, "recovery after nothing answered")
    promises.check_without_data()
