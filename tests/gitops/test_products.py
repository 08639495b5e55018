"""Flux and Argo CD reconcile products from Git, as the examples in gitops/ have them do.

The controllers and the operator are real, and all that they write is in the API server's audit log;
pods are kwok's, so a test decides whether they start.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.apiserver.audit import audited
from tests.support.failures.replicas import WRITES
from tests.support.failures.replicas import product as plain_product
from tests.support.gitops.argo_cd import ArgoCD
from tests.support.gitops.reconciling import OPERATOR, TOOL, Folder, Verdict, followed
from tests.support.node.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from cluster.controlplane import ControlPlane
    from tests.support.gitops.git_server import GitServer
    from tests.support.gitops.reconciling import Tool

pytestmark = pytest.mark.timeout(300)

RECONCILES = 30
RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
_numbers = itertools.count(1)

Body = dict[str, Any]


@dataclass(frozen=True)
class Shop:
    """A namespace whose products are in Git."""

    plane: ControlPlane
    namespace: str
    folder: Folder

    def product(self, name: str = "cars", version: str = "v1", **serving: Any) -> Body:
        """Return a product; its digest follows from the version."""
        body = plain_product(self.namespace, name, version=version)
        digest = version.encode().hex()[-1] * 64
        body["spec"]["model"]["bento"]["image"] = f"registry.example/bentos/{name}@sha256:{digest}"
        body["spec"]["serving"] = {"runtimeImage": RUNTIME, **serving}
        return body

    def live(self, name: str = "cars") -> Body:
        return get(self.plane.kubeconfig, DATA_PRODUCTS.path(self.namespace, name))

    def condition(self, kind: str, name: str = "cars") -> Body:
        found = self.live(name).get("status", {}).get("conditions", [])
        return next((one for one in found if one["type"] == kind), {})

    def serves(self, version: str, name: str = "cars") -> bool:
        """Return whether a version is stable, and nothing is under way."""
        status = self.live(name).get("status", {})
        stable = status.get("stable", {}).get("version")
        return bool(stable == version and not status.get("candidate"))

    def has_candidate(self, version: str) -> bool:
        return bool(self.live()["status"].get("candidate", {}).get("version") == version)

    def ask(self, request: str) -> None:
        """Ask for something as a person does: by an annotation, which isn't in Git."""
        self.annotate(f"sluicegate.dev/{request}")

    def annotate(self, annotation: str) -> None:
        """Annotate under a manager of its own: Flux reverts the fields of kubectl."""
        self.plane.kubectl(
            "annotate", "-n", self.namespace, "dprod/cars", annotation, "--field-manager=person"
        )

    @contextmanager
    def full_nodes(self) -> Iterator[None]:
        """Yield no pod finds a node for the length of a block; those that run stay."""
        nodes = self.plane.kubectl("get", "nodes", "--output=name").split()
        self.plane.kubectl("cordon", *nodes)
        try:
            yield
        finally:
            self.plane.kubectl("uncordon", *nodes)

    def green(self, *products: Body) -> str:
        """Commit products, and wait until the tool is content."""
        commit = self.folder.commit(*products)
        self.folder.until(Verdict.GREEN, commit)
        return commit

    def canary(self) -> str:
        """Commit v1 and, once it serves, v2: a canary of one step, which nothing measures."""
        self.green(self.product())
        eventually(lambda: self.serves("v1"), seconds=60, what="v1 serves")
        product = self.product(version="v2")
        product["spec"]["rollout"] = {"steps": [50]}
        commit = self.green(product)
        eventually(
            lambda: self.live()["status"].get("candidate", {}).get("weight"), what="a canary"
        )
        return commit

    def promotes(self, version: str) -> bool:
        """Return whether a version has all of the traffic, by a decision that stands."""
        found = self.live()["status"].get("candidate", {})
        return bool(found.get("version") == version and found.get("phase") == "Promoting")

    def is_left_alone(self, commit: str, *, by: AbstractSet[str]) -> None:
        """Reconcile time and again, while none of these accounts may write."""
        before = writes(self.plane, self.namespace, by)
        for _ in range(RECONCILES):
            health = self.folder.reconcile()
            assert (health.commit, health.verdict) == (commit, Verdict.GREEN)
        assert writes(self.plane, self.namespace, by) == before


@pytest.fixture
def shop(control_plane: ControlPlane, operator: None, git: GitServer, tool: Tool) -> Iterator[Shop]:
    """Yield an empty namespace, and a repository for it that Flux or Argo CD follows."""
    name = f"shop-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    with followed(tool, name, git.repository(name)) as folder:
        yield Shop(control_plane, name, folder)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def writes(plane: ControlPlane, namespace: str, by: AbstractSet[str]) -> list[str]:
    """Return the writes of accounts to products and their children, without dry runs."""
    return [
        f"{entry['user']['username']}: {entry['verb']} {entry['requestURI']}"
        for entry in audited(plane.audit_log, namespace)
        if entry["user"].get("username") in by
        and entry["verb"] in WRITES
        and entry["objectRef"].get("namespace") == namespace
        and "dryRun=All" not in entry["requestURI"]
    ]


def test_an_application_is_healthy_once_its_product_serves_and_not_before(shop: Shop):
    commit = shop.folder.commit(shop.product(nodeSelector={"example.com/shop": shop.namespace}))

    shop.folder.until(Verdict.WAITS, commit)
    shop.plane.kubectl("wait", "--for=create", "dprod/cars", "-n", shop.namespace, "--timeout=60s")
    eventually(lambda: shop.condition("Ready").get("status") == "False", what="it waits for pods")
    assert shop.folder.health().verdict is Verdict.WAITS

    shop.plane.kubectl(
        "label", "nodes", "--all", "--overwrite", f"example.com/shop={shop.namespace}"
    )
    health = shop.folder.until(Verdict.GREEN, commit)

    ready = shop.condition("Ready")
    assert ready["status"] == "True"
    assert health.since >= ready["lastTransitionTime"]


def test_a_running_canary_does_not_block_a_gitops_sync(shop: Shop):
    shop.green(shop.product())
    eventually(lambda: shop.serves("v1"), seconds=60, what="v1 serves")

    shop.green(shop.product(version="v2"), shop.product("vans"))

    assert shop.serves("v1", "vans")
    eventually(lambda: shop.has_candidate("v2"), what="a canary")
    assert shop.folder.reconcile().verdict is Verdict.GREEN
    assert shop.has_candidate("v2")
    assert shop.live()["status"]["stable"]["version"] == "v1"


def test_an_application_with_an_invalid_spec_is_degraded(shop: Shop):
    invalid = shop.product()
    del invalid["spec"]["serving"]["runtimeImage"]

    commit = shop.folder.commit(invalid)
    health = shop.folder.until(Verdict.RED, commit)

    assert shop.condition("Stalled")["reason"] == "InvalidSpec"
    assert "cars" in health.said or "InvalidSpec" in health.said
    shop.green(shop.product())


def test_an_application_with_a_rejected_model_is_degraded_until_git_names_another(shop: Shop):
    shop.green(shop.product())
    eventually(lambda: shop.serves("v1"), seconds=60, what="v1 serves")
    with shop.full_nodes():  # no pod of v2 starts, so it has no requests to end before it goes
        commit = shop.green(shop.product(version="v2"))
        eventually(lambda: shop.has_candidate("v2"), what="a candidate")

        shop.ask("abort=v2/by-hand")
        eventually(
            lambda: shop.condition("Stalled").get("reason") == "ModelRejected", what="rejected"
        )
    shop.folder.reconcile()
    shop.folder.until(Verdict.RED, commit)

    assert shop.condition("Ready")["status"] == "True", "v1 still serves"
    shop.green(shop.product())


def test_thirty_syncs_of_the_gitops_tool_during_a_canary_find_no_difference_and_write_nothing(
    shop: Shop,
):
    commit = shop.canary()
    shop.annotate("example.com/note=a person's")
    settled = shop.live()

    shop.is_left_alone(commit, by={OPERATOR, TOOL})

    assert shop.live() == settled
    # That it would have been seen: what Git has is put back, and the canary goes on.
    owner = shop.live()["spec"]["owner"]
    shop.plane.kubectl(
        "patch", "dprod/cars", "-n", shop.namespace, "--type=merge", "-p",
        '{"spec": {"owner": "group:default/somebody"}}',
    )  # fmt: skip
    shop.folder.reconcile()
    eventually(lambda: shop.live()["spec"]["owner"] == owner, what="the owner put back")
    assert shop.has_candidate("v2")
    assert shop.live()["status"]["stable"]["version"] == "v1"


def test_self_heal_of_argo_cd_reverts_no_promotion(shop: Shop):
    commit = shop.canary()
    shop.ask("promote=v2/by-hand")
    eventually(lambda: shop.promotes("v2"), what="the promotion")

    shop.is_left_alone(commit, by={TOOL})

    assert shop.promotes("v2")


@pytest.mark.parametrize("tool", ["Argo CD"], indirect=True)
def test_an_action_of_argo_cd_sets_a_request_annotation_only(shop: Shop):
    argo_cd = shop.folder.tool
    assert isinstance(argo_cd, ArgoCD)
    shop.canary()
    before = shop.live()
    assert argo_cd.actions(shop.namespace, "cars") == {"promote", "abort"}

    argo_cd.act(shop.namespace, "cars", "promote")
    eventually(lambda: shop.promotes("v2"), what="the promotion")

    after = shop.live()
    assert after["spec"] == before["spec"]
    added = set(after["metadata"]["annotations"]) - set(before["metadata"].get("annotations", {}))
    assert added == {"sluicegate.dev/promote"}
