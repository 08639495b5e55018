"""Two real operators, one API server: never two writers, and a quick successor.

The proof is the API server's own audit log. The times that are measured on the way are printed;
what is asserted is the order of writes, that each wait ends, and the bars of a takeover with the
lease as it ships.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.replicas import (
    SHIPPED_LEASE,
    apply,
    assert_handed_over_in_time,
    assert_stopped_in_time,
    audited_writes,
    product,
    quiet_control_plane,
    read,
    replicas,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.timeout(300), pytest.mark.bar]

PRODUCTS = 10


@pytest.fixture(scope="module")
def control_plane():
    """One of its own: it is restarted, and nothing else writes."""
    with quiet_control_plane() as started:
        yield started


@pytest.fixture
def products(control_plane, namespace):
    apply(control_plane, *(product(namespace, f"p{number}") for number in range(PRODUCTS)))
    return namespace


@pytest.fixture
def start(control_plane, products, tmp_path):
    """Starts operators that serve the test's namespace and have their Lease there."""

    def start(*names: str, extra: Mapping[str, str] | None = None):
        where = {"SLUICEGATE_NAMESPACE": products, "SLUICEGATE_WATCH_NAMESPACES": products}
        return replicas(control_plane, tmp_path, *names, extra={**where, **(extra or {})})

    return start


@pytest.fixture
def users(namespace) -> tuple[str, str]:
    """Names of the two operators, unique in the module's audit log."""
    return f"{namespace}-one", f"{namespace}-two"


def copies(control_plane, namespace: str) -> list[dict]:
    return read(
        control_plane,
        "configmaps",
        "-n",
        namespace,
        "-l",
        "app.kubernetes.io/managed-by=sluicegate",
    )


def writes_of(control_plane, user: str) -> int:
    return sum(one.resource == "configmaps" for one in audited_writes(control_plane, [user]))


def test_a_cold_start_copies_each_product_once_and_a_restart_writes_nothing(
    control_plane, products, users, start
):
    with start(users[0]) as (operator,):
        eventually(lambda: len(copies(control_plane, products)) == PRODUCTS, what="all copies")
        sent = 'sluicegate_events_sent_total{result="created"}'
        eventually(lambda: operator.metric(sent) == PRODUCTS, what="an event for each")
        operator.signal(signal.SIGTERM)
        assert operator.wait() == 0
    assert writes_of(control_plane, users[0]) == PRODUCTS
    with start(users[1]) as (operator,):
        reconciled = 'controller_runtime_reconcile_total{controller="dataproduct",result="success"}'
        eventually(lambda: operator.metric(reconciled) >= PRODUCTS, what="all reconciled")
    kinds = {one.resource for one in audited_writes(control_plane, [users[1]])}
    assert kinds == {"leases"}


def test_a_standby_watches_and_writes_nothing(control_plane, products, users, start):
    with start(*users) as (leader, standby):
        eventually(leader.leads, what="a leader")
        eventually(lambda: len(copies(control_plane, products)) == PRODUCTS, what="all copies")
        cached = 'sluicegate_cache_objects{resource="configmaps"}'
        eventually(lambda: standby.metric(cached) == PRODUCTS, what="the standby sees the copies")
        assert standby.is_ready()
        assert not standby.leads()
    assert not audited_writes(control_plane, [users[1]])


def test_a_leader_that_is_stopped_finishes_its_writes_and_hands_over_at_once(
    control_plane, products, users, start, tmp_path
):
    hold = tmp_path / "hold"
    hold.touch()
    workers = PRODUCTS // 2  # the others wait in the queue
    extra = {"COPIER_HELD_BY": str(hold), "SLUICEGATE_WORKERS": str(workers), **SHIPPED_LEASE}
    with (
        start(users[0], extra=extra) as (leader,),
        start(users[1], extra=SHIPPED_LEASE) as (standby,),
    ):
        working = 'controller_runtime_active_workers{controller="dataproduct"}'
        eventually(lambda: leader.metric(working) == workers, what="all workers at work")
        assert writes_of(control_plane, users[0]) == 0
        leader.signal(signal.SIGTERM)
        eventually(lambda: leader.logged("stopping"), what="it stops")
        hold.unlink()
        assert leader.wait() == 0
        eventually(standby.leads, what="the standby leads")
        assert writes_of(control_plane, users[0]) == workers, "what was under way was finished"
        # It waits neither for the work that was queued nor for the lease to run out.
        assert_stopped_in_time(leader)
        assert_handed_over_in_time(leader, standby)
    (lease,) = read(control_plane, "leases", "-n", products)
    assert lease["spec"]["leaseTransitions"] == 1


def test_an_api_server_that_was_away_is_no_reason_to_end(control_plane, products, users, start):
    with start(users[0]) as (operator,):
        eventually(lambda: len(copies(control_plane, products)) == PRODUCTS, what="all copies")
        control_plane.stop("kube-apiserver")
        eventually(lambda: not operator.leads(), what="it stops leading before its lease ends")
        assert operator.get("/healthz") == (200, "ok\n")
        control_plane.start("kube-apiserver")
        apply(control_plane, product(products, "late"))
        eventually(
            lambda: len(copies(control_plane, products)) == PRODUCTS + 1, what="the late copy"
        )
        assert operator.process.poll() is None
