"""An API server with the operator and a Git server, and Flux beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway_api
from tests.support.failures.replicas import replicas
from tests.support.gitops.flux import CONTROLLERS, OPERATOR, flux
from tests.support.gitops.git_server import GitServer, git_server

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test: a test's timeout is for the test."""
    if session.config.option.collectonly or not session.items:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        for name in ("etcd", "kube", "kwok", *CONTROLLERS):
            program(name)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, API server, controllers, scheduler and two fake nodes; all requests are in its audit log."""
    with ControlPlane(Options(audit=True, fake_nodes=2)) as started:
        install_crds(started)
        install_gateway_api(started)
        yield started


@pytest.fixture(scope="session")
def operator(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The operator of all namespaces. It has no default runtime image."""
    folder = tmp_path_factory.mktemp("operator")
    settings = {"SLUICEGATE_NAMESPACE": "default"}
    with replicas(control_plane, folder, OPERATOR, extra=settings):
        yield


@pytest.fixture(scope="session")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """Repositories over HTTP."""
    with git_server(tmp_path_factory.mktemp("git")) as started:
        yield started


@pytest.fixture(scope="session")
def flux_runs(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Flux, under an account of its own."""
    with flux(control_plane, tmp_path_factory.mktemp("flux")):
        yield
