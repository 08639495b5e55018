"""All lives of a run together have at least as many steps as the tier promises."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.support.runs.collector import collect_rarely

LIVES: Final = 30
"""Lives of a run that is told no other number."""
LEAST_STEPS: Final = 100_000
"""Of all of them together; a step is a reconcile."""
STEPS: Final = "steps"
"""A life's property: how many it had."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Sum())


def pytest_collection_finish() -> None:
    collect_rarely()


class Sum:
    """Adds up the steps, whichever worker lived them, and fails a whole run that has too few."""

    def __init__(self) -> None:
        self._steps: list[int] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._steps += [int(str(n)) for name, n in report.user_properties if name == STEPS]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run of chosen lives may have fewer steps, and so may one that failed."""
        chosen = "SEED" in os.environ or "LIVES" in os.environ or len(self._steps) < LIVES
        if chosen or session.testsfailed or sum(self._steps) >= LEAST_STEPS:
            return
        why = f"{len(self._steps)} lives had {sum(self._steps)} steps, not {LEAST_STEPS}"
        report = pytest.CollectReport("tests/lives", "failed", f"{why}: add seeds", [])
        session.config.hook.pytest_collectreport(report=report)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
