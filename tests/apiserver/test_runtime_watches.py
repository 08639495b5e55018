"""The watches against a real API server that loses events, and kinds that come and go."""

from __future__ import annotations

import signal

import pytest

from tests.support.replicas import (
    Replica,
    apply,
    forget_history,
    install_crds,
    product,
    quiet_control_plane,
    read,
    replicas,
    stop_api_server,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

CRD = "dataproducts.sluicegate.dev"


@pytest.fixture(scope="module")
def control_plane():
    """One of its own: it is restarted, and nothing else writes."""
    with quiet_control_plane() as started:
        yield started


@pytest.fixture
def operator(control_plane, namespace, tmp_path):
    """A leader that serves the whole cluster, with a first product copied."""
    apply(control_plane, product(namespace, "first"))
    with replicas(
        control_plane, tmp_path, namespace, extra={"SLUICEGATE_NAMESPACE": namespace}
    ) as (one,):
        eventually(lambda: "first-copy" in copies(control_plane, namespace), what="the first copy")
        yield one


def copies(control_plane, namespace: str) -> set[str]:
    found = read(
        control_plane,
        "configmaps",
        "-n",
        namespace,
        "-l",
        "app.kubernetes.io/managed-by=sluicegate",
    )
    return {one["metadata"]["name"] for one in found}


def reconciles(operator: Replica) -> float:
    return operator.metric(
        'controller_runtime_reconcile_total{controller="dataproduct",result="success"}'
    )


def test_a_new_product_and_a_changed_one_reach_the_reconciler(control_plane, namespace, operator):
    apply(control_plane, product(namespace, "second"))
    eventually(lambda: "second-copy" in copies(control_plane, namespace), what="the second copy")
    apply(control_plane, product(namespace, "first", version="v2"))

    def generation() -> str:
        return control_plane.kubectl(
            "get", "configmap", "first-copy", "-n", namespace, "-o", "jsonpath={.data.generation}"
        )

    eventually(lambda: generation() == "2", what="the changed spec")


def test_a_change_that_does_not_matter_leads_to_no_work(control_plane, namespace, operator):
    before = reconciles(operator)
    control_plane.kubectl("annotate", "configmap", "first-copy", "-n", namespace, "note=hello")
    control_plane.kubectl("annotate", "dataproduct", "first", "-n", namespace, "note=hello")
    # The events before this one have been taken in by the time its copy is there.
    apply(control_plane, product(namespace, "marker"))
    eventually(lambda: "marker-copy" in copies(control_plane, namespace), what="the marker's copy")
    assert reconciles(operator) - before <= 2  # the marker, and the event of its own copy


def test_a_deletion_in_a_gap_of_the_watch_is_noticed(control_plane, namespace, operator):
    operator.signal(signal.SIGSTOP)
    stop_api_server(control_plane)  # or the event would wait in the frozen one's socket
    control_plane.start("kube-apiserver")
    control_plane.kubectl("delete", "configmap", "first-copy", "-n", namespace)
    stop_api_server(control_plane)
    forget_history(control_plane)
    control_plane.start("kube-apiserver")
    operator.signal(signal.SIGCONT)
    eventually(lambda: "first-copy" in copies(control_plane, namespace), what="the copy is back")
    assert operator.metric('sluicegate_cache_ghosts_total{resource="configmaps"}') == 1


def test_an_operator_that_starts_without_the_kind_waits_for_it(control_plane, namespace, tmp_path):
    control_plane.kubectl("delete", "crd", CRD)
    extra = {"SLUICEGATE_NAMESPACE": namespace}
    with replicas(control_plane, tmp_path, namespace, extra=extra) as (operator,):
        eventually(operator.leads, what="it leads all the same")
        install_crds(control_plane)
        apply(control_plane, product(namespace, "late"))
        eventually(lambda: "late-copy" in copies(control_plane, namespace), what="the late copy")
