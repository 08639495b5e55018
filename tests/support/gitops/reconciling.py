"""What Flux and Argo CD have in common for a test: they apply a folder of Git, and judge it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import requests

from tests.support.processes.running import start, stop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.gitops.git_server import Repository

PROGRAMS = {
    "Flux": ("source-controller", "kustomize-controller"),
    "Argo CD": ("argo-cd",),
}
"""What is built for each."""
EXAMPLES = Path(__file__).resolve().parents[3] / "gitops"
OPERATOR, TOOL = "gitops-operator", "gitops-tool"
"""Accounts, so that the audit log tells who wrote."""


class Verdict(Enum):
    """What a person sees."""

    WAITS = "waits"
    GREEN = "green"
    RED = "red"


@dataclass(frozen=True)
class Seen:
    """A verdict, the commit that it is about, since when it holds, and the text beside it."""

    commit: str
    verdict: Verdict
    since: str
    said: str


class Kubectl(Protocol):
    """Kubectl as administrator; the output."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str: ...


@dataclass(frozen=True)
class Cluster:
    """An API server, and the kubeconfig of an account by which its audit log tells a tool apart."""

    kubectl: Kubectl
    kubeconfig: Path


class Reconciler(Protocol):
    """Flux or Argo CD."""

    def follow(self, name: str, url: str) -> None:
        """Apply the folder `products` of a repository from now on, as the example in gitops/ does."""

    def forget(self, name: str) -> None:
        """Follow it no longer."""

    def fetch(self, name: str) -> None:
        """Have it look at the repository now, and go on by itself."""

    def reconcile(self, name: str) -> None:
        """Have it compare the cluster with Git once more, and return when that is done."""

    def seen(self, name: str) -> Seen:
        """What it says now."""


@dataclass(frozen=True)
class Folder:
    """The folder `products` of a repository, which a tool applies."""

    tool: Reconciler
    name: str
    repository: Repository

    def commit(self, *products: dict[str, Any]) -> str:
        """Commit these products, and have the tool look at the repository."""
        commit = self.repository.commit_products(*products)
        self.tool.follow(self.name, self.repository.url)
        self.tool.fetch(self.name)
        return commit

    def reconcile(self) -> Seen:
        """What the tool says after another comparison."""
        self.tool.reconcile(self.name)
        return self.tool.seen(self.name)

    def until(self, verdict: Verdict, commit: str, *, seconds: float = 90) -> Seen:
        """What the tool says of this commit, once that is its verdict."""
        last: list[Seen] = []

        def look() -> Seen | None:
            last[:] = [self.tool.seen(self.name)]
            right = last[0].verdict is verdict and last[0].commit == commit
            return last[0] if right else None

        try:
            seen = eventually(look, seconds=seconds, every=0.3, what=f"{verdict} at {commit}")
        except AssertionError:
            print(f"{self.name}: {last}")
            raise
        assert seen
        return seen


@contextmanager
def followed(tool: Reconciler, name: str, repository: Repository) -> Iterator[Folder]:
    """A repository that a tool follows from the first commit to the end of a block."""
    try:
        yield Folder(tool, name, repository)
    finally:
        tool.forget(name)


@dataclass(frozen=True)
class Program:
    """A program of a tool, and where it says that it is ready; what doesn't say so is waited for by others."""

    command: Sequence[str]
    ready: str
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        return Path(self.command[0]).name


@contextmanager
def programs(folder: Path, *started: Program) -> Iterator[None]:
    """Programs for the length of a block; the last lines of each are printed when it fails."""
    processes = []
    try:
        for each in started:
            log = folder / f"{each.name}.log"
            processes.append(start(each.command, log=log, env=each.environment))
        for each in (one for one in started if one.ready):
            eventually(partial(_answers, each.ready), seconds=90, what=f"{each.name} ready")
        yield
    except BaseException:
        for each in started:
            lines = (folder / f"{each.name}.log").read_text().splitlines()[-30:]
            print(f"{each.name}, last lines:", *lines, sep="\n")
        raise
    finally:
        for process in processes:
            stop(process)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
