"""What Flux and Argo CD have in common for a test: they apply a folder of Git, and judge it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import requests

from tests.support.processes.running import start, stop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.gitops.git_server import Repository

EXAMPLES = Path(__file__).resolve().parents[3] / "gitops"
OPERATOR, TOOL = "gitops-operator", "gitops-tool"
"""Accounts of the operator and of Flux or Argo CD, by which the audit log names the writer."""


class Verdict(Enum):
    """What a person sees."""

    GREEN = auto()
    RED = auto()
    WAITS = auto()


@dataclass(frozen=True)
class ObservedHealth:
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
    """A cluster, and the account that Flux or Argo CD has on it."""

    kubectl: Kubectl
    kubeconfig: Path


class Tool(Protocol):
    """Flux or Argo CD."""

    def follow(self, name: str, url: str) -> None:
        """Apply the folder `products` of a repository from now on; return once it was read."""

    def forget(self, name: str) -> None:
        """Follow it no longer."""

    def reconcile(self, name: str) -> None:
        """Compare the cluster with Git once more; return when that is done."""

    def health(self, name: str) -> ObservedHealth:
        """Return the tool's present verdict."""


@dataclass(frozen=True)
class Folder:
    """The folder `products` of a repository, which a tool applies like its example in gitops/."""

    tool: Tool
    name: str
    repository: Repository

    def commit(self, *products: dict[str, Any]) -> str:
        """Commit these products, and have the tool read the repository; the hash of the commit."""
        commit = self.repository.commit_products(*products)
        self.tool.follow(self.name, self.repository.url)
        return commit

    def reconcile(self) -> ObservedHealth:
        """Return the tool's verdict after another comparison of the cluster with Git."""
        self.tool.reconcile(self.name)
        return self.health()

    def health(self) -> ObservedHealth:
        """Return the tool's present verdict."""
        return self.tool.health(self.name)

    def until(self, verdict: Verdict, commit: str, *, seconds: float = 90) -> ObservedHealth:
        """Return the tool's verdict on this commit, once it is this one."""
        last: list[ObservedHealth] = []

        def holds() -> ObservedHealth | None:
            last[:] = [self.health()]
            right = last[0].verdict is verdict and last[0].commit == commit
            return last[0] if right else None

        try:
            observed = eventually(holds, seconds=seconds, every=0.3, what=f"{verdict} at {commit}")
        except AssertionError:
            print(f"{self.name}: {last}")
            raise
        assert observed
        return observed


@contextmanager
def followed(tool: Tool, name: str, repository: Repository) -> Iterator[Folder]:
    """Yield a repository that a tool follows from the first commit to the end of a block."""
    try:
        yield Folder(tool, name, repository)
    finally:
        tool.forget(name)


@dataclass(frozen=True)
class Program:
    """A program of a tool, and the address of its readiness check, if it has one."""

    command: Sequence[str]
    ready: str = ""

    @property
    def name(self) -> str:
        return Path(self.command[0]).name


@contextmanager
def programs(
    folder: Path, started: Sequence[Program], environment: Mapping[str, str]
) -> Iterator[None]:
    """Yield programs for the length of a block.

    The last lines of each are printed when it fails.
    """
    processes = []
    try:
        for each in started:
            log = folder / f"{each.name}.log"
            processes.append(start(each.command, log=log, env=environment))
            if each.ready:
                answers = partial(_answers, each.ready)
                eventually(answers, seconds=90, what=f"{each.name} ready")
        yield
    except BaseException:
        for log in folder.glob("*.log"):
            print(f"{log.stem}, last lines:", *log.read_text().splitlines()[-30:], sep="\n")
        raise
    finally:
        for process in reversed(processes):
            stop(process)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
