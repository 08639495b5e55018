"""The leader's wire is cut: it stops before another begins, and returns as a standby.

The lease is as it ships: fifteen seconds, of which the leader uses ten. That no one else wrote is
read from the API server's audit log.
"""

from __future__ import annotations

import time

import pytest

from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway_api
from tests.support.apiserver.scaled_products import ScaledProducts
from tests.support.failures.proxied_operator import RUNTIME
from tests.support.failures.replicas import SHIPPED_LEASE, TAKEOVER_SECONDS
from tests.support.failures.veth_links import switch, wired_replicas
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(300), pytest.mark.bar]

PRODUCTS = 10


@pytest.fixture(scope="module")
def host():
    with switch() as made:
        yield made


@pytest.fixture(scope="module")
def control_plane(host):
    """Yield a control plane behind the wires, with fake nodes; other writers have other names."""
    with ControlPlane(Options(audit=True, fake_nodes=2, address=host.address)) as started:
        install_crds(started)
        install_gateway_api(started)
        yield started


def test_a_leader_whose_network_is_cut_is_replaced_and_returns_as_a_standby(
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
    with wired_replicas(control_plane, host, tmp_path, *names, extra=extra) as (
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
        leader.wire.restore()
        eventually(leader.is_ready, what="the cut one sees again")
        products.rescale(3)
        assert leader.process.poll() is None
        assert not leader.leads()
        assert standby.leads()
    products.assert_written_in_turn(*names)
