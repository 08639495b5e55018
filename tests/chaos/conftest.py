"""A real API server for faults, and an operator's process that reaches it through a proxy."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway_api
from tests.support.apiserver.accepting_gateway import accepting
from tests.support.apiserver.invariants import AUDIT_POLICY, Promises
from tests.support.failures.proxied_operator import ProxiedOperator, proxied_operator
from tests.support.failures.replicas import SHIPPED_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_numbers = itertools.count(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the missing programs before the first test, outside of a test's timeout."""
    if session.config.option.collectonly:
        return
    if any("chaos" in item.path.parts for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            for name in ("etcd", "kube", "kwok"):
                program(name)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Yield etcd, API server, controllers, scheduler and two fake nodes, and a Gateway that takes routes.

    Writes lie whole in its audit log.
    """
    policy = tmp_path_factory.mktemp("audit") / "policy.yaml"
    policy.write_text(AUDIT_POLICY)
    extra = {"kube-apiserver": (f"--audit-policy-file={policy}",)}
    with ControlPlane(Options(audit=True, fake_nodes=2, extra=extra)) as started:
        install_crds(started)
        install_gateway_api(started)
        with accepting(started):
            yield started


@pytest.fixture
def make_namespace(control_plane: ControlPlane) -> Iterator[Callable[[], str]]:
    """Yield a function that makes empty namespaces.

    They are deleted, not waited for, when the test ends.
    """
    made: list[str] = []

    def make() -> str:
        made.append(f"chaos-{next(_numbers)}")
        control_plane.kubectl("create", "namespace", made[-1])
        return made[-1]

    yield make
    for name in made:
        control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(make_namespace: Callable[[], str]) -> str:
    """Return the name of an empty namespace."""
    return make_namespace()


@pytest.fixture
def start(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> Callable[..., AbstractContextManager[ProxiedOperator]]:
    """Return a function that starts operators that serve the test's namespace, each behind a proxy of its own."""

    def start(**how: Any) -> AbstractContextManager[ProxiedOperator]:
        return proxied_operator(control_plane, namespace, tmp_path, **how)

    return start


@pytest.fixture
def operator(
    start: Callable[..., AbstractContextManager[ProxiedOperator]],
) -> Iterator[ProxiedOperator]:
    """Yield the only operator of the namespace, with the lease as it ships: it outlasts a busy machine."""
    with start(extra=SHIPPED_LEASE) as started:
        yield started


@pytest.fixture
def promises(operator: ProxiedOperator) -> Iterator[Promises]:
    """Yield the invariants that hold during any fault; check them again at the end of the test."""
    made = Promises(operator.plane, operator.namespace, operator.replica)
    yield made
    made.check()
