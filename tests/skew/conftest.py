"""An API server with the CRDs of the last release, and the operators of both releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from tests.support.failures.releases import current, previous

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.failures.releases import ReleaseTree


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the missing programs before the first test, outside of a test's timeout."""
    if session.config.option.collectonly:
        return
    if any("skew" in item.path.parts for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            for name in ("etcd", "kube", "kwok"):
                program(name)


@pytest.fixture(scope="session")
def last_release(tmp_path_factory: pytest.TempPathFactory) -> ReleaseTree:
    """Return the release before the working tree."""
    return previous(tmp_path_factory.mktemp("previous"))


@pytest.fixture(scope="session")
def this_release() -> ReleaseTree:
    """Return the working tree."""
    return current()


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    """Yield etcd, API server, controllers, scheduler and a fake node, with a namespace for products.

    All requests are in its audit log.
    """
    with ControlPlane(Options(audit=True, fake_nodes=1)) as started:
        started.kubectl("create", "namespace", "products")
        yield started
