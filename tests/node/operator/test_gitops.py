"""Flux and Argo CD reconcile a product that serves; tests/gitops has what needs no model that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.support.gitops.argo_cd import argo_cd
from tests.support.gitops.flux import flux
from tests.support.gitops.git_server import git_server
from tests.support.gitops.reconciling import Cluster, Verdict, followed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.gitops, pytest.mark.timeout(600)]

RECONCILES = 30
ONE_STEP = {"steps": [50]}


@pytest.fixture(params=[flux, argo_cd], ids=["Flux", "Argo CD"])
def folder(request, world, tmp_path: Path):
    """A folder of Git, which the tool applies to the cluster."""
    for name in ("git", "tool"):
        (tmp_path / name).mkdir()
    cluster = Cluster(world.backend.run_kubectl, world.backend.kubeconfig)
    with (
        git_server(tmp_path / "git") as git,
        request.param(cluster, tmp_path / "tool") as tool,
        followed(tool, world.namespace, git.repository(world.namespace)) as folder,
    ):
        yield folder


def in_git(world, version, **spec):
    """A version of the learner as a file has it: with its namespace."""
    body = world.spec(version, rollout=ONE_STEP, **spec)
    body["metadata"]["namespace"] = world.namespace
    return body


def answering_version(world):
    """Which version answers at once; no answer is a failure."""
    answer = requests.post(
        f"{world.where.gateway}/answer",
        json={"question": [1.0, 1.0, 1.0]},
        headers={"Host": world.host},
        timeout=10,
    )
    answer.raise_for_status()
    return answer.json()["version"]


def test_it_is_green_when_requests_are_answered_and_red_when_the_model_was_rejected(world, folder):
    good = in_git(world, "v1")
    folder.until(Verdict.GREEN, folder.commit(good), seconds=180)
    assert answering_version(world) == "v1"

    world.bentos.image("v2-crash", fault="crash")
    commit = folder.commit(in_git(world, "v2-crash"))
    folder.until(Verdict.GREEN, commit)
    world.product.until(
        lambda status: status["specModel"].get("outcome") == "RolledBack",
        seconds=180,
        what="the model rejected",
    )
    folder.reconcile()
    folder.until(Verdict.RED, commit)

    assert answering_version(world) == "v1"
    folder.until(Verdict.GREEN, folder.commit(good))


def test_no_reconcile_reverts_the_promotion_of_a_retraining(world, folder):
    body = in_git(world, "v1", retraining=world.retraining())
    commit = folder.commit(body)
    folder.until(Verdict.GREEN, commit, seconds=180)
    with world.visitors(per_second=5) as visitors:
        world.product.annotate("retrain-requested-at", "first")
        candidate = world.product.until(
            lambda status: (status.get("candidate") or {}).get("weight"),
            seconds=240,
            what="a canary",
        )["candidate"]["version"]
        assert folder.reconcile().verdict is Verdict.GREEN
        world.product.annotate("promote", f"{candidate}/by-hand")
        promoted = world.product.until_stable(candidate, seconds=180)
        owned = world.product.as_people_own_it()

        for _ in range(RECONCILES):
            seen = folder.reconcile()
            assert (seen.commit, seen.verdict) == (commit, Verdict.GREEN)

        after = world.product.until_stable(candidate, seconds=1)

    assert after["stable"] == promoted["stable"]
    assert after["history"] == promoted["history"]
    assert world.product.as_people_own_it() == owned
    assert world.product.read()["spec"]["model"]["bento"]["version"] == "v1"
    assert answering_version(world) == candidate
    assert not visitors.tally.failures
