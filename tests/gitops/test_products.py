"""Flux and Argo CD reconcile products from Git, as the examples of gitops/ have them do it.

The controllers and the operator are real, and all that they write is in the API server's audit log;
pods are kwok's, so a test decides whether they start. tests/node/operator/test_gitops.py has what
needs a model that serves.
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.apiserver.audit import audited
from tests.support.failures.replicas import WRITES
from tests.support.failures.replicas import product as plain_product
from tests.support.gitops.reconciling import OPERATOR, TOOL, Folder, Verdict, followed
from tests.support.node.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane
    from tests.support.gitops.git_server import GitServer
    from tests.support.gitops.reconciling import Reconciler

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
        """A product; its digest follows from the version."""
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
        """Whether a version is stable, and nothing is under way."""
        status = self.live(name).get("status", {})
        stable = status.get("stable", {}).get("version")
        return bool(stable == version and not status.get("candidate"))

    def has_candidate(self, version: str) -> bool:
        return bool(self.live()["status"].get("candidate", {}).get("version") == version)

    def ask(self, request: str, name: str = "cars") -> None:
        """Ask for something as a person does: by an annotation, which isn't in Git."""
        self.plane.kubectl(
            "annotate", "-n", self.namespace, f"dprod/{name}", f"sluicegate.dev/{request}"
        )

    def green(self, *products: Body) -> str:
        """Commit products, and wait until the tool is content."""
        commit = self.folder.commit(*products)
        self.folder.until(Verdict.GREEN, commit)
        return commit


@pytest.fixture
def shop(
    control_plane: ControlPlane, operator: None, git: GitServer, tool: Reconciler
) -> Iterator[Shop]:
    """An empty namespace, and a repository for it that the tool follows."""
    name = f"shop-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    with followed(tool, name, git.repository(name)) as folder:
        yield Shop(control_plane, name, folder)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def own_writes(plane: ControlPlane, namespace: str) -> list[str]:
    """What the operator and the tool wrote to products and their children; no dry runs."""
    return [
        f"{entry['user']['username']}: {entry['verb']} {entry['requestURI']}"
        for entry in audited(plane.audit_log, namespace)
        if entry["user"].get("username") in {OPERATOR, TOOL}
        and entry["verb"] in WRITES
        and entry["objectRef"].get("namespace") == namespace
        and "dryRun=All" not in entry["requestURI"]
    ]


def test_it_is_green_when_the_product_serves_and_not_before(shop: Shop):
    commit = shop.folder.commit(shop.product(nodeSelector={"example.com/shop": shop.namespace}))

    shop.folder.until(Verdict.WAITS, commit)
    eventually(lambda: shop.condition("Ready").get("status") == "False", what="it waits for pods")
    assert shop.folder.tool.seen(shop.folder.name).verdict is Verdict.WAITS

    shop.plane.kubectl(
        "label", "nodes", "--all", "--overwrite", f"example.com/shop={shop.namespace}"
    )
    seen = shop.folder.until(Verdict.GREEN, commit)

    ready = shop.condition("Ready")
    assert ready["status"] == "True"
    assert seen.since >= ready["lastTransitionTime"]


def test_a_canary_holds_nothing_up(shop: Shop):
    shop.green(shop.product())
    eventually(lambda: shop.serves("v1"), seconds=60, what="v1 serves")

    shop.green(shop.product(version="v2"), shop.product("vans"))

    assert shop.serves("v1", "vans")
    eventually(lambda: shop.has_candidate("v2"), what="a canary")
    assert shop.folder.reconcile().verdict is Verdict.GREEN
    assert shop.has_candidate("v2")
    assert shop.live()["status"]["stable"]["version"] == "v1"


def test_an_invalid_spec_is_red(shop: Shop):
    invalid = shop.product()
    del invalid["spec"]["serving"]["runtimeImage"]

    commit = shop.folder.commit(invalid)
    seen = shop.folder.until(Verdict.RED, commit)

    assert shop.condition("Stalled")["reason"] == "InvalidSpec"
    assert "cars" in seen.said or "InvalidSpec" in seen.said
    shop.green(shop.product())


def test_a_rejected_model_is_red_until_git_names_another(shop: Shop):
    shop.green(shop.product())
    eventually(lambda: shop.serves("v1"), seconds=60, what="v1 serves")
    commit = shop.green(shop.product(version="v2"))
    eventually(lambda: shop.has_candidate("v2"), what="a canary")

    shop.ask("abort=v2/by-hand")
    eventually(lambda: shop.condition("Stalled").get("reason") == "ModelRejected", what="rejected")
    shop.folder.reconcile()
    shop.folder.until(Verdict.RED, commit)

    assert shop.condition("Ready")["status"] == "True", "v1 still serves"
    shop.green(shop.product())


def test_thirty_reconciles_find_no_difference_and_nobody_writes(shop: Shop):
    """In the state in which Git and the cluster differ most: a person took an earlier version."""
    in_git = shop.product(version="v2")
    shop.green(shop.product())
    eventually(lambda: shop.serves("v1"), seconds=60, what="v1 serves")
    commit = shop.green(in_git)
    eventually(lambda: shop.has_candidate("v2"), what="a canary")
    shop.ask("promote=v2/by-hand")
    eventually(lambda: shop.serves("v2"), seconds=60, what="v2 serves")
    shop.ask("rollback-to=v1/by-hand")
    eventually(lambda: shop.serves("v1"), seconds=60, what="v1 serves again")
    settled = shop.live()
    before = own_writes(shop.plane, shop.namespace)

    for _ in range(RECONCILES):
        seen = shop.folder.reconcile()
        assert (seen.commit, seen.verdict) == (commit, Verdict.GREEN)

    assert own_writes(shop.plane, shop.namespace) == before
    assert shop.live() == settled
    # That it would have been seen: what Git has is put back.
    changed = deepcopy(in_git["spec"]) | {"owner": "group:default/somebody"}
    shop.plane.kubectl(
        "patch", "dprod/cars", "-n", shop.namespace, "--type=merge", "-p",
        f'{{"spec": {{"owner": "{changed["owner"]}"}}}}',
    )  # fmt: skip
    shop.folder.reconcile()
    eventually(
        lambda: shop.live()["spec"]["owner"] == in_git["spec"]["owner"], what="the owner put back"
    )
    assert shop.serves("v1"), "self-healing puts back fields, and no version"
