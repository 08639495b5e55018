"""A real API server with its controllers and Kueue, and the operator with the chart's own permissions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway_api
from tests.support.apiserver.people import chart
from tests.support.failures.replicas import Replica, apply, ready_in_turn
from tests.support.queues.kueue import kueue
from tests.support.queues.trained_pods import trained_pods
from tests.support.queues.trainer import trainer

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASE = "sluicegate"
SYSTEM = "sluicegate-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated")
GRANTS = ("ClusterRole", "Role", "ServiceAccount", "ValidatingAdmissionPolicy")
_numbers = itertools.count(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the missing programs before the first test, outside of a test's timeout."""
    if session.config.option.collectonly or not any(
        "queues" in item.path.parts for item in session.items
    ):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        for name in ("etcd", "kube", "kwok", "helm", "kueue", "trainer"):
            program(name)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Yield etcd, API server, controllers, scheduler, a node whose pods kwok plays, and Kueue."""
    with (
        ControlPlane(Options(audit=True)) as started,
        trained_pods(started, tmp_path_factory.mktemp("pods")),
        kueue(started, tmp_path_factory.mktemp("kueue")),
    ):
        install_crds(started)
        install_gateway_api(started)
        yield started


@pytest.fixture(scope="session")
def trainer_plane(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """Yield the same with Kubeflow Trainer and the definition of RayJobs."""
    with trainer(control_plane, tmp_path_factory.mktemp("trainer")):
        yield control_plane


@pytest.fixture(scope="session")
def operator(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield the operator of all namespaces, as the chart lets it act; its name in the audit log."""
    control_plane.kubectl("create", "namespace", SYSTEM)
    apply(control_plane, *(one for one in chart(RELEASE) if one["kind"].startswith(GRANTS)))
    settings = {
        "KUBECONFIG": str(control_plane.kubeconfig_for(OPERATOR, GROUPS)),
        "SLUICEGATE_NAMESPACE": SYSTEM,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": f"registry.example/runtime@sha256:{'d' * 64}",
    }
    folder = tmp_path_factory.mktemp("operator")
    with ready_in_turn([Replica(control_plane, "queues", folder, extra=settings)]):
        yield OPERATOR


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Yield an empty namespace that the platform opened for products."""
    name = f"queues-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("label", "namespace", name, "sluicegate.dev/products=true")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
