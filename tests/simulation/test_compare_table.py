"""docs/comparison.md holds what its simulations say."""

from pathlib import Path

import pytest

from sluicegate.simulation import comparison
from sluicegate.simulation.compare import compare, worse_by

DOCUMENT = Path(__file__).parents[2] / "docs" / "comparison.md"


@pytest.mark.heavy
@pytest.mark.parametrize("degree", ["equal", pytest.param("worse by δ", marks=pytest.mark.grid)])
def test_rows_of_the_document_come_out_again(degree):
    margins = {"equal": 0.0, "worse by δ": 1.0}[degree]
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("\n## 6,000 requests a minute\n")
    section = section.partition("\n## ")[0]
    for one in compare(
        worse_by(comparison.scenario(6_000, 0.0), margins), comparison.RUNS, comparison.SEED
    ):
        assert comparison.row(degree, one.rule, one.summary) in section
