"""What all tiers share: options, and in which order several workers begin with what.

No property is about how long an example takes, and on a busy machine any may take long.
"""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.waiting import assert_bars

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

pytest_plugins = ["tests.support.runs.lanes", "tests.support.runs.verified_plugin"]

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("any machine"), max_examples=20)
settings.register_profile("nightly", settings.get_profile("any machine"), max_examples=1000)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write golden files anew; read the diff"
    )
    parser.addoption(
        "--bars",
        action="store_true",
        help="assert how long things may take; with `-m bar`, on a machine that does nothing else",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.whole:
        settings.load_profile("nightly")
    if config.option.bars:
        assert_bars()


ALONE = ("tests/node/operator/", "tests/simulation/", "tests/lives/")
"""Folders whose tests share nothing."""


def scope_of(nodeid: str) -> str:
    """What one worker runs as a whole: a module, whose tests may share products and stories.

    An operator's test on the node, a row of a grid and a life share nothing.
    """
    module, _, _ = nodeid.partition("::")
    return nodeid if module.startswith(ALONE) else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each worker scope by scope, in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling

    class Scopes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    config.option.loadscopereorder = False
    return Scopes(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what may take longest, so that in the end no worker is left alone with it.

    A test's timeout is for one that hangs, so it leaves time for the waits' excuses.
    """
    patience: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("timeout")
        seconds = int(mark.args[0] if mark else config.getini("timeout"))
        patience[scope_of(item.nodeid)] += seconds
        item.add_marker(pytest.mark.timeout(2 * seconds), append=False)
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: -patience[scope_of(item.nodeid)])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays, so the collector needn't look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds it, or write the file when asked to."""
    update = request.config.getoption("--update-golden")

    def check(path: Path, text: str) -> None:
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} isn't there: run pytest --update-golden and read the diff"
        assert path.read_text(encoding="utf-8") == text

    return check
