"""All lives of a run together have as many steps as the tier promises, and reach what isn't excused."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.lives.promises import Promises
from tests.support.lives.reach import COMMON, Table, read_listed
from tests.support.runs.collector import collect_rarely

LIVES: Final = 30
"""Lives of a run without another number."""
MIN_STEPS: Final = 60_000
"""Of all of them together; a step is a reconcile."""
STEPS: Final = "steps"
"""A life's property: how many it had."""
REACHED: Final = "reached"
"""A life's property: the numbers of the rows that it reaches."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Sum())
        config.pluginmanager.register(Promises())


def pytest_collection_finish() -> None:
    collect_rarely()


class Sum:
    """Adds up what lives had and reached, whichever worker lived them, and fails a run with too little."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._table = Table()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._steps += [int(str(n)) for name, n in report.user_properties if name == STEPS]
            for name, numbers in report.user_properties:
                if name == REACHED:
                    self._table.add(map(int, str(numbers).split()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._table.lives:
            terminalreporter.section("what lives reach")
            terminalreporter.write_line(str(self._table))
            terminalreporter.write_line(
                f"listed as rare, and reached by {COMMON} lives or more:"
                f" {self._table.common(read_listed())}"
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run of chosen lives may have fewer steps, and so may one that failed."""
        chosen = (
            bool({"SEED", "WIDE"} & os.environ.keys())
            or "LIVES" in os.environ
            or len(self._steps) < LIVES
        )
        if chosen or session.testsfailed:
            return
        problems = self._table.problems(read_listed())
        if sum(self._steps) < MIN_STEPS:
            why = f"{len(self._steps)} lives had {sum(self._steps)} steps, not {MIN_STEPS}"
            problems.append(f"{why}: add seeds")
        if not problems:
            return
        report = pytest.CollectReport("tests/lives", "failed", "\n".join(problems), [])
        session.config.hook.pytest_collectreport(report=report)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
