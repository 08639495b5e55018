"""docs/comparison.md holds what its simulations say."""

from pathlib import Path

import pytest

from benchmarks.canary_rules import report
from benchmarks.canary_rules.compare import compare, worse_by

DOCUMENT = Path(__file__).parents[2] / "docs" / "comparison.md"
ANCHORS = Path(__file__).with_name("anchors") / "comparison.txt"
TITLE = "6,000 requests a minute"


def section():
    _, _, found = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {TITLE}\n")
    return found.partition("\n## ")[0]


@pytest.mark.anchor
def test_the_comparison_page_has_the_rows_of_the_last_simulation(golden):
    rows = [line for line in section().splitlines() if line.startswith("|")]
    golden(ANCHORS, "\n".join(rows) + "\n")


@pytest.mark.heavy
@pytest.mark.parametrize("degree", ["equal", pytest.param("worse by δ", marks=pytest.mark.grid)])
def test_rows_of_the_comparison_page_are_reproduced(degree):
    margins = {"equal": 0.0, "worse by δ": 1.0}[degree]
    for one in compare(worse_by(report.scenario(6_000, 0.0), margins), report.RUNS, report.SEED):
        assert report.row(degree, one.rule, one.summary) in section()
