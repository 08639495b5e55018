"""The operator's own node tests: it runs as a process, for the test's namespace only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cluster.definitions import wait_until_established
from tests.support.gitops.tools import build_tools
from tests.support.node.evidence import evidence
from tests.support.node.learner import NAME, Bentos, Visitors, feedback_secret, learner
from tests.support.node.live_product import LiveProduct
from tests.support.node.operator_process import OperatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.addons import Addresses
    from cluster.backend import Backend

CRDS = Path(__file__).resolve().parents[3] / "crds"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build Flux and Argo CD for the tests that want them."""
    if any(item.get_closest_marker("gitops") for item in session.items):
        build_tools(session)


@pytest.fixture(scope="session")
def where(cluster: Backend, where: Addresses) -> Addresses:
    """Return where the add-ons of a cluster are that knows DataProducts."""
    cluster.run_kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    wait_until_established(cluster.run_kubectl, "crd/dataproducts.sluicegate.dev")
    return where


@pytest.fixture(scope="session")
def bentos(where: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Bentos:
    """Return versions of the learner, built when they are first asked for."""
    folder = tmp_path_factory.mktemp("learner")
    # A repository of this run: a version is never overwritten, and every run trains again.
    return Bentos(folder, f"{where.registry}/{folder.parent.name}-{id(folder):x}/learner")


@dataclass(frozen=True)
class World:
    """What a test needs: one product, its visitors, the operator, and bentos to serve."""

    backend: Backend
    where: Addresses
    namespace: str
    runtime: str
    bentos: Bentos
    operator: OperatorProcess
    product: LiveProduct

    @property
    def host(self) -> str:
        return f"learner.{self.namespace}.example"

    def spec(self, version: str, **spec: Any) -> dict[str, Any]:
        """Return the product with a good version of the learner; `spec` as in `learner`."""
        image = self.bentos.image(version)
        return learner(image, version, runtime=self.runtime, host=self.host, **spec)

    def retraining(self, **more: Any) -> dict[str, Any]:
        """Return a retraining by the learner's own code."""
        env = more.pop("env", {})
        return {
            "command": ["python", "-m", "train"],
            "output": f"{self.where.registry_in_pods}/{self.namespace}/learner",
            "cooldownSeconds": 600,
            "env": [{"name": name, "value": value} for name, value in env.items()],
            **more,
        }

    def visitors(self, *, per_second: float = 15) -> Visitors:
        gateway, observe = self.where.gateway, self.product.traffic
        return Visitors(gateway, self.host, per_second=per_second, observe=observe)


@pytest.fixture
def prometheus(where: Addresses) -> str:
    """Return the Prometheus that the operator asks; a module may have another one."""
    return where.prometheus


@pytest.fixture
def settings() -> dict[str, str]:
    """Return settings of the operator beside those that all have; a module may have some."""
    return {}


@pytest.fixture
def world(
    cluster: Backend,
    where: Addresses,
    prometheus: str,
    settings: dict[str, str],
    namespace: str,
    runtime_image: str,
    bentos: Bentos,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Iterator[World]:
    """Yield an empty namespace, with the learner's Secret and an operator of its own."""
    cluster.run_kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(feedback_secret()))
    log = tmp_path / "operator.log"
    registry = where.registry_in_pods
    operator = OperatorProcess(cluster, registry, prometheus, namespace, log, settings)
    product = LiveProduct(cluster, namespace, NAME)
    with evidence(pytestconfig, "log of the operator", log.read_text):
        operator.start()
        try:
            yield World(cluster, where, namespace, runtime_image, bentos, operator, product)
        finally:
            operator.stop()
