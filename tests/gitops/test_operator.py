"""Argo CD installs the operator's chart from Git, as the example in gitops/ has it do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.gitops.argo_cd import ArgoCD
from tests.support.gitops.reconciling import Folder, Verdict

if TYPE_CHECKING:
    from tests.support.gitops.git_server import GitServer
    from tests.support.gitops.reconciling import Tool

CHART = Path(__file__).resolve().parents[2] / "charts" / "sluicegate"
NAME = "operator"

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("tool", ["Argo CD"], indirect=True)
def test_argo_cd_installs_the_chart_and_finds_no_difference_afterwards(git: GitServer, tool: Tool):
    assert isinstance(tool, ArgoCD)
    repository = git.repository(NAME)
    shutil.copytree(CHART, repository.folder / "charts" / "sluicegate")
    commit = repository.commit()

    tool.install_operator(NAME, repository.url, NAME)

    Folder(tool, NAME, repository).until(Verdict.GREEN, commit)
    tool.reconcile(NAME)
    health = tool.health(NAME)
    assert (health.commit, health.verdict) == (commit, Verdict.GREEN), health.said
