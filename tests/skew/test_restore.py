"""A snapshot of etcd under the operator: what was stored later is gone, and nothing else happens."""

from __future__ import annotations

import shutil

import pytest

from cluster.components import ETCD
from cluster.kinds import install_crds
from tests.support.failures.product_phases import (
    NAMESPACE,
    begin,
    children,
    has_reconciled_all,
    operator,
    statuses,
    wait_until_idle,
    writes,
)
from tests.support.failures.replicas import apply, product
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(600)


def test_an_operator_continues_from_a_snapshot_of_etcd(plane, this_release, tmp_path):
    install_crds(plane)
    with operator(plane, this_release, "before", tmp_path):
        begin(plane)
        wait_until_idle(plane, "before")
    before, owned = statuses(plane), children(plane)
    data, snapshot = plane.folder / "etcd", tmp_path / "snapshot"
    plane.stop(ETCD, grace=10)
    shutil.copytree(data, snapshot)
    plane.start(ETCD)
    apply(plane, product(NAMESPACE, "later"))
    eventually(lambda: "later" in statuses(plane), what="a later product")

    plane.stop(ETCD, grace=10)
    shutil.rmtree(data)
    shutil.copytree(snapshot, data)
    plane.start(ETCD)
    plane.restart("kube-apiserver")
    assert (statuses(plane), children(plane)) == (before, owned)
    with operator(plane, this_release, "after", tmp_path) as replica:
        eventually(lambda: has_reconciled_all(replica), seconds=60, what="all was reconciled")
    assert writes(plane, "after") == []
    assert (statuses(plane), children(plane)) == (before, owned)
