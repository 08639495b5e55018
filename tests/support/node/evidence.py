"""Evidence of a failing cluster test, collected at the failure, before objects are deleted."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.backend import Backend

LOG_LINES = 40
EVIDENCE = pytest.StashKey[dict[str, "Callable[[], str]"]]()


@contextlib.contextmanager
def evidence(config: pytest.Config, title: str, collect: Callable[[], str]) -> Iterator[None]:
    """Add what the callback returns to the report of every test that fails meanwhile."""
    collectors = config.stash.setdefault(EVIDENCE, {})
    collectors[title] = collect
    try:
        yield
    finally:
        del collectors[title]


def add_evidence(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to the report of a failure what is known now."""
    if report.failed and report.when != "teardown":
        for title, collect in item.config.stash.get(EVIDENCE, {}).items():
            report.sections.append((title, collect()))


def namespace_report(cluster: Backend, namespace: str) -> str:
    """Return products, objects, events and logs of a namespace."""
    in_namespace = ("--namespace", namespace)
    questions = [
        ("get", "all", "-o", "wide"),
        ("get", "dprod", "-o", "yaml", "--ignore-not-found"),
        ("get", "events", "--sort-by=.lastTimestamp"),
    ]
    pods = _ask(cluster, ("get", "pods", "-o", "name", *in_namespace)).split()
    questions += [("logs", "--all-containers", f"--tail={LOG_LINES}", pod) for pod in pods]
    return "\n".join(
        f"$ kubectl {' '.join(question)}\n{_ask(cluster, (*question, *in_namespace))}"
        for question in questions
    )


def _ask(cluster: Backend, question: tuple[str, ...]) -> str:
    """Return kubectl's output, or its error."""
    try:
        return cluster.run_kubectl(*question)
    except ClusterError as error:
        return str(error)
