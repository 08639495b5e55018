"""The operator's clock is ten minutes off from Prometheus': it waits, and goes on when it is right."""

from __future__ import annotations

import time

import pytest

from tests.support.judged_products import (
    BUSY,
    CANARY,
    CARS_OWE,
    HELD,
    RIGHT,
    STEPS,
    TRAINING,
    VANS_OWE,
    WRONG,
    judged,
    trainings,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.proxied_operator import RECOVERY_SECONDS
from tests.support.stepped_clock import SteppedClock
from tests.support.waiting import took

pytestmark = pytest.mark.timeout(300)

TEN_MINUTES = 600


@pytest.mark.parametrize("step", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
def test_while_the_clock_is_wrong_nothing_is_decided_and_when_it_is_right_all_is(
    control_plane, tmp_path, step
):
    clock = SteppedClock.make(tmp_path)
    namespace = f"clock-{'ahead' if step > 0 else 'behind'}"
    with judged(control_plane, namespace, tmp_path, **clock.environment) as scene:
        promises = Promises(control_plane, namespace, scene.replica)
        scene.serve("cars", slos=CARS_OWE, shown=BUSY)
        scene.serve("vans", slos=VANS_OWE, shown=RIGHT, retraining=TRAINING)
        scene.accepted_long_ago("vans")
        scene.begin_canaries("cars", slos=CARS_OWE)
        clock.step(step)
        scene.show("cars", CANARY, since=time.time())
        scene.show("vans", WRONG, since=time.time())
        time.sleep(HELD)  # how long it lasts is what is tested: in this time nothing is decided
        cars, vans = (scene.product(name).status for name in ("cars", "vans"))
        assert (weight(cars), trainings(vans)) == (STEPS[0], 0)
        assert not cars.get("history")
        promises.check_without_data()
        clock.step(0)
        right = time.monotonic()
        scene.product("cars").until(
            lambda status: weight(status) == STEPS[1],
            what="the canary's next step",
            seconds=RECOVERY_SECONDS,
        )
        scene.product("vans").until(trainings, what="the retraining", seconds=RECOVERY_SECONDS)
        took(time.monotonic() - right, RECOVERY_SECONDS, "all decisions once the clock was right")
        promises.check()
