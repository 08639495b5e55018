"""A leader that can't reach the API server stops writing before another may begin.

The operator here writes each copy ten times a second, so the audit log would show any overlap.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from tests.support.faults import LEASES, WRITES, Delay, Hang
from tests.support.replicas import (
    COPIER,
    QUICK_LEASE,
    Write,
    apply,
    audited_writes,
    product,
    writers_by_object,
)
from tests.support.waiting import eventually

PRODUCTS = 5
TURNS = {"COPIER_TURNS": "true"}
LEASE = timedelta(seconds=float(QUICK_LEASE["SLUICEGATE_LEASE_DURATION_SECONDS"]))


@pytest.fixture
def start_writing(control_plane, namespace, start):
    apply(control_plane, *(product(namespace, f"p{number}") for number in range(PRODUCTS)))
    return lambda name: start(name=name, extra=TURNS, module=COPIER)


def copies(operator) -> list[Write]:
    written = audited_writes(operator.plane, [operator.account.user])
    return [one for one in written if one.resource == "configmaps"]


def renewals(operator) -> list[Write]:
    written = audited_writes(operator.plane, [operator.account.user])
    return [one for one in written if one.resource == "leases"]


def moment(write: Write) -> datetime:
    return datetime.fromisoformat(write.at)


def goes_on(operator) -> None:
    so_far = len(copies(operator))
    eventually(lambda: len(copies(operator)) > so_far + 2 * PRODUCTS, what="it writes")


def test_a_leader_whose_renewals_hang_stops_before_its_lease_ends_and_goes_on_afterwards(
    start_writing,
):
    with start_writing("alone") as operator:
        goes_on(operator)
        with operator.proxy.broken(Hang(), LEASES):  # all other writes would get through
            eventually(lambda: not operator.replica.leads(), what="it stops leading")
            last = moment(renewals(operator)[-1])
            written = [one for one in copies(operator) if moment(one) > last]
            assert written, "it wrote on until it couldn't renew for too long"
            assert moment(written[-1]) < last + LEASE
            print(f"the last write came {moment(written[-1]) - last} after the last renewal")
            stopped, since = len(copies(operator)), time.monotonic()
            eventually(
                lambda: operator.proxy.seen(LEASES, since=since), what="it tries for the lease"
            )
            assert not operator.replica.leads()
            assert len(copies(operator)) == stopped
        eventually(operator.replica.leads, what="it leads again")
        goes_on(operator)


def test_writes_that_arrive_after_the_successors_are_refused(start_writing):
    with start_writing("first") as leader, start_writing("second") as standby:
        goes_on(leader)
        late = leader.proxy.start(Delay(LEASE.total_seconds() + 5), WRITES)
        leader.proxy.start(Hang(), LEASES)
        eventually(standby.replica.leads, what="the standby leads")
        goes_on(standby)

        def came_late() -> bool:
            return any(one.answer == 409 for one in leader.proxy.seen(WRITES))

        eventually(came_late, what="a late write arrives and is refused")
        leader.proxy.end(late)
        leader.proxy.mend()
        goes_on(standby)
        assert leader.alive()
        assert not leader.replica.leads()
        users = leader.account.user, standby.account.user
        writers = writers_by_object(audited_writes(leader.plane, users), "configmaps")
    assert len(writers) == PRODUCTS
    assert set(map(tuple, writers.values())) == {users}
