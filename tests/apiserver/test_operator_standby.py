"""Two real operators, each with a Prometheus of its own: the one that doesn't lead measures too."""

from __future__ import annotations

import json
import signal
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from cluster.controlplane import ControlPlane, Options
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.judged_products import BLOCK_SECONDS, BUSY, CARS_OWE
from tests.support.prometheus_stand_in import PrometheusStandIn
from tests.support.proxied_operator import RUNTIME
from tests.support.replicas import OPERATOR, Replica, apply, install_crds, product, ready_in_turn
from tests.support.truths import SCRAPE_SECONDS, SETTLE_SECONDS, Truth, hosted
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCKS_PER_HOUR = 12

pytestmark = pytest.mark.timeout(300)

PENDING = "sluicegate_backfill_pending_products"
ANSWERED = 'sluicegate_prometheus_queries_total{result="answered"}'
RECONCILED = 'controller_runtime_reconcile_total{controller="dataproduct",result="success"}'


@pytest.fixture(scope="module")
def control_plane():
    """One of its own, with pods."""
    with ControlPlane(Options(fake_nodes=2)) as started:
        install_crds(started)
        yield started


@dataclass(frozen=True)
class Measuring:
    """A replica and what it is told."""

    replica: Replica
    server: PrometheusStandIn

    def pasts(self) -> int:
        """How often it asked for sums of twelve blocks, which only a past is made of."""
        hour = float(BLOCK_SECONDS * BLOCKS_PER_HOUR)
        return sum(float(form["step"]) == hour for form in self.server.about_products())


@contextmanager
def measuring_pair(plane: ControlPlane, namespace: str, folder: Path) -> Iterator[list[Measuring]]:
    """Two replicas of one operator for the length of a block; the first leads."""
    truth = Truth()
    truth.show(replace(BUSY, product="cars", namespace=namespace))
    with ExitStack() as stack:
        servers = [stack.enter_context(hosted(PrometheusStandIn(truth))) for _ in range(2)]
        started = stack.enter_context(
            ready_in_turn(
                Replica(
                    plane,
                    f"{namespace}-{number}",
                    folder,
                    extra=settings(namespace, server.url),
                    module=OPERATOR,
                )
                for number, server in enumerate(servers)
            )
        )
        pairs = [Measuring(*pair) for pair in zip(started, servers, strict=True)]
        eventually(lambda: any(one.replica.leads() for one in pairs), what="one leads")
        yield sorted(pairs, key=lambda one: not one.replica.leads())


def settings(namespace: str, prometheus: str) -> dict[str, str]:
    return {
        "SLUICEGATE_NAMESPACE": namespace,
        "SLUICEGATE_WATCH_NAMESPACES": namespace,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
        "SLUICEGATE_PROMETHEUS_URL": prometheus,
        "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": str(SCRAPE_SECONDS),
        "SLUICEGATE_SETTLE_SECONDS": str(SETTLE_SECONDS),
    }


def status_of(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    path = DATA_PRODUCTS.path(namespace, "cars")
    found: dict[str, Any] = json.loads(plane.kubectl("get", "--raw", path)).get("status", {})
    return found


def states(status: dict[str, Any]) -> set[str]:
    """The states of the product and of its SLOs."""
    return {status.get("state", "Unknown"), *(one["state"] for one in status.get("slos", ()))}


def test_a_standby_measures_and_reads_no_past_when_the_leader_dies(
    control_plane, namespace, tmp_path
):
    body = product(namespace, "cars")
    body["spec"] |= {"analysis": {"blockSeconds": BLOCK_SECONDS}, "slos": CARS_OWE}
    with measuring_pair(control_plane, namespace, tmp_path) as (leader, standby):
        apply(control_plane, body)
        eventually(
            lambda: "Unknown" not in states(status_of(control_plane, namespace)),
            seconds=120,
            what="its state is known",
        )
        eventually(lambda: standby.pasts() > 0, what="the standby reads its past")
        past_read_by = time.time()
        eventually(
            lambda: standby.server.newest_block() > past_read_by,
            what="the standby reads the next block",
        )
        assert standby.replica.metric(ANSWERED) > 0
        assert standby.replica.metric(PENDING) == 0
        assert standby.replica.metric(RECONCILED) == 0, "it leaves the product to the leader"

        pasts, seen = standby.pasts(), set()
        leader.replica.signal(signal.SIGKILL)

        def looked_at() -> bool:
            seen.update(states(status_of(control_plane, namespace)))
            return standby.replica.leads() and standby.replica.metric(RECONCILED) >= 1

        eventually(looked_at, what="the new leader looks at the product")
        looked_at_by = time.time()
        eventually(
            lambda: standby.server.newest_block() > looked_at_by, what="it reads the next block"
        )
        assert standby.pasts() == pasts, "no past is read again"
        assert "Unknown" not in seen | states(status_of(control_plane, namespace))
