"""The page on fast paths names modules and constants that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and ".py" in line
]


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_each_fast_path_of_the_performance_page_exists(row):
    module = ROOT / "operator" / "sluicegate" / row[1]
    source = module.read_text(encoding="utf-8")
    for name in re.findall(r"`([A-Z_]+)`", row[2]):
        if not name.startswith("SLUICEGATE_"):
            assert name in source
