"""A pytest plugin: of what was collected, only the tests whose ids a file lists are run.

A command line couldn't hold the ids of some hundred tests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

LISTED = "MUTANT_TESTS"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = set(Path(os.environ[LISTED]).read_text(encoding="utf-8").splitlines())
    kept, ignored_intervals = [], []
    for item in items:
        listed = item.nodeid in wanted or item.nodeid.partition("::")[0] in wanted
        (kept if listed else ignored_intervals).append(item)
    config.hook.pytest_deselected(items=ignored_intervals)
    items[:] = kept
