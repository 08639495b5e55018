"""Two real operators in the middle of a rollout: the leader fails, and no object has two writers.

What each wrote is read from the API server's audit log, for every kind that an operator writes:
once the successor has written an object, nothing that its predecessor sends is stored any more.
The lease is as it ships. Each way of failing has a namespace of its own; they go on all at once,
as most of it is waiting.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.asked import asked_for
from tests.support.faults import LEASES, Delay, Hang, Requests, Seen
from tests.support.judged_products import (
    BUSY,
    CANARY,
    CARS_OWE,
    RIGHT,
    STEPS,
    TRAINING,
    VANS_OWE,
    WRONG,
    Judged,
    measured_by,
    trainings,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.prometheus_stand_in import PrometheusStandIn
from tests.support.proxied_operator import RECOVERY_SECONDS, ProxiedOperator, proxied_operator
from tests.support.replicas import (
    SHIPPED_LEASE,
    TAKEOVER_SECONDS,
    apply,
    audited_writes,
    orders,
    writers_by_object,
)
from tests.support.truths import Truth, hosted
from tests.support.waiting import eventually, took

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = [pytest.mark.timeout(400), pytest.mark.bar]

KINDS = ("dataproducts", "deployments", "services", "httproutes", "jobs")
LATE = Requests(
    methods=("POST", "PATCH", "PUT"),
    path=r"/(deployments|services|httproutes|jobs)(/|$)|/dataproducts/trams/status$",
    dry_run=False,
)
"""Where a write doesn't get through, a product's others aren't sent: so each is another product's."""
WRITES_OF_KINDS = Requests(
    methods=("POST", "PATCH", "PUT", "DELETE"), path=f"/({'|'.join(KINDS)})(/|$)"
)
LATE_SECONDS = 60.0
"""The training takes a third of it to begin, the takeover another."""
CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Pair:
    """A leader, its standby, and what both are told of the products."""

    scene: Judged
    leader: ProxiedOperator
    standby: ProxiedOperator

    def begin(self) -> None:
        """Serve products; a canary waits for its next step, and a training for a reason."""
        self.scene.serve("cars", slos=CARS_OWE, shown=BUSY)
        self.scene.serve("buses", "taxis", "trams", slos=CARS_OWE, shown=BUSY)
        self.scene.serve("vans", slos=VANS_OWE, shown=RIGHT, retraining=TRAINING)
        self.scene.accepted_long_ago("vans")
        self.scene.begin_canaries("cars", slos=CARS_OWE)
        assert self.leader.replica.leads()
        assert not self.standby.replica.leads()

    def give_work(self) -> None:
        """Let there be something to write on an object of each kind."""
        self.scene.show("cars", CANARY, since=time.time())
        self.scene.show("vans", WRONG, since=time.time())
        apply(
            self.scene.plane,
            *(
                self.scene.body(name, slos=CARS_OWE, serving={"replicas": 2})
                for name in ("buses", "trams")
            ),
        )
        self.scene.plane.kubectl(
            *("delete", "service", "taxis", "-n", self.scene.namespace, "--wait=false")
        )

    def is_succeeded(self, *, since: float, what: str) -> None:
        """Wait until the standby leads, in time from a moment on, and until the work is done."""
        eventually(
            self.standby.replica.leads, seconds=TAKEOVER_SECONDS, what=f"a successor after {what}"
        )
        took(time.monotonic() - since, TAKEOVER_SECONDS, f"takeover after {what}")
        eventually(
            lambda: weight(self.scene.product("cars").status) == self.routed() == STEPS[1],
            seconds=RECOVERY_SECONDS,
            what="the canary's next step",
        )
        eventually(
            lambda: trainings(self.scene.product("vans").status),
            seconds=RECOVERY_SECONDS,
            what="the training",
        )
        eventually(
            lambda: (
                self.standby.has_service("taxis")
                and self.standby.scaled("buses", 2)
                and self.standby.scaled("trams", 2)
            ),
            seconds=RECOVERY_SECONDS,
            what="the Service and the second pods",
        )

    def routed(self) -> int:
        """The share of the canary in percent, as the route has it."""
        (rule,) = self.standby.children()["HTTPRoute/cars"]["spec"]["rules"]
        return int(rule["backendRefs"][-1]["weight"])

    def comes_back_as_a_standby(self) -> None:
        """Wait until the former leader serves again, and the successor has done some more."""
        eventually(self.leader.alive, what="the former leader is alive")
        eventually(lambda: not self.leader.replica.leads(), what="it knows that it lost")
        self.scene.serve("late", slos=CARS_OWE, shown=BUSY)
        assert self.leader.alive()
        assert not self.leader.replica.leads()
        assert self.standby.replica.leads()

    def check(self) -> None:
        """No object was written by both in turn, and what is promised always was kept."""
        users = self.leader.account.user, self.standby.account.user
        written = audited_writes(self.scene.plane, users)
        writers = {
            target: tuple(each)
            for kind in KINDS
            for target, each in writers_by_object(written, kind).items()
        }
        in_turn = {target: each for target, each in writers.items() if each not in orders(*users)}
        assert not in_turn
        handed = {target.split("/")[0] for target, each in writers.items() if each == users}
        assert handed == {*KINDS} - {"jobs"}, "each kind, but the training that was still to begin"
        assert [writers[target] for target in writers if target.startswith("jobs/")] == [users[1:]]
        Promises(self.scene.plane, self.scene.namespace, self.standby.replica).check()


def writes_come_late_and_renewals_hang(pair: Pair) -> None:
    """What the leader sends arrives when another has long done it."""
    proxy, began = pair.leader.proxy, time.monotonic()
    late = proxy.start(Delay(LATE_SECONDS), LATE)
    pair.give_work()
    eventually(
        lambda: kinds(proxy.seen(LATE, since=began)) == {*KINDS},
        seconds=LATE_SECONDS - TAKEOVER_SECONDS,
        what="writes of each kind are sent",
    )
    proxy.start(Hang(), LEASES)
    pair.is_succeeded(since=time.monotonic(), what="writes came late and renewals hung")
    sent = proxy.seen(LATE, since=began)
    eventually(
        lambda: all(one.answer for one in sent), seconds=LATE_SECONDS, what="all have arrived"
    )
    assert kinds(one for one in sent if one.answer == CONFLICT) == {*KINDS}
    assert not [one for one in sent if one.answer < CONFLICT], "none came before the successor's"
    proxy.end(late)
    proxy.mend()
    pair.comes_back_as_a_standby()


def kinds(requests: Iterable[Seen]) -> set[str]:
    """The plurals of the objects that requests are for."""
    return {one.path.partition("/namespaces/")[2].split("/")[1] for one in requests}


def is_frozen_beyond_its_lease(pair: Pair) -> None:
    """The leader stops with work before it, and wakes when another has done it."""
    pair.leader.replica.signal(signal.SIGSTOP)
    frozen = time.monotonic()
    pair.give_work()
    pair.is_succeeded(since=frozen, what="a freeze")
    pair.leader.replica.signal(signal.SIGCONT)
    woken = time.monotonic()
    pair.comes_back_as_a_standby()
    assert not pair.leader.proxy.seen(WRITES_OF_KINDS, since=woken), "it knew before it wrote"


def is_killed(pair: Pair) -> None:
    """The leader ends without a word."""
    pair.leader.replica.signal(signal.SIGKILL)
    killed = time.monotonic()
    pair.give_work()
    pair.is_succeeded(since=killed, what="a kill")


FAILURES = {
    "late": writes_come_late_and_renewals_hang,
    "frozen": is_frozen_beyond_its_lease,
    "killed": is_killed,
}


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[None]]]:
    """What comes of each failure that is asked for, told all at once."""
    wanted = asked_for(request, "name")
    with ThreadPoolExecutor(len(FAILURES)) as pool:
        yield {
            name: pool.submit(
                story, control_plane, tmp_path_factory.mktemp(name), f"pair-{name}", FAILURES[name]
            )
            for name in wanted
        }


@pytest.mark.parametrize("name", FAILURES)
def test_however_a_leader_fails_its_successor_goes_on_and_no_object_has_two_writers(stories, name):
    stories[name].result()


def story(
    plane: ControlPlane, folder: Path, namespace: str, failing: Callable[[Pair], None]
) -> None:
    plane.kubectl("create", "namespace", namespace)
    truth = Truth()
    with ExitStack() as stack:
        stack.callback(plane.kubectl, "delete", "namespace", namespace, "--wait=false")
        server = stack.enter_context(hosted(PrometheusStandIn(truth)))
        start = partial(
            proxied_operator, plane, namespace, folder, extra=SHIPPED_LEASE | measured_by(server)
        )
        leader = stack.enter_context(start(name="first"))
        eventually(leader.replica.leads, what="the first leads")
        standby = stack.enter_context(start(name="second"))
        pair = Pair(Judged(plane, namespace, server, truth, leader.replica), leader, standby)
        pair.begin()
        failing(pair)
        pair.check()
