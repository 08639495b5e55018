"""The leader's wire is cut: it stops before another begins, and comes back as a standby.

The lease is as it ships: fifteen seconds, of which the leader uses ten. That nobody else wrote is
read from the API server's audit log.
"""

from __future__ import annotations

import time

import pytest

from cluster.controlplane import ControlPlane, Options
from tests.support.accepting_gateway import install_gateway_api
from tests.support.proxied_operator import RUNTIME
from tests.support.replicas import (
    OPERATOR,
    SHIPPED_LEASE,
    TAKEOVER_SECONDS,
    apply,
    audited_writes,
    install_crds,
    product,
    read,
    writers_by_object,
)
from tests.support.scaled_products import ScaledProducts
from tests.support.waiting import eventually
from tests.support.wires import switch, wired_replicas

pytestmark = [pytest.mark.timeout(300), pytest.mark.bar]

PRODUCTS = 10
NAMES = ("one", "two")


@pytest.fixture(scope="module")
def host():
    with switch() as made:
        yield made


@pytest.fixture(scope="module")
def control_plane(host):
    """One that is reached over the wires, with fake nodes; whoever else writes has other names."""
    with ControlPlane(Options(audit=True, fake_nodes=2, address=host.address)) as started:
        install_crds(started)
        install_gateway_api(started)
        yield started


def writes_of(plane: ControlPlane, user: str) -> int:
    return sum(one.resource == "configmaps" for one in audited_writes(plane, [user]))


def test_a_leader_whose_network_is_cut_is_succeeded_and_comes_back_as_a_standby(
    control_plane, host, namespace, tmp_path
):
    apply(control_plane, *(product(namespace, f"p{number}") for number in range(PRODUCTS)))
    extra = {
        "SLUICEGATE_NAMESPACE": namespace,
        "SLUICEGATE_WATCH_NAMESPACES": namespace,
        "COPIER_TURNS": "true",
        **SHIPPED_LEASE,
    }
    with wired_replicas(control_plane, host, tmp_path, *NAMES, extra=extra) as (leader, standby):
        eventually(lambda: writes_of(control_plane, "one") > PRODUCTS, what="the leader writes")
        leader.wire.cut()
        cut = time.monotonic()
        eventually(standby.leads, seconds=TAKEOVER_SECONDS, what="the standby leads")
        print(f"takeover after a cut with a lease of 15 s: {time.monotonic() - cut:.1f} s")
        assert not leader.leads(), "the old leader has stopped before the new one began"
        eventually(lambda: writes_of(control_plane, "two") > PRODUCTS, what="the successor writes")
        leader.wire.mend()
        apply(control_plane, product(namespace, "late"))
        cached = 'sluicegate_cache_objects{resource="dataproducts.sluicegate.dev"}'
        eventually(lambda: leader.metric(cached) == PRODUCTS + 1, what="the cut one sees again")
        seen = writes_of(control_plane, "two")
        eventually(
            lambda: writes_of(control_plane, "two") > seen + 5 * PRODUCTS,
            what="the successor goes on",
        )
        assert leader.process.poll() is None
        assert leader.is_ready()
        assert not leader.leads()
        assert standby.leads()
        assert_each_object_changed_hands_once(control_plane)
        standby.process.kill()
        eventually(leader.leads, seconds=TAKEOVER_SECONDS, what="the one that was cut leads again")
    (lease,) = read(control_plane, "leases", "-n", namespace)
    assert lease["spec"]["leaseTransitions"] == 2


def assert_each_object_changed_hands_once(plane: ControlPlane) -> None:
    writers = writers_by_object(audited_writes(plane, NAMES), "configmaps")
    late = {target for target in writers if target.endswith("/late-copy")}
    assert {tuple(writers[target]) for target in writers.keys() - late} == {NAMES}
    assert {tuple(writers[target]) for target in late} == {("two",)}


def test_the_operator_whose_network_is_cut_at_work_is_succeeded_and_comes_back_as_a_standby(
    control_plane, host, namespace, tmp_path
):
    products = ScaledProducts(control_plane, namespace, PRODUCTS)
    names = ("cut", "successor")
    extra = {
        "SLUICEGATE_NAMESPACE": namespace,
        "SLUICEGATE_WATCH_NAMESPACES": namespace,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
        **SHIPPED_LEASE,
    }
    with wired_replicas(control_plane, host, tmp_path, *names, extra=extra, module=OPERATOR) as (
        leader,
        standby,
    ):
        eventually(leader.leads, what="the first leads")
        products.rescale(1)
        products.scale(2)
        leader.wire.cut()
        cut = time.monotonic()
        eventually(standby.leads, seconds=TAKEOVER_SECONDS, what="the standby leads")
        print(f"takeover from the operator that was cut: {time.monotonic() - cut:.1f} s")
        assert not leader.leads(), "the old leader has stopped before the new one began"
        products.until_scaled(2)
        leader.wire.mend()
        eventually(leader.is_ready, what="the cut one sees again")
        products.rescale(3)
        assert leader.process.poll() is None
        assert not leader.leads()
        assert standby.leads()
    products.assert_written_in_turn(*names)
