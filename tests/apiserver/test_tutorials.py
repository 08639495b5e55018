"""The tutorials' commands for a cluster, typed as their readers type them.

API server, operator and kubectl are real; pods hold nothing, and a stand-in for Prometheus says how
the versions do. Blocks last five seconds instead of five minutes. What handles bentos is in tests/bentos.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway_api
from sluicegate.kube.resources import DATA_PRODUCTS, HTTP_ROUTES
from tests.support.apiserver.accepting_gateway import accepting
from tests.support.meanwhile import meanwhile
from tests.support.node.live_product import get, merge_patch
from tests.support.pages.shell import Shell
from tests.support.pages.steps import TUTORIALS, Command, File, steps
from tests.support.pages.tiers import BOTH, CLUSTER, FOLLOWED, tier
from tests.support.prometheus.measured_world import ProductBlocks
from tests.support.samples.judged_products import BLOCK_SECONDS, STEPS, Judged, judged
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)

PAGES = {page.stem: page for page in TUTORIALS}
NAMESPACE = "shop"
GIVEN = ("export SLUICEGATE=", "export SLUICEGATE_PROMETHEUS_URL=")
"""How lines begin whose variables the test sets."""
REQUESTS = 1000
"""Of a product in a block."""


def answering(share: float) -> ProductBlocks:
    """Return the counts of a good version with this share of the requests."""
    requests = round(REQUESTS * share)
    labels = requests // 10
    right = labels - labels // 20
    return ProductBlocks(
        requests=requests, bad=0, fast=requests, correct=right, wrong=labels - right,
        ratios={"orders": (right, labels)},
    )  # fmt: skip


@dataclass
class Traffic:
    """Requests of all products: each version gets its share of the route, as a Gateway gives it."""

    scene: Judged
    shares: dict[tuple[str, str], float] = field(default_factory=dict)

    def follow(self) -> None:
        """Take in what the routes say now."""
        kubeconfig = self.scene.plane.kubeconfig
        routes = get(kubeconfig, HTTP_ROUTES.path(NAMESPACE))["items"]
        weights = {
            backend["name"]: backend.get("weight", 1)
            for route in routes
            for rule in route["spec"]["rules"]
            for backend in rule["backendRefs"]
        }
        for body in get(kubeconfig, DATA_PRODUCTS.path(NAMESPACE))["items"]:
            name, status = body["metadata"]["name"], body.get("status") or {}
            for version in (status.get("stable"), status.get("candidate")):
                if version and version.get("revision"):
                    weight = weights.get(f"{name}-{version['revision']}", 0)
                    self.send(name, version["version"], weight / 100)

    def send(self, product: str, version: str, share: float, *, since: float | None = None) -> None:
        """Send this share of the requests to a version from now on, or from a given time."""
        if self.shares.get((product, version)) == share:
            return
        self.shares[product, version] = share
        does = replace(
            answering(share), namespace=NAMESPACE, product=product, version=version,
            service=product.capitalize(),
        )  # fmt: skip
        self.scene.truth.show(does, since=time.time() if since is None else since)


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Yield a control plane of this module: the pages name a namespace."""
    with ControlPlane(Options(audit=True, fake_nodes=2)) as started:
        install_crds(started)
        install_gateway_api(started)
        with accepting(started):
            yield started


@dataclass
class Reader:
    """A person who reads the pages beside a terminal."""

    scene: Judged
    shell: Shell

    def follow(self, page: str) -> None:
        """Run the commands of a page that concern the cluster."""
        for step in steps(PAGES[page]):
            if isinstance(step, File):
                self.shell.write(shortened(step) if step.name.endswith(".yaml") else step)
            elif tier(step) in {CLUSTER, BOTH} and not step.text.startswith(GIVEN):
                self.before(step)
                self.shell.run(step)

    def before(self, step: Command) -> None:
        """End the training whose candidate the next command waits for."""
        if "candidate.version" in step.text:
            self.end_training()

    def end_training(self) -> None:
        """Let the pod of the Job report v2, as the training does."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=batch.kubernetes.io/job-name"
        kubeconfig = self.scene.plane.kubeconfig
        (pod,) = eventually(lambda: get(kubeconfig, path)["items"], what="the training's pod")
        counts = {"accuracy": {"bad": 20, "total": 540}}
        image = f"registry.example/bentos/digits@sha256:{'2' * 64}"
        result = {"image": image, "version": "v2", "evaluation": counts, "stableEvaluation": counts}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(result),
                 "startedAt": now, "finishedAt": now}  # fmt: skip
        containers = [
            {"name": container["name"], "image": container["image"], "imageID": "", "ready": False,
             "restartCount": 0, "state": {"terminated": ended}}
            for container in pod["spec"]["containers"]
        ]  # fmt: skip
        status = {"phase": "Succeeded", "startTime": now, "containerStatuses": containers}
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}/status"
        merge_patch(kubeconfig, pods, {"status": status})


def shortened(file: File) -> File:
    """Return a product of a page with short blocks, two steps, and a training for which no node has room."""
    content = json.loads(json.dumps(file.content))
    if "spec" not in content:
        return file
    spec = content["spec"]
    spec["analysis"] = {"blockSeconds": BLOCK_SECONDS}
    spec["rollout"] = {**spec.get("rollout", {}), "steps": list(STEPS)}
    if "retraining" in spec:
        spec["retraining"]["resources"] = {"requests": {"cpu": "1000"}}
    return replace(file, content=content)


@contextmanager
def reading(plane: ControlPlane, folder: Path) -> Iterator[Reader]:
    """Yield a reader at a cluster with the operator, which serves all namespaces."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "kubectl").symlink_to(program("kubectl"))
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_bytes(Path(plane.kubeconfig).read_bytes())
    with judged(plane, "sluicegate-system", folder, SLUICEGATE_WATCH_NAMESPACES="") as scene:
        environment = {
            "HOME": str(folder),
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SLUICEGATE_PROMETHEUS_URL": scene.server.url,
            "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": "1",
            "SLUICEGATE_SETTLE_SECONDS": "1",
        }
        traffic = Traffic(scene)
        for product in ("iris", "wines", "digits"):
            traffic.send(product, "v1", 1.0, since=0.0)
        with meanwhile(traffic.follow, every=0.5), Shell(folder, env=environment) as shell:
            yield Reader(scene, shell)


def test_the_tutorials_end_with_a_retrained_product(control_plane: ControlPlane, tmp_path: Path):
    (pages,) = FOLLOWED[CLUSTER]
    with reading(control_plane, tmp_path) as reader:
        for page in pages:
            reader.follow(page)
