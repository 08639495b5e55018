"""A real node for the test run, and a fresh namespace for each test."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

import pytest

from cluster.backend import Backend, choose_backend
from cluster.builds import program
from cluster.cache import cache_folder
from cluster.errors import ClusterError
from cluster.images import build, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_LINES = 40
_numbers = itertools.count(1)
_run = secrets.token_hex(2)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the cluster before the first test: what is built for it can take minutes once.

    A test's timeout is for the test, and what is built and started is said while it is.
    """
    if session.config.option.collectonly:
        return
    wanted = [item for item in session.items if "cluster" in getattr(item, "fixturenames", ())]
    if wanted:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            backend = choose_backend()
            session.config.stash[BACKEND] = backend
            session.config.stash[STARTED] = not backend.kubeconfig.exists()
            backend.up()
            build(describe("runtime"), cache=cache_folder(), program=program)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the cluster if this run started it."""
    if session.config.stash.get(STARTED, False):
        session.config.stash[BACKEND].down()


BACKEND = pytest.StashKey[Backend]()
STARTED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Backend:
    """The checkout's cluster: one that ran before is used and left as it is."""
    return pytestconfig.stash[BACKEND]


@pytest.fixture(scope="session")
def runtime_image(cluster: Backend) -> str:
    """The reference of the runtime image, which the node has then."""
    built = build(describe("runtime"), cache=cache_folder(), program=program)
    cluster.load_image(built.archive)
    return built.reference


@pytest.fixture
def namespace(cluster: Backend, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty namespace; what happened in it is printed if the test fails."""
    name = f"test-{_run}-{next(_numbers)}"
    cluster.run_kubectl("create", "namespace", name)
    yield name
    if getattr(request.node, "failed", False):
        print_what_happened(cluster, name)
    cluster.run_kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures know that the test failed."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True
    return report


def print_what_happened(cluster: Backend, namespace: str) -> None:
    """Objects, events and logs of a namespace."""
    here = ("--namespace", namespace)
    questions = [("get", "all", "-o", "wide"), ("get", "events", "--sort-by=.lastTimestamp")]
    names = cluster.run_kubectl("get", "pods", "-o", "name", *here).split()
    questions += [("logs", "--all-containers", f"--tail={LOG_LINES}", name) for name in names]
    for question in questions:
        print(f"$ kubectl {' '.join(question)}")
        try:
            print(cluster.run_kubectl(*question, *here))
        except ClusterError as error:
            print(error)
