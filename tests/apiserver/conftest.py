"""A real API server for each test run, and a fresh namespace for each test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the missing programs before the first test, outside of a test's timeout."""
    if session.config.option.collectonly:
        return
    if any("apiserver" in item.path.parts for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            for name in ("etcd", "kube", "kwok", "helm", "prometheus"):
                program(name)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Yield etcd, API server, controllers, scheduler and two fake nodes.

    All requests are in its audit log.
    """
    with ControlPlane(Options(audit=True, fake_nodes=2)) as started:
        yield started


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Yield the name of an empty namespace; it is deleted, not waited for, when the test ends."""
    name = f"test-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
