"""A pytest plugin: what a run leaves out because the whole of it passed on the same content.

`tests.support.runs.verified` says what that means; here are the options, the marks and what is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.runs import verified

if TYPE_CHECKING:
    from tests.support.runs.verified import Suite

HASHES = pytest.StashKey[dict[str, str]]()
"""The hash by suite, of those suites that the run asks for."""
NARROWING = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "maxfail")
"""Options with which a run isn't one of whole suites."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole",
        action="store_true",
        help="leave nothing out because the whole of its suite passed on the same content",
    )
    parser.addoption(
        "--record-verified",
        action="store_true",
        help="the same, and write the content on which the suites passed to tests/verified.json",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the hashes before the first test: what changes meanwhile isn't what is run.

    The workers get them.
    """
    suites = [suite for suite in verified.SUITES if _is_selected(config, suite)]
    hashes = getattr(config, "workerinput", {}).get("hashes")
    config.stash[HASHES] = hashes or {suite.name: verified.content(suite) for suite in suites}
    if config.option.record_verified:
        narrowed = [name for name in NARROWING if getattr(config.option, name, None)]
        parts = [suite.name for suite in suites if not _is_whole_selected(config, suite)]
        if narrowed or parts or not suites or config.option.collectonly:
            raise pytest.UsageError(
                "--record-verified needs whole suites; these options or suites are in part: "
                f"{[*narrowed, *parts] or config.args}. `make verify` has the suites' folders"
            )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the record on to a worker."""
    node.workerinput["hashes"] = node.config.stash[HASHES]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _everything(config):
        return
    kept = {
        item
        for suite in verified.SUITES
        if suite.name in config.stash[HASHES]
        for item in items
        if suite.holds(item.path) and not _taken(config, suite, item)
    }
    kept |= {item for item in items if item.get_closest_marker("nightly")}
    if kept:
        config.hook.pytest_deselected(items=[item for item in items if item in kept])
        items[:] = [item for item in items if item not in kept]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if config.option.record_verified and exitstatus == 0 and not hasattr(config, "workerinput"):
        hashes = config.stash[HASHES]
        changed = [
            suite.name
            for suite in verified.SUITES
            if suite.name in hashes and verified.content(suite) != hashes[suite.name]
        ]
        verified.record({name: each for name, each in hashes.items() if name not in changed})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print for each suite the hash that selected its tests."""
    for name, now in config.stash[HASHES].items():
        recorded = verified.recorded().get(name, "never")
        if _everything(config):
            summary = f"all of it ran on {now[:12]}; recorded is {recorded[:12]}"
        elif now == recorded:
            summary = f"anchors alone: what it judges is as when all of it passed ({now[:12]})"
        else:
            summary = (
                f"all but whole grids: what it judges has changed ({recorded[:12]} -> {now[:12]}); "
                f"run `make verify-{name}` and commit tests/verified.json"
            )
        terminalreporter.write_line(f"{name}: {summary}")


def _taken(config: pytest.Config, suite: Suite, item: pytest.Item) -> bool:
    if verified.recorded().get(suite.name) == config.stash[HASHES][suite.name]:
        return item.get_closest_marker("anchor") is not None
    return item.get_closest_marker("grid") is None


def _everything(config: pytest.Config) -> bool:
    by_id = any("::" in each for each in config.args)
    return config.option.whole or config.option.record_verified or by_id


def _is_selected(config: pytest.Config, suite: Suite) -> bool:
    return any(
        each.is_relative_to(path) or path.is_relative_to(each)
        for each in _paths(suite)
        for path in _arguments(config)
    )


def _is_whole_selected(config: pytest.Config, suite: Suite) -> bool:
    return all(
        any(each.is_relative_to(path) for path in _arguments(config)) for each in _paths(suite)
    )


def _paths(suite: Suite) -> list[Path]:
    return [verified.ROOT / each for each in suite.tests]


def _arguments(config: pytest.Config) -> list[Path]:
    return [Path(arg.partition("::")[0]).resolve() for arg in config.args]
