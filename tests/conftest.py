"""What all tiers share: options, and profiles of properties.

No property is about how long an example takes, and on a busy machine any may take long.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.waiting import assert_bars

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

pytest_plugins = [
    "tests.support.runs.lanes",
    "tests.support.runs.scheduling",
    "tests.support.runs.verified_plugin",
]

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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude imported and collected objects from garbage collection, as they live until the end."""
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
