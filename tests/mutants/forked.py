"""Runs tests in a process that has the libraries in memory, and nothing of ours.

pytest, Hypothesis, kopf and the Kubernetes client take seconds to import, and most mutants are
killed within one. A server imports them once. Each run is a fork of it that imports the operator
from a copy of the tree, so constants, fields and decorators can be mutated as well as functions.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.mutants.covering import FAST
from tests.mutants.mutant import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

LIBRARIES = (
    "aiohttp.test_utils",
    "aiohttp.web",
    "coverage",
    "hypothesis.stateful",
    "jsonschema",
    "kopf",
    "kubernetes.aio.client",
    "numpy",
    "opentelemetry.sdk.trace",
    "prometheus_api_client",
    "prometheus_client.parser",
    "promql_parser",
    "pydantic",
    "pytest_asyncio.plugin",
    "pytest_cov.plugin",
    "pytest_timeout",
    "scipy.stats",
    "uvloop",
    "xdist.plugin",
    "yaml",
)
"""What most tests import and takes long. One that isn't installed is left out."""
CONTEXT = multiprocessing.get_context("forkserver")
SOURCES = ("operator", "bentos/service/src", "bentos/market/src", ".")
"""Folders of the tree from which our modules are imported."""
TEST_SECONDS = 60
"""A test that takes longer has noticed something: the mutant has it wait indefinitely."""


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` : pytest's; -n if signal n ended it, None if it took too long. `told` : its output."""

    code: int | None
    told: str


class Chosen:
    """A pytest plugin: of what was collected, only the tests of these ids or files are run."""

    def __init__(self, tests: Collection[str]) -> None:
        self._tests = tests

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept, others = [], []
        for item in items:
            file = item.nodeid.partition("::")[0]
            desired = item.nodeid in self._tests or file in self._tests
            (kept if desired else others).append(item)
        config.hook.pytest_deselected(items=others)
        items[:] = kept


def import_libraries_once() -> None:
    """Have the server, which starts with the first run, import the libraries."""
    CONTEXT.set_forkserver_preload(list(LIBRARIES))


def patient(seconds: float) -> int:
    """Return a limit, longer where more processes want a core than there are: it detects a hang."""
    return round(seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def run_forked(copy: Path, files: Sequence[str], tests: Collection[str], seconds: float) -> Ended:
    """Run those tests of the files in a copy of the tree until one fails, or time is over."""
    told = copy / ".told"
    told.touch()
    process = CONTEXT.Process(target=_run, args=(copy, files, tests, told), daemon=True)
    process.start()
    process.join(seconds)
    code = process.exitcode
    process.kill()
    process.join()
    return Ended(code, told.read_text(encoding="utf-8", errors="replace"))


def _run(copy: Path, files: Sequence[str], tests: Collection[str], told: Path) -> None:
    """Become pytest, within the copy."""
    with told.open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(copy)
    sources = [str(copy / folder) for folder in SOURCES]
    os.environ["PYTHONPATH"] = os.pathsep.join(sources)  # of the processes that tests start
    original = {"", *(str(ROOT / folder) for folder in SOURCES)}
    sys.path[:] = [*sources, *(folder for folder in sys.path if folder not in original)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    code = pytest.main(
        [
            *("-x", "-q", "--no-header", "--tb=no", "-m", FAST),
            *("-p", "no:cacheprovider", f"--timeout={patient(TEST_SECONDS)}"),
            *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # plugins are imported already
            *files,
        ],
        plugins=[Chosen(tests)],
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that a mutant has left behind keeps nothing waiting
