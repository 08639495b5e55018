"""The API server is away in the middle of a canary and when a retraining is due.

What is measured meanwhile would let both go on, so whoever holds still doesn't do so for want of
a reason. Once nothing is measured either, and for a while after the API server is back.
`--outage-seconds` sets how long it is away.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.asked import asked_for
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
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
    Judged,
    judged,
    trainings,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.prometheus_stand_in import Lie
from tests.support.proxied_operator import RECOVERY_SECONDS
from tests.support.service_account import ServiceAccount
from tests.support.waiting import eventually, took

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(900)  # whichever comes first waits for the outage


@dataclass(frozen=True, slots=True)
class Way:
    """How the API server is away, and whether Prometheus is at the same time."""

    begin: Callable[[FaultProxy], AbstractContextManager[None]]
    measured: bool = True


@contextmanager
def answering_503(proxy: FaultProxy) -> Iterator[None]:
    """Whatever is asked is refused, open watches end."""
    with proxy.broken(Answer(503, "ServiceUnavailable")):
        proxy.cut()
        yield


WAYS = {
    "nobody-listens": Way(FaultProxy.refusing),
    "everything-refused": Way(answering_503),
    "nothing-answers": Way(FaultProxy.frozen),
    "nothing-measured": Way(FaultProxy.refusing, measured=False),
}


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
    outage_seconds: float,
) -> Iterator[dict[str, Future[None]]]:
    """What happens in each way that is asked for, told all at once."""
    wanted = asked_for(request, "way")
    with ThreadPoolExecutor(len(WAYS)) as pool:
        yield {
            way: pool.submit(
                story, control_plane, tmp_path_factory.mktemp(way), way, seconds=outage_seconds
            )
            for way in wanted
        }


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_decided_while_the_api_server_is_away_and_all_is_afterwards(stories, way):
    stories[way].result()


def story(plane: ControlPlane, folder: Path, name: str, *, seconds: float) -> None:
    way, namespace = WAYS[name], f"canary-{name}"
    home = f"{namespace}-operator"
    plane.kubectl("create", "namespace", home)
    with FaultProxy(plane) as proxy:
        account = ServiceAccount(plane, home, "operator", folder=folder, server=proxy.url)
        behind = {"KUBECONFIG": str(account.kubeconfig)}
        with judged(plane, namespace, folder, **behind) as scene:
            promises = Promises(plane, namespace, scene.replica)
            begin(scene)
            before = decided(scene)
            with way.begin(proxy):
                go_through(scene, way, seconds=seconds)
                # Before it is over: what is decided a moment later is decided with data.
                assert decided(scene) == before
                promises.check_without_data()
            over = time.monotonic()
            if not way.measured:
                remain_unmeasured(scene, before)
                promises.check_without_data()
                over = time.monotonic()
                scene.server.lies.clear()
            assert_decided(scene, over)
            assert scene.replica.get("/healthz")[0] == 200
            promises.check()
    plane.kubectl("delete", "namespace", home, "--wait=false")


def begin(scene: Judged) -> None:
    scene.serve("cars", slos=CARS_OWE, shown=BUSY)
    scene.serve("vans", slos=VANS_OWE, shown=RIGHT, retraining=TRAINING)
    scene.accepted_long_ago("vans")
    scene.begin_canaries("cars", slos=CARS_OWE)


def go_through(scene: Judged, way: Way, *, seconds: float) -> None:
    """The outage, in which both products get what they lacked."""
    if not way.measured:
        scene.server.lies[""] = Lie.REFUSED
    scene.show("cars", CANARY, since=time.time())
    scene.show("vans", WRONG, since=time.time())
    asked = scene.server.asked.total()
    time.sleep(seconds)  # how long it lasts is what is tested: in this time nothing is decided
    assert not scene.replica.leads()
    assert scene.server.asked.total() > asked, "it went on measuring"


def decided(scene: Judged) -> list[Any]:
    """All that a decision would change: versions, the canary's share, trainings."""
    cars, vans = (scene.product(name).status for name in ("cars", "vans"))
    assert (weight(cars), trainings(vans)) == (STEPS[0], 0)
    versions = [status["stable"] for status in (cars, vans)]
    kept = ("version", "revision", "phase", "step", "shares")
    return [versions, [cars["candidate"].get(one) for one in kept], cars.get("history")]


def remain_unmeasured(scene: Judged, before: list[Any]) -> None:
    """The API server is back, Prometheus isn't."""
    eventually(scene.replica.leads, seconds=RECOVERY_SECONDS, what="it leads again")
    time.sleep(HELD)  # how long it lasts is what is tested: in this time nothing is decided
    assert decided(scene) == before


def assert_decided(scene: Judged, over: float) -> None:
    scene.product("cars").until(
        lambda status: weight(status) == STEPS[1],
        what="the canary's next step",
        seconds=RECOVERY_SECONDS,
    )
    scene.product("vans").until(trainings, what="the retraining", seconds=RECOVERY_SECONDS)
    took(time.monotonic() - over, RECOVERY_SECONDS, f"all decisions after {scene.namespace}")
