"""A replica's wall clock is stepped by ten minutes, there and back: nobody leads who shouldn't.

The clock is stepped in the running process, for the interpreter and everything in it alike.
"""

from __future__ import annotations

import signal

import pytest

from tests.support.replicas import (
    START_SECONDS,
    Replica,
    apply,
    audited_writes,
    product,
    quiet_control_plane,
    writers_by_object,
)
from tests.support.stepped_clock import SteppedClock
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

PRODUCTS = 10
TEN_MINUTES = 600
TAKEOVER_SECONDS = 20


@pytest.fixture(scope="module")
def control_plane():
    """Nothing else writes."""
    with quiet_control_plane() as started:
        yield started


@pytest.fixture
def clock(tmp_path):
    return SteppedClock.make(tmp_path)


@pytest.fixture
def start(control_plane, namespace, tmp_path):
    """Starts operators that write each product's copy ten times a second, if they lead."""
    apply(control_plane, *(product(namespace, f"p{number}") for number in range(PRODUCTS)))
    where = {"SLUICEGATE_NAMESPACE": namespace, "SLUICEGATE_WATCH_NAMESPACES": namespace}
    started: list[Replica] = []

    def start(name: str, **extra: str) -> Replica:
        settings = {**where, "COPIER_TURNS": "true", **extra}
        started.append(Replica(control_plane, f"{namespace}-{name}", tmp_path, extra=settings))
        eventually(started[-1].is_ready, seconds=START_SECONDS, what=f"{name} ready")
        return started[-1]

    yield start
    for one in started:
        one.end()


def writes_on(plane, replica: Replica) -> None:
    """Wait until a replica has written everything several times more."""

    def written() -> int:
        return sum(one.resource == "configmaps" for one in audited_writes(plane, [replica.name]))

    before = written()
    eventually(lambda: written() > before + 5 * PRODUCTS, what=f"{replica.name} writes on")


def assert_hands(plane, *order: Replica) -> None:
    """All objects were written by these, in this order, and none by two in turn."""
    names = [one.name for one in order]
    writers = writers_by_object(audited_writes(plane, names), "configmaps")
    assert len(writers) == PRODUCTS
    assert {tuple(each) for each in writers.values()} == {tuple(names)}


@pytest.mark.parametrize("step", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
def test_a_standby_whose_clock_is_stepped_does_not_take_a_lease_that_is_held(
    control_plane, namespace, start, clock, step
):
    leader = start("one")
    eventually(leader.leads, what="a leader")
    standby = start("two", **clock.environment)
    for offset in (step, 0, step):
        clock.step(offset)
        writes_on(control_plane, leader)
        assert not standby.leads()
    assert_hands(control_plane, leader)
    leader.signal(signal.SIGKILL)
    eventually(standby.leads, seconds=TAKEOVER_SECONDS, what="the standby leads")
    writes_on(control_plane, standby)
    assert_hands(control_plane, leader, standby)
