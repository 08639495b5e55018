"""The tools that reconcile products from Git, and the programs that their tests need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.builds import program
from cluster.prerequisites import missing_packages, require_packages
from tests.support.gitops.argo_cd import PACKAGES, argo_cd
from tests.support.gitops.flux import CONTROLLERS, flux

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pytest

    from tests.support.gitops.reconciling import Cluster, Tool

TOOLS: dict[str, Callable[[Cluster, Path], AbstractContextManager[Tool]]] = {
    "Flux": flux,
    "Argo CD": argo_cd,
}


def build_tools(session: pytest.Session, *others: str) -> None:
    """Build the missing programs before the first test, outside of a test's timeout.

    `others` are the cluster's own programs that the tests need.
    """
    if session.config.option.collectonly or not session.items:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        for name in (*others, *CONTROLLERS, "argo-cd"):
            program(name)
        if missing := missing_packages(PACKAGES):
            require_packages(missing)
