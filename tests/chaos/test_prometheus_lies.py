"""A Prometheus that hangs, over real HTTP, isn't taken for data.

tests/unit/prometheus/test_client has all other answers that are none, and
tests/unit/virtual/test_virtual_prometheus what becomes of a product meanwhile, for half an hour.
"""

from __future__ import annotations

import time

import pytest

from benchmarks.prometheus_stand_in import Lie
from tests.support.apiserver.invariants import Promises
from tests.support.failures.proxied_operator import RECOVERY_SECONDS
from tests.support.node.live_product import conditions
from tests.support.samples.judged_products import (
    BUSY,
    CANARY,
    CARS_SLOS,
    GIVEN_UP_SOON,
    HELD,
    STEPS,
    judged,
    slo,
    weight,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)


def is_blind(status) -> bool:
    return slo(status, "availability")["reason"] == "PrometheusUnavailable"


def test_a_canary_is_held_during_an_outage_of_prometheus_and_continues_afterwards(
    control_plane, tmp_path
):
    with judged(control_plane, "lies", tmp_path, **GIVEN_UP_SOON) as scene:
        promises = Promises(control_plane, "lies", scene.replica)
        scene.serve("cars", slos=CARS_SLOS, blocks=BUSY)
        scene.begin_canary("cars", slos=CARS_SLOS)
        scene.server.lies[""] = Lie.HANGS
        scene.show("cars", CANARY, since=time.time())
        asked = scene.server.queries.total()
        time.sleep(HELD)  # how long it lasts is what is tested: nothing is decided meanwhile
        eventually(lambda: scene.server.queries.total() >= asked + 3, what="it goes on asking")
        status = scene.product("cars").until(is_blind, what="it says what it can't measure")
        assert weight(status) == STEPS[0]
        said = conditions(status)
        assert (said["MetricsAvailable"], said["Ready"]) == ("False", "True")
        promises.check_without_data()
        scene.server.lies.clear()
        scene.product("cars").until(
            lambda status: weight(status) == STEPS[1],
            what="the canary's next step",
            seconds=RECOVERY_SECONDS,
        )
        assert not scene.truth.early, "no block is asked for before it has settled"
        promises.check()
