"""A Prometheus that is away, slow or broken, over real HTTP: what it says is never taken for data.

Each way of not answering is tried on an operator of its own, several at a time, as most of it is
waiting: a canary about to take its next step, and a product about to be retrained, are held
for as long as it lasts, and decided on as soon as it is over.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.asked import asked_for
from tests.support.judged_products import (
    BUSY,
    CANARY,
    CARS_OWE,
    GIVEN_UP_SOON,
    HELD,
    RIGHT,
    STEPS,
    TRAINING,
    VANS_OWE,
    WRONG,
    Judged,
    judged,
    slo,
    trainings,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.live_product import conditions
from tests.support.prometheus_stand_in import Lie
from tests.support.proxied_operator import RECOVERY_SECONDS
from tests.support.waiting import took

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(400)

AT_ONCE = 8
"""Operators; their starts and the control plane share the machine."""


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Lie, Future[None]]]:
    """What happens under each lie that is asked for, told all at once."""
    folder = tmp_path_factory.mktemp("lies")
    wanted = asked_for(request, "lie")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {lie: pool.submit(story, control_plane, folder, lie) for lie in wanted}


@pytest.mark.parametrize("lie", Lie)
def test_whatever_prometheus_answers_instead_of_data_nothing_is_decided_and_all_is_afterwards(
    stories, lie
):
    stories[lie].result()


def story(plane: ControlPlane, folder: Path, lie: Lie) -> None:
    namespace = f"lie-{lie.name.lower().replace('_', '-')}"
    with judged(plane, namespace, folder, **GIVEN_UP_SOON) as scene:
        promises = Promises(plane, namespace, scene.replica)
        scene.serve("cars", slos=CARS_OWE, shown=BUSY)
        scene.serve("vans", slos=VANS_OWE, shown=RIGHT, retraining=TRAINING)
        scene.accepted_long_ago("vans")
        scene.begin_canaries("cars", slos=CARS_OWE)
        scene.server.lies[""] = lie
        scene.show("cars", CANARY, since=time.time())
        scene.show("vans", WRONG, since=time.time())
        asked = scene.server.asked.total()
        time.sleep(HELD)  # how long it lasts is what is tested: in this time nothing is decided
        assert scene.server.asked.total() >= asked + 3, "it went on asking"
        assert_held(scene)
        promises.check_without_data()
        scene.server.lies.clear()
        assert_decided(scene, what=f"after {lie}")
        assert not scene.truth.early, "no block is asked for before it has settled"
        promises.check()


def assert_held(scene: Judged) -> None:
    cars, vans = (scene.product(name).status for name in ("cars", "vans"))
    assert weight(cars) == STEPS[0]
    assert trainings(vans) == 0
    for status, name in ((cars, "availability"), (vans, "accuracy")):
        assert slo(status, name)["state"] == "Unknown"
        assert slo(status, name)["reason"] == "PrometheusUnavailable"
        assert conditions(status)["MetricsAvailable"] == "False"
        assert conditions(status)["Ready"] == "True"


def assert_decided(scene: Judged, *, what: str) -> None:
    over = time.monotonic()
    scene.product("cars").until(
        lambda status: weight(status) == STEPS[1],
        what=f"the canary's next step {what}",
        seconds=RECOVERY_SECONDS,
    )
    scene.product("vans").until(trainings, what=f"the retraining {what}", seconds=RECOVERY_SECONDS)
    took(time.monotonic() - over, RECOVERY_SECONDS, f"all decisions {what}")
