"""A real node for the test run, and a fresh namespace for each test.

Tests mostly wait, so several run at once (pytest-xdist): each worker is a run of its own here, and
all of them, and runs that are started beside them, share the checkout's one node.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import secrets
from typing import TYPE_CHECKING, TextIO

import pytest

from cluster import addons
from cluster.backend_choice import choose_backend
from cluster.builds import program
from cluster.cache import cache_folder, lock_folder
from cluster.images import BuiltImage, build, describe
from cluster.local import LocalNode
from tests.support.node.evidence import add_evidence, evidence, namespace_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.addons import Addresses
    from cluster.backend import Backend

_numbers = itertools.count(1)
_run = secrets.token_hex(2)


class Attendance:
    """A run that uses the cluster; the last one to leave stops it, if none found it running."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._mark = backend.state / "started-by-tests"
        self._file: TextIO | None = None

    def arrive(self) -> None:
        """Bring the cluster up, or wait for the process that does it."""
        self._file = (lock_folder() / f"tests-{self.backend.identity.name}.lock").open("w")
        # Waits while the last one of an earlier run is stopping the cluster.
        fcntl.flock(self._file, fcntl.LOCK_SH)
        ran_before = self.backend.kubeconfig.exists()
        try:
            self.backend.up()
        finally:
            if not ran_before and self.backend.state.exists():
                self._mark.touch()

    def leave(self) -> None:
        """Stop the cluster if it is the tests' own and no other run uses it."""
        if self._file is None:
            return
        with self._file as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if self._mark.exists():
                self.backend.down()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start before the first test what the tests want: it can take minutes once to build it all.

    A test's timeout is for the test, and what is built and started is said while it is.
    """
    if session.config.option.collectonly:
        return
    desired = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "cluster" in desired:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            attendance = session.config.stash[ATTENDANCE] = Attendance(choose_backend())
            attendance.arrive()
            if "runtime_image" in desired:
                attendance.backend.load_image(runtime().archive)
            if "where" in desired:
                addons.up(attendance.backend)


def runtime() -> BuiltImage:
    """Return the runtime image, built if it isn't in the cache."""
    return build(describe("runtime"), cache=cache_folder(), program=program)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the cluster if this run, or one beside it, started it."""
    if attendance := session.config.stash.get(ATTENDANCE, None):
        attendance.leave()


ATTENDANCE = pytest.StashKey[Attendance]()


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Backend:
    """Return the checkout's cluster: one that ran before is used and left as it is."""
    return pytestconfig.stash[ATTENDANCE].backend


@pytest.fixture
def local_node(cluster: Backend) -> LocalNode:
    """Return the cluster, for what kind doesn't promise: that nothing gets out, and the host gets in."""
    if not isinstance(cluster, LocalNode):
        pytest.skip("only the local node promises this, whose network is its own")
    return cluster


@pytest.fixture(scope="session")
def where(cluster: Backend) -> Addresses:
    """Return where the add-ons are, which run."""
    return addons.addresses(cluster)


@pytest.fixture(scope="session")
def runtime_image() -> str:
    """Return the reference of the runtime image, which the node has."""
    return runtime().reference


@contextlib.contextmanager
def fresh_namespace(cluster: Backend, config: pytest.Config) -> Iterator[str]:
    """Yield the name of an empty namespace.

    What happens in it is reported if a test fails meanwhile.
    """
    name = f"test-{_run}-{next(_numbers)}"
    with evidence(config, f"namespace {name}", lambda: namespace_report(cluster, name)):
        cluster.run_kubectl("create", "namespace", name)
        cluster.run_kubectl("label", "namespace", name, "sluicegate.dev/products=true")
        try:
            # Pods are refused until the controller manager has made it.
            account = ("wait", "--for=create", "serviceaccount/default", "--timeout=110s")
            cluster.run_kubectl(*account, "-n", name)
            yield name
        finally:
            cluster.run_kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(cluster: Backend, pytestconfig: pytest.Config) -> Iterator[str]:
    """Yield an empty namespace for one test."""
    with fresh_namespace(cluster, pytestconfig) as name:
        yield name


@pytest.fixture
def neighbour(cluster: Backend, pytestconfig: pytest.Config) -> Iterator[str]:
    """Yield another empty namespace, of another team."""
    with fresh_namespace(cluster, pytestconfig) as name:
        yield name


@pytest.fixture(scope="module")
def shared_namespace(cluster: Backend, pytestconfig: pytest.Config) -> Iterator[str]:
    """Yield a namespace for all tests of a module, which run one after the other then."""
    with fresh_namespace(cluster, pytestconfig) as name:
        yield name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add what happened in the namespaces in use to a failure."""
    report = yield
    add_evidence(item, report)
    return report
