"""A pytest plugin: several runs of pytest beside each other, and one that reports for all of them.

Each tier of `make test` is a run of its own, with its own workers. With `--report-to FILE` it also
writes the reports of its tests there. A run with `--lane COMMAND`, once or more, collects nothing:
it starts the commands, which run the tiers, and takes the tiers' reports as pytest-xdist takes its
workers'. So every failure is printed once more at the end, below it how long each tier took, and the
closing line counts all tests.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".jsonl"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report-to", metavar="FILE", help="also write the tests' reports there")
    parser.addoption(
        "--lane",
        metavar="COMMAND",
        action="append",
        default=[],
        help="run this beside the other lanes, and report what its tiers reported",
    )
    parser.addoption(
        "--tiers", metavar="FOLDER", default=".tiers", help="where the tiers write their reports"
    )


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    if config.option.report_to:
        config.pluginmanager.register(Writer(config, Path(config.option.report_to)))
    if config.option.lane:
        config.pluginmanager.register(Lanes(config, Path(config.option.tiers)))


class Writer:
    """Writes the reports of a tier, one a line, and last how it ended and how long it took."""

    def __init__(self, config: pytest.Config, file: Path) -> None:
        self._config = config
        self._began = time.monotonic()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w", encoding="utf-8", buffering=1)

    def _write(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        plain = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        plain.pop("node", None)  # the worker that pytest-xdist had it from
        self._file.write(json.dumps({"report": plain}, default=str) + "\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._write(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        seconds = time.monotonic() - self._began
        self._file.write(json.dumps({"seconds": seconds, "exitstatus": int(exitstatus)}) + "\n")
        self._file.close()


class Lanes:
    """Runs the tiers, and reports for them."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._rows: list[str] = []

    def pytest_collection(self) -> bool:
        """Prevent collection, which the tiers do."""
        return True

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for old in self._folder.glob(f"*{SUFFIX}"):
            old.unlink()
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            failed = self._run(self._config.option.lane)
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        session.testscollected = sum(1 for file in files for line in _lines(file) if _test(line))
        for file in files:
            self._take(session, file)
        for command in failed:
            # Lint, or a tier that never began, fails the run as a test does.
            self._fail(command, "failed; what it says above tells why")
        return True

    def _fail(self, lane: str, reason: str) -> None:
        """Report an error that no test reported, so that the closing line counts it."""
        report = pytest.CollectReport(lane, "failed", f"{lane}: {reason}", [])
        self._config.hook.pytest_collectreport(report=report)

    @staticmethod
    def _run(commands: list[str]) -> list[str]:
        """Run the commands concurrently; return those that failed."""
        # A make that thinks it is part of another one's jobs would complain that it isn't.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("MAKE")
        }
        processes = [
            subprocess.Popen(
                shlex.split(command),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=inherited,
            )
            for command in commands
        ]
        threads = [
            threading.Thread(target=_print_lines, args=(number, process))
            for number, process in enumerate(processes, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [
            command
            for command, process in zip(commands, processes, strict=True)
            if process.wait() != 0
        ]

    def _take(self, session: pytest.Session, file: Path) -> None:
        tests, end = 0, None
        for line in _lines(file):
            if "report" not in line:
                end = line
                continue
            report = self._config.hook.pytest_report_from_serializable(
                config=self._config, data=line["report"]
            )
            if isinstance(report, pytest.CollectReport):
                self._config.hook.pytest_collectreport(report=report)
            else:
                tests += report.when == "call"
                self._config.hook.pytest_runtest_logreport(report=report)
        if end is None:
            self._fail(file.stem, "never ended")
            self._rows.append(f"{file.stem:<12} never ended")
        else:
            minutes, seconds = divmod(round(end["seconds"]), 60)
            failed = f"  exit {end['exitstatus']}" if end["exitstatus"] else ""
            self._rows.append(f"{file.stem:<12}{minutes:>4}:{seconds:02} {tests:>6} tests{failed}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("how long each tier took")
        for row in self._rows:
            terminalreporter.write_line(row)


def _print_lines(lane: int, process: subprocess.Popen[str]) -> None:
    """Print whole lines of a lane's output with its number."""
    assert process.stdout
    with process.stdout as lines:
        for line in lines:
            sys.stdout.write(f"{lane} | {line}")
            sys.stdout.flush()


def _test(line: dict[str, Any]) -> bool:
    """Return whether a line is a test's report, one for each test."""
    return line.get("report", {}).get("when") == "call"


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # the tier was ended in the middle of it
                return
