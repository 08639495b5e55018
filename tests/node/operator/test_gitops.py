"""Flux and Argo CD reconcile a product whose pods serve; tests/gitops has what needs no pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.support.gitops.git_server import git_server
from tests.support.gitops.reconciling import Cluster, Verdict, followed
from tests.support.gitops.tools import TOOLS
from tests.support.node.live_product import conditions
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.gitops, pytest.mark.timeout(900)]

RECONCILES = 30


@pytest.fixture(params=TOOLS)
def folder(request, world, tmp_path: Path):
    """Yield a folder in Git that Flux or Argo CD applies to the node's cluster."""
    for name in ("git", "tool"):
        (tmp_path / name).mkdir()
    cluster = Cluster(world.backend.run_kubectl, world.backend.kubeconfig)
    with (
        git_server(tmp_path / "git") as git,
        TOOLS[request.param](cluster, tmp_path / "tool") as tool,
        followed(tool, world.namespace, git.repository(world.namespace)) as folder,
    ):
        yield folder


def answering_version(world):
    """Return the version that answers through the gateway; empty if none does."""
    answer = requests.post(
        f"{world.where.gateway}/answer",
        json={"question": [1.0, 1.0, 1.0]},
        headers={"Host": world.host},
        timeout=10,
    )
    return answer.json()["version"] if answer.ok else ""


def candidate_with_traffic(status):
    candidate = status.get("candidate") or {}
    return candidate.get("version") if candidate.get("weight") else None


def test_a_commit_is_healthy_once_it_serves_and_gitops_reverts_no_promotion(world, folder):
    def product(version):
        body = world.spec(version, rollout={"steps": [50]}, retraining=world.retraining())
        body["metadata"]["namespace"] = world.namespace
        return body

    first = folder.commit(product("v1"))
    folder.until(Verdict.WAITS, first)
    assert not answering_version(world)

    folder.until(Verdict.GREEN, first, seconds=240)

    assert conditions(world.product.status)["Ready"] == "True"
    # The gateway has accepted the route before; it takes a moment to load it.
    eventually(lambda: answering_version(world) == "v1", seconds=5, what="an answer of v1")

    with world.visitors() as visitors:
        second = folder.commit(product("v2"))
        world.product.until(lambda status: candidate_with_traffic(status) == "v2", what="a canary")
        seen = folder.reconcile()
        assert (seen.commit, seen.verdict) == (second, Verdict.GREEN)
        assert world.product.status["stable"]["version"] == "v1", "the canary still runs"
        world.product.until_stable("v2", seconds=180)

        world.product.annotate("retrain-requested-at", "first")
        trained = world.product.until(candidate_with_traffic, seconds=240, what="another canary")
        version = trained["candidate"]["version"]
        world.product.annotate("promote", f"{version}/by-hand")
        promoted = world.product.until_stable(version, seconds=180)
        theirs = world.product.as_people_own_it()

        for _ in range(RECONCILES):
            seen = folder.reconcile()
            assert (seen.commit, seen.verdict) == (second, Verdict.GREEN)
        after = world.product.status

    assert "candidate" not in after
    assert (after["stable"], after["history"]) == (promoted["stable"], promoted["history"])
    assert world.product.as_people_own_it() == theirs
    assert world.product.read()["spec"]["model"]["bento"]["version"] == "v2"
    assert answering_version(world) == version
    assert not visitors.tally.failures
