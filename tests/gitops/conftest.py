"""An API server with the operator and a Git server, and Flux or Argo CD beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway_api
from tests.support.failures.replicas import replicas
from tests.support.gitops.git_server import GitServer, git_server
from tests.support.gitops.reconciling import OPERATOR, TOOL, Cluster
from tests.support.gitops.tools import TOOLS, build_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.gitops.reconciling import Tool


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the missing programs."""
    build_tools(session, "etcd", "kube", "kwok", "helm")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Yield etcd, API server, controllers, scheduler and two fake nodes.

    All requests are in its audit log.
    """
    with ControlPlane(Options(audit=True, fake_nodes=2)) as started:
        install_crds(started)
        install_gateway_api(started)
        yield started


@pytest.fixture(scope="session")
def operator(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Yield the operator of all namespaces. It has no default runtime image."""
    folder = tmp_path_factory.mktemp("operator")
    settings = {"SLUICEGATE_NAMESPACE": "default"}
    with replicas(control_plane, folder, OPERATOR, extra=settings):
        yield


@pytest.fixture(scope="session")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """Yield repositories over HTTP."""
    with git_server(tmp_path_factory.mktemp("git")) as started:
        yield started


@pytest.fixture(scope="module", params=TOOLS)
def tool(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Tool]:
    """Yield each GitOps tool in turn, under a separate account."""
    kubeconfig = control_plane.kubeconfig_for(TOOL, ("system:masters",))
    cluster = Cluster(control_plane.kubectl, kubeconfig)
    with TOOLS[request.param](cluster, tmp_path_factory.mktemp("tool")) as started:
        yield started
