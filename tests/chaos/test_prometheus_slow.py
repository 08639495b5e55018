"""A Prometheus that answers late, but within its time: it is waited for, and all is decided.

A block is five seconds, and its eight queries go four at a time: so answers may take longer than
blocks do, and the next ones are read together then, not in a queue that grows.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.asked import asked_for
from tests.support.judged_products import (
    BLOCK_SECONDS,
    BUSY,
    CANARY,
    CARS_OWE,
    RIGHT,
    STEPS,
    TRAINING,
    VANS_OWE,
    WRONG,
    Judged,
    judged,
    trainings,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.live_product import conditions
from tests.support.waiting import took

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(400)

AT_ONCE = 4
"""Queries, by the settings as they ship."""
SLOW = {"within a block": 1.0, "longer than a block": 4.0}
"""Seconds that each query takes; a block's take three times as long, and a canary has its own."""
SETS_OF_QUERIES = 2
QUERIES = 8
DECIDED_SECONDS = 120.0
UNDER_WAY = 3
"""Blocks that had settled, or were being read, when it became slow."""


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[None]]]:
    """What happens however slow it is, told all at once."""
    folder = tmp_path_factory.mktemp("slow")
    wanted = asked_for(request, "how")
    with ThreadPoolExecutor(len(SLOW)) as pool:
        yield {how: pool.submit(story, control_plane, folder, how) for how in wanted}


@pytest.mark.parametrize("how", SLOW)
def test_a_prometheus_that_is_slow_is_waited_for_and_all_is_decided(stories, how):
    stories[how].result()


def story(plane: ControlPlane, folder: Path, how: str) -> None:
    namespace = f"slow-{how.replace(' ', '-')}"
    with judged(plane, namespace, folder) as scene:
        promises = Promises(plane, namespace, scene.replica)
        scene.serve("cars", slos=CARS_OWE, shown=BUSY)
        scene.serve("vans", slos=VANS_OWE, shown=RIGHT, retraining=TRAINING)
        scene.accepted_long_ago("vans")
        scene.begin_canaries("cars", slos=CARS_OWE)
        scene.server.slow_seconds = SLOW[how]
        asked, began = scene.server.asked.total(), time.monotonic()
        scene.show("cars", CANARY, since=time.time())
        scene.show("vans", WRONG, since=time.time())
        assert_decided(scene)
        seconds = time.monotonic() - began
        print(f"all was decided in {seconds:.1f} s, with answers after {SLOW[how]} s")
        assert scene.server.most_at_once <= AT_ONCE
        blocks = seconds / BLOCK_SECONDS + UNDER_WAY
        queries = scene.server.asked.total() - asked
        assert queries <= blocks * SETS_OF_QUERIES * QUERIES, "they don't pile up"
        assert not scene.truth.early, "no block is asked for before it has settled"
        promises.check()


def assert_decided(scene: Judged) -> None:
    """Wait for the canary's next step and the training; Prometheus never counts as away."""

    def available(status: dict[str, object]) -> bool:
        return conditions(status)["MetricsAvailable"] == "True"

    def stepped(status: dict[str, object]) -> bool:
        assert available(status)
        return weight(status) == STEPS[1]

    def trained(status: dict[str, object]) -> bool:
        assert available(status)
        return bool(trainings(status))

    over = time.monotonic()
    what = "the canary's next step"
    scene.product("cars").until(stepped, what=what, seconds=DECIDED_SECONDS)
    scene.product("vans").until(trained, what="the training", seconds=DECIDED_SECONDS)
    took(time.monotonic() - over, DECIDED_SECONDS, "all decisions")
